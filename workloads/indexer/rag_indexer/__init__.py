"""The indexer: documents in, one verified Qdrant collection out.

    files -> parsers -> chunking -> points -> store          one batch at a time; memory does not grow with the corpus
                build (the story) -> result, progress

`python -m rag_indexer --help` lists the commands.
"""
