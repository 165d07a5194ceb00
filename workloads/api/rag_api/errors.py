"""The errors that a client of the API can see, and nothing else about what went wrong.

    ApiError
    ├── BadRequest 400                                       right schema, wrong sense
    ├── Unauthorized 401, Forbidden 403
    ├── NotFound 404, MethodNotAllowed 405
    ├── PayloadTooLarge 413, UnsupportedMediaType 415
    ├── ValidationFailed 422                                 the body does not fit the schema
    ├── RateLimited 429                                      retryable, Retry-After
    ├── InternalError 500                                    a bug; the log has the rest under the trace id
    ├── UpstreamError 502, UpstreamRateLimited 502           retryable
    ├── NotReady, ConcurrencyLimit, Draining 503             retryable, Retry-After
    ├── ModelDisabled 503                                    retryable, Retry-After
    └── RetrievalTimeout, ModelTimeout, StreamTimeout 504    retryable

A message is written for the client: no stack trace, no upstream text, no prompt, no key, no part of a document.
"""

from typing import ClassVar

import orjson


class ApiError(Exception):
    """An answer other than 2xx. `retry_after` is in whole seconds; `headers` are added to the response."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_ERROR"
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, retry_after: int | None = None, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.headers = headers

    @property
    def error_type(self) -> str:
        """What a span calls it."""
        return self.code

    def body(self, trace_id: str, **beside: object) -> bytes:
        """The JSON error body; `beside` is put next to the `error` object."""
        return orjson.dumps({"error": self.fields(trace_id), **beside})

    def fields(self, trace_id: str) -> dict[str, object]:
        """What the error body and the stream's `error` event share."""
        return {"code": self.code, "message": self.message, "trace_id": trace_id, "retryable": self.retryable}


class BadRequest(ApiError):
    """The body fits the schema but makes no sense."""

    status, code = 400, "BAD_REQUEST"


class Unauthorized(ApiError):
    """No credential, or one that is not known."""

    status, code = 401, "UNAUTHORIZED"


class Forbidden(ApiError):
    """The credential is good, but not for this tenant or these roles."""

    status, code = 403, "FORBIDDEN"


class NotFound(ApiError):
    """No such route."""

    status, code = 404, "NOT_FOUND"


class MethodNotAllowed(ApiError):
    """The route exists for other methods."""

    status, code = 405, "METHOD_NOT_ALLOWED"


class PayloadTooLarge(ApiError):
    """The body is larger than is read."""

    status, code = 413, "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(ApiError):
    """The body is not declared as JSON."""

    status, code = 415, "UNSUPPORTED_MEDIA_TYPE"


class ValidationFailed(ApiError):
    """The body does not fit the schema."""

    status, code = 422, "VALIDATION_ERROR"


class RateLimited(ApiError):
    """The key has used up its requests per minute on this pod."""

    status, code, retryable = 429, "RATE_LIMITED", True


class InternalError(ApiError):
    """A bug. The client learns the trace id, the log the rest."""


class UpstreamError(ApiError):
    """The vector store or the model could not be reached, or answered wrongly."""

    status, code, retryable = 502, "UPSTREAM_ERROR", True


class UpstreamRateLimited(ApiError):
    """The vector store or the model asked for patience."""

    status, code, retryable = 502, "UPSTREAM_RATE_LIMITED", True


class NotReady(ApiError):
    """No release is served yet, or its collection is not the one it should be."""

    status, code, retryable = 503, "NOT_READY", True


class ConcurrencyLimit(ApiError):
    """All slots of this pod were taken for longer than the queue timeout."""

    status, code, retryable = 503, "CONCURRENCY_LIMIT", True


class Draining(ApiError):
    """This pod is being stopped; another one will answer."""

    status, code, retryable = 503, "DRAINING", True


class ModelDisabled(ApiError):
    """The model is switched off, and no fallback answered."""

    status, code, retryable = 503, "MODEL_DISABLED", True


class RetrievalTimeout(ApiError):
    """The vector store took too long."""

    status, code, retryable = 504, "RETRIEVAL_TIMEOUT", True


class ModelTimeout(ApiError):
    """The answer took too long."""

    status, code, retryable = 504, "MODEL_TIMEOUT", True


class StreamTimeout(ApiError):
    """The stream took longer than the total allowed."""

    status, code, retryable = 504, "STREAM_TIMEOUT", True


BY_STATUS: dict[int, type[ApiError]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
    422: ValidationFailed,
}
"""What the framework's own HTTP errors become."""
