"""Figures of the RAG API alone."""
