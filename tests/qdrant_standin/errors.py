"""The errors that Qdrant answers with, each with its status; the message is what stands in `status.error`."""


class ApiError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def wrong_input(message: str, status: int = 400) -> ApiError:
    """The engine or the catalogue cannot take it."""
    return ApiError(status, f"Wrong input: {message}")


def bad_request(message: str) -> ApiError:
    """Strict mode or a snapshot refuses it."""
    return ApiError(400, f"Bad request: {message}")


def not_found(what: str) -> ApiError:
    """No such thing."""
    return ApiError(404, f"Not found: {what}")


def no_collection(name: str) -> ApiError:
    """No collection and no alias has this name."""
    return not_found(f"Collection `{name}` doesn't exist!")


def bad_format(message: str) -> ApiError:
    """The body is not JSON, or not of the shape asked for."""
    return ApiError(400, f"Format error in JSON body: {message}")


def invalid(where: str, message: str) -> ApiError:
    """A value is outside what Qdrant's validation lets through."""
    return ApiError(422, f"Validation error in JSON body: [{where}: {message}]")


def unsupported(what: str) -> ApiError:
    """Qdrant can do it, the stand-in cannot: said aloud, so that no test passes by an ignored option."""
    return ApiError(501, f"qdrant stand-in for tests: {what} is not supported here")
