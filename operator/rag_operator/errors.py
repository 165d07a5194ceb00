"""The two domain errors. Anything else that is raised is a bug or the network's trouble: try again with back-off.

A reason is a member of `api.reasons.Reason`; here it is text, because errors lie below everything else.
"""


class InvalidSpec(Exception):
    """Will not fix itself: the user has to edit the object. `message` names the field and the remedy."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class NotReady(Exception):
    """Will fix itself, or somebody will fix it elsewhere: look again after `retry_after` seconds, or when it changes."""

    def __init__(self, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
