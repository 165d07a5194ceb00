"""The launcher of a model server: it starts `vllm serve` as its child and watches it. It does not stand between callers and engine.

    kubelet -- /ready, /health --> launcher -- one question, /metrics, signals --> vllm serve <-- /v1/... -- RAG API
                                      |                                                |
                             termination message <----- what its log says <-----------+

A child process and not vLLM's code in our own: nothing of the launcher depends on vLLM's inside, answers take no detour, and an
engine that hangs cannot hang what watches it. `vllm serve` parses its arguments before it loads anything, so the check of the
arguments is vLLM's own.
"""
