"""`spec.api`: the program that answers questions."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from .base import Cel, DataKey, Image, Matches, ObjectName, Part, cel, ruled
from .compute import ApiResources

CollectorUrl = Annotated[
    str,
    Field(min_length=1, max_length=512),
    Matches("^https?://[^/?#]", "must be an address that starts with http:// or https:// and names a host"),
    Cel(
        "!self.startsWith('http') || isURL(self)",
        "must be an address like http://otel-collector.observability.svc:4318",
    ),
    Matches(
        "^[a-zA-Z]+://[^/]*@", "must not hold a user name or password: name a collector that needs none", forbidden=True
    ),
    Matches(r"[?#\x00-\x20]", "must not hold a query, a fragment or white space", forbidden=True),
    Matches("/v1/traces/?$", "must end before /v1/traces, which is added", forbidden=True),
    AfterValidator(lambda url: url.rstrip("/")),
]


class AuthMode(StrEnum):
    """Who may ask."""

    API_KEY = "APIKey"
    NONE = "None"


class ApiKeysReference(Part):
    """The Secret with the hashed keys of the clients."""

    name: ObjectName = Field(description="Name of the Secret, in the namespace of the RagService.")
    key: DataKey = Field(default="keys.json", description="Key in the Secret that holds the list.")


class Auth(Part):
    """Who may ask, and how they prove it."""

    model_config = ruled(
        cel(
            "self.mode != 'None' || !has(self.keysSecretRef)",
            "keysSecretRef has no meaning with mode None: remove keysSecretRef, or set mode to APIKey",
            field=".keysSecretRef",
        )
    )

    mode: AuthMode = Field(
        default=AuthMode.API_KEY,
        description="APIKey: each request carries a key, which decides the tenant and roles. None: everybody who reaches"
        ' the API may ask, as the tenant "default" without roles.',
    )
    keys_secret_ref: ApiKeysReference | None = Field(
        default=None,
        description="Secret with a JSON list of {id, sha256, tenant, roles}: the SHA-256 of each client's key in hex, never"
        " the key. Without it a key is generated into the Secret <name>-client-key.",
    )


class RequestLimits(Part):
    """Bounds on time and load of one API pod."""

    model_config = ruled(
        cel(
            "self.queueTimeoutMilliseconds < self.requestTimeoutSeconds * 1000",
            "queueTimeoutMilliseconds must be shorter than requestTimeoutSeconds, else no time is left to answer",
            field=".queueTimeoutMilliseconds",
        )
    )

    request_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="Time for one answer without streaming, in seconds."
    )
    stream_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=120, description="Time for one streamed answer, in seconds."
    )
    first_token_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=20,
        description="How long a model server may take until the first text, in seconds; then another or a fallback is asked.",
    )
    token_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=15, description="How long a model server may pause between two pieces of text, in seconds."
    )
    queue_timeout_milliseconds: Annotated[int, Field(ge=0, le=60000)] = Field(
        default=200,
        description="How long a request waits for a free place before it is refused with 503, in milliseconds.",
    )
    max_concurrent_requests: Annotated[int, Field(ge=1, le=10000)] = Field(
        default=32, description="Requests that one pod works on at the same time."
    )
    requests_per_minute: Annotated[int, Field(ge=0, le=1000000)] = Field(
        default=60, description="Requests per minute that one key may make of one pod. 0 means no limit."
    )


class Tracing(Part):
    """Where traces of the questions go."""

    endpoint: CollectorUrl = Field(
        description="Address of a collector that takes OTLP over HTTP, like http://otel-collector.observability.svc:4318;"
        " /v1/traces is added."
    )
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1,
        description="Share of the questions that are traced, from 0 to 1. Tracing all may double what an extractive answer costs.",
    )
    trust_parent: bool = Field(
        default=False,
        description="True: a request's traceparent header names the trace that it belongs to and whether that is recorded."
        " Only where everybody who reaches the API may decide that.",
    )


class Api(Part):
    """The RAG API."""

    image: Image | None = Field(default=None, description="Container image. Default: the operator's setting.")
    replicas: Annotated[int, Field(ge=0, le=20)] = Field(
        default=1, description="Number of pods. The scale subresource sets it."
    )
    resources: ApiResources = Field(default=ApiResources(), description="CPU, memory and scratch space of each pod.")
    auth: Auth = Field(default=Auth(), description="Who may ask, and how they prove it.")
    limits: RequestLimits = Field(default=RequestLimits(), description="Bounds on time and load of each pod.")
    drain_seconds: Annotated[int, Field(ge=0, le=600)] = Field(
        default=30,
        description="How long a pod that is ended goes on answering the requests that it has begun, in seconds.",
    )
    tracing: Tracing | None = Field(
        default=None, description="Traces of the questions, for a collector of OpenTelemetry. Default: none."
    )
