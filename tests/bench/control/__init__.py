"""The figures of the control loop: how fast, how quiet, how large, against what the API server itself can do."""
