"""The machinery of a controller: client, informer, work queue, Lease. General: it knows nothing of RAG.

API server <-> Client --- Informer (one per kind) --on_change--> WorkQueue --> reconcile(key)
                  \\----- Lease: only the holder writes
"""
