"""The judges of the end-to-end tests, judged."""
