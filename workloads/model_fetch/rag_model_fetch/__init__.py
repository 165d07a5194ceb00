"""The model fetcher: the weights of one model into the model cache, once, whole and checked.

    sources (hub, S3) -> download (parallel, resumed, checked) -> folder (lock, space, marker)
                fetch (the story) -> result, progress

`python -m rag_model_fetch` runs it.
"""
