"""What the operator, the RAG API and the indexer must agree on, stated once.

    operator --- ApiEnvironment, IndexerEnvironment, ReleaseTable ---> API pods, index Job
    operator <-- ModelsCurrent, ReadyReport, IndexResult ------------- API pods, index Job
    indexer  --- IndexIdentity, analysis ----------------------------> API (queries as the index was built)

Nothing here does I/O; the only dependency is pydantic.
"""
