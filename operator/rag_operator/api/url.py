"""Addresses of servers that run elsewhere."""

from typing import Annotated

from pydantic import AfterValidator, Field

from .base import Cel, Matches

_NO_CREDENTIALS = "must not hold a user name or password: name a Secret in apiKeySecretRef"


def _without_slash(url: str) -> str:
    return url.rstrip("/")


Url = Annotated[
    str,
    Field(min_length=1, max_length=512),
    Matches("^https?://", "must be an address that starts with http:// or https://"),
    Matches("^[a-zA-Z]+://[^/?#]", "must name a host, like https://qdrant.example.com:6333"),
    Cel("!self.startsWith('http') || isURL(self)", "must be an address like https://qdrant.example.com:6333"),
    Matches("^[a-zA-Z]+://[^/]*@", _NO_CREDENTIALS, forbidden=True),
    Matches(r"[?#\x00-\x20]", "must not hold a query, a fragment or white space", forbidden=True),
    AfterValidator(_without_slash),
]
