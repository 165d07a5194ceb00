module rag-operator/tests/cluster/programs/pause

go 1.25.0
