"""A double of a vLLM server, for tests only: it takes the arguments of `vllm serve`, answers as a real one was recorded to
(tests/contract/vllm/recorded), and loads, hangs, crashes and drains on command. It never reaches a user's cluster.
"""

NAME = "model server double for tests"
