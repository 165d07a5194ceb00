"""How a run can end badly, and what is worth another try."""


class FetchFailure(Exception):
    """A run that ends without whole weights.

    `reason` is a PascalCase word for the status of the RagService, `message` says what to do. `retryable` tells whether
    the same run may succeed later; when not, the exit code says so and the Job does not try again.
    """

    def __init__(self, reason: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retryable = retryable


class Transient(Exception):
    """The network's or the server's trouble with one request: another try may help. The text says what happened."""


class Stopped(Exception):
    """The run is being stopped from outside: end the transfer, keep what is there."""
