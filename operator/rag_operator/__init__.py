"""The control plane of rag-operator: RagService objects in, Kubernetes objects and a truthful status out."""
