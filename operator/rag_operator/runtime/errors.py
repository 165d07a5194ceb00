"""What can go wrong between us and the API server.

RuntimeFault
  ApiError       the API server answered, and refused
  Unreachable    no answer: connection refused or broken, time-out; a write may or may not have been done
  NotLeading     the write was not sent, because the Lease is not held
"""

import hashlib
import traceback
from typing import Any


class RuntimeFault(Exception):
    """Base of everything that a call to the API server raises."""

    retry_after: float | None = None
    """Seconds that the server asks to wait, or None."""


class Unreachable(RuntimeFault):
    """No answer. After a write it is unknown whether it was done: writing again must be harmless."""


class NotLeading(RuntimeFault):
    """A write was wanted while the Lease was not held; nothing was sent."""


class ApiError(RuntimeFault):
    """The API server's refusal, as in its Status object."""

    def __init__(self, status: int, reason: str = "", message: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}" if reason else f"{status}: {message}")
        self.status = status
        """HTTP status code."""
        self.reason = reason
        """Kubernetes' word for it, for example AlreadyExists; empty when the answer was no Status."""
        self.message = message
        self.retry_after = retry_after
        self.body: Any = None
        """The decoded answer: of a pod that was asked through the proxy it is the pod's own."""

    @property
    def is_not_found(self) -> bool:
        """The object, or its kind, does not exist."""
        return self.status == 404

    @property
    def is_conflict(self) -> bool:
        """Another version than the expected one is stored, or a precondition does not hold."""
        return self.status == 409 and self.reason != "AlreadyExists"

    @property
    def is_already_exists(self) -> bool:
        """A create met an object of that name."""
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def is_gone(self) -> bool:
        """The version or continue token is too old to go on from."""
        return self.status == 410 or self.reason in {"Expired", "Gone"}

    @classmethod
    def from_status(cls, body: Any, status: int, retry_after: float | None = None) -> "ApiError":
        """From a decoded Status object, or from whatever else the answer held."""
        if not isinstance(body, dict):
            return cls(status, "", str(body)[:500], retry_after)
        details, code = body.get("details"), body.get("code")
        told = details.get("retryAfterSeconds") if isinstance(details, dict) else None
        wait = float(told) if retry_after is None and isinstance(told, int) else retry_after
        number = code if isinstance(code, int) else status
        error = cls(number, str(body.get("reason") or ""), str(body.get("message") or ""), wait)
        error.body = body
        return error


def fault_id(error: BaseException) -> str:
    """Eight hexadecimal digits that name a bug by where it was raised, never by what was in the data.

    The same bug has the same id on every attempt, so that a status that shows it is written once.
    """
    places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    text = "\n".join([type(error).__name__, *places])
    return hashlib.sha256(text.encode()).hexdigest()[:8]
