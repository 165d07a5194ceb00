"""The one error of the program. What is not it is a bug or the network."""

from rag_jobs.ending import JobFailure


class IndexFailure(JobFailure):
    """A run that ends without a verified collection."""


class Unreadable(Exception):
    """One file that cannot become a document. It is skipped and counted; the text says why."""
