"""vLLM for real, on this machine's CPU: `make test-vllm`. Opt-in: about 6 GB are installed into the cache folder once."""
