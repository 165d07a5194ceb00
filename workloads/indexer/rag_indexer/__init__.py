"""The indexer: documents in, one verified Qdrant collection out."""
