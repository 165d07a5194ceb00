"""The one error of the program. What is not it is a bug or the network."""


class IndexFailure(Exception):
    """A run that ends without a verified collection.

    `reason` is a PascalCase word for the status of the RagService, `message` says what to do. `retryable` tells whether
    the same run may succeed later; when not, the exit code says so and the Job does not try again.
    """

    def __init__(self, reason: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retryable = retryable


class Unreadable(Exception):
    """One file that cannot become a document. It is skipped and counted; the text says why."""
