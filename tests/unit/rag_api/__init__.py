"""Tests of the RAG API, over real sockets."""
