"""What the operator and the fetch Job tell each other: settings, progress, result."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .base import Contract
from .environment import TERMINATION_PATH, Environment
from .jobs import JobResult
from .model_cache import CACHE_PATH, DEFAULT_REVISION, Source, content_key

FETCH_PORT = 8002

HUB_TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105 - the name of a variable
HUB_ENDPOINT_VARIABLE = "HF_ENDPOINT"
"""The hub library's own settings; the token comes from a `secretKeyRef`."""
S3_KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""From a Secret with these keys; the third is for temporary credentials and may be absent."""


class FetchEnvironment(Environment):
    """Settings of one fetch Job.

    `keep` are content keys of weights that must stay in the cache, divided by commas; all others are removed. `s3_url` is
    `s3://<bucket>/<prefix>`. `secret` names the Secret with the credentials, for messages only.
    """

    prefix: ClassVar[str] = "RAG_FETCH_"

    service: str
    source: Source
    repository: str
    revision: str = DEFAULT_REVISION
    keep: str = ""
    s3_url: str | None = None
    s3_endpoint: str | None = None
    s3_region: str | None = None
    secret: str | None = None
    cache_path: str = CACHE_PATH
    parallel: Annotated[int, Field(ge=1, le=16)] = 4
    port: Annotated[int, Field(ge=0, le=65535)] = FETCH_PORT
    termination_path: str = TERMINATION_PATH

    @property
    def key(self) -> str:
        """Content key of what is wanted."""
        return content_key(self.repository, self.revision, self.source)

    def kept(self) -> frozenset[str]:
        """Content keys of the weights that stay."""
        return frozenset(filter(None, self.keep.split(","))) | {self.key}


Stage = Literal["Waiting", "Listing", "Downloading", "Verifying", "Done", "Failed"]


class FetchProgress(Contract):
    """Body of the fetch pod's `GET /progress`. Totals are 0 until they are known; `seconds_left` is None until then.

    `bytes_per_second` is the mean of the last half minute. `Waiting`: another pod downloads the same weights.
    """

    stage: Stage
    bytes_done: int = 0
    bytes_total: int = 0
    bytes_per_second: int = 0
    seconds_left: int | None = None
    files_done: int = 0
    files_total: int = 0
    elapsed_seconds: float = 0.0

    @property
    def percent(self) -> int:
        """Of the bytes; 100 only when all are there."""
        return self.bytes_done * 100 // self.bytes_total if self.bytes_total else 0


class FetchResult(JobResult):
    """The fetch Job's termination message.

    `revision` is the commit that was downloaded, `size` the bytes of the weights, `downloaded` those that this run fetched.
    """

    key: str
    repository: str
    revision: str = ""
    files: int = 0
    size: int = 0
    downloaded: int = 0
