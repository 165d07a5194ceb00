"""The RAG API: answers questions from one index with checked citations."""
