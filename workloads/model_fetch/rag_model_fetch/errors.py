"""How a run can end badly, and what is worth another try."""

from rag_jobs.ending import JobFailure


class FetchFailure(JobFailure):
    """A run that ends without whole weights."""


class Transient(Exception):
    """The network's or the server's trouble with one request: another try may help. The text says what happened."""


class Stopped(Exception):
    """The run is being stopped from outside: end the transfer, keep what is there."""
