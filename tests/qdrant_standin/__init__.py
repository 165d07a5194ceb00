"""A stand-in for Qdrant's server, for tests only: Qdrant's engine (`qdrant-edge-py`) behind the part of Qdrant's REST API that
the project uses. It never reaches a user's cluster. What a real server answers is recorded in tests/contract/qdrant.

    settings -> app -> routes_* -> catalog -> collection -> engine (conversion to qdrant-edge: filters, vectors, queries, schema)
"""
