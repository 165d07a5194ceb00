"""The release table: what the API pods serve. One JSON file in the ConfigMap `<service>-releases`.

The operator writes it whole; an API pod validates it whole and swaps it in atomically, or keeps the last good one.

API pods go on running after an upgrade of the operator, and refuse a table that says what they do not know. So a field that is
added has the default None, which means "as before" and is not written.
"""

import hashlib
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .base import Contract
from .identity import IndexIdentity

FILE_NAME = "releases.json"

Name = Annotated[str, Field(min_length=1, max_length=128)]
KeyFile = Annotated[
    str, Field(max_length=507, pattern=r"^[a-z0-9][-.a-z0-9]*/[-_A-Za-z0-9]*\.?[-_A-Za-z0-9][-._A-Za-z0-9]*$")
]
"""Where a key lies below a folder, `<Secret>/<key in it>`: a path that cannot leave the folder."""


class PromptRelease(Contract):
    """One prompt content. `refusal` is what is answered when no source supports an answer."""

    version: Name
    hash: Name
    system: str
    refusal: str


class Endpoint(Contract):
    """A server that speaks the OpenAI protocol. `url` ends before `/v1`; `model` is the name that the server knows.

    `key` is the file under `MODEL_KEYS_PATH` that holds the bearer key, `<Secret>/<key in it>`; None: no key is sent.
    """

    url: Annotated[str, Field(min_length=1, max_length=512)]
    model: Annotated[str, Field(min_length=1, max_length=256)]
    key: KeyFile | None = None


class IndexRelease(Contract):
    """One verified collection; `documents` and `chunks` are the counts the index Job reported.

    `embedder` turns questions into vectors of the collection's identity; None where no vectors but words are compared.
    """

    version: Name
    hash: Name
    collection: Name
    identity: IndexIdentity
    documents: int = Field(ge=0)
    chunks: int = Field(ge=0)
    embedder: Endpoint | None = None


class Weights(Contract):
    """Where the weights of a model come from. `reference` is the bucket's address (S3), the claim's name (Volume) or the image's
    (Image), and None for a hub, which knows a model by its name; `path` is their folder there.

    `secret` is the Secret with the credentials of a store, or `<Secret>/<key in it>` with the token of a hub.
    """

    source: Literal["Hub", "S3", "Volume", "Image"]
    reference: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    path: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    endpoint: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    region: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    secret: Annotated[str, Field(min_length=1, max_length=512)] | None = None


class Engine(Contract):
    """How a model server of ours runs the model: for the operator, which starts it anew when its revision is served again.

    `image` None is the operator's own; `arguments` are those that the user added; `gpus` is the tensor parallel size (0: none);
    `weights` None is where the spec says. The last is in the records only: the API pods need not know it, and those of an earlier
    image would refuse it.
    """

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    launcher: bool = True
    arguments: tuple[Annotated[str, Field(max_length=1024)], ...] = Field(default=(), max_length=64)
    gpus: int = Field(default=1, ge=0, le=64)
    gpu_memory_percent: int = Field(default=90, ge=1, le=100)
    trust_remote_code: bool = False
    weights: Weights | None = None


class ModelRelease(Contract):
    """What turns sources into an answer. `Extractive` picks sentences and needs no server: it has no endpoints.

    `hash` covers what the model is (name, weights, engine), not where it runs. `context_tokens` is the longest prompt and
    answer together, None when unknown. `engine` is None but for VLLM.
    """

    runtime: Literal["Extractive", "VLLM", "External"]
    name: Annotated[str, Field(min_length=1, max_length=256)]
    revision: Name | None = None
    hash: Name
    endpoints: tuple[Endpoint, ...] = Field(default=(), max_length=8)
    context_tokens: Annotated[int, Field(ge=1)] | None = None
    max_sentences: int = Field(default=3, ge=1, le=10)
    engine: Engine | None = None

    @model_validator(mode="after")
    def _endpoints_where_needed(self) -> Self:
        if (self.runtime == "Extractive") == bool(self.endpoints):
            raise ValueError("Extractive has no endpoints, every other runtime has some")
        return self


class Fallback(Contract):
    """What answers when the model does not: another server, or the sources' own sentences (`endpoint` None)."""

    endpoint: Endpoint | None = None


class Prices(Contract):
    """What tokens cost, in units of `currency` per million."""

    currency: Annotated[str, Field(min_length=1, max_length=8)]
    prompt_per_million: float = Field(ge=0)
    completion_per_million: float = Field(ge=0)


class Policy(Contract):
    """How answers are made, whatever the revision: it changes at once and makes no release.

    `model_enabled` False answers from retrieval alone; `fallbacks` are tried in order.
    """

    model_enabled: bool = True
    fallbacks: tuple[Fallback, ...] = Field(default=(), max_length=4)
    prices: Prices | None = None


class Retrieval(Contract):
    """`top_k` chunks are fetched. Sparse compares words, Dense vectors, Hybrid fuses both.

    Hits under `minimum_score` are dropped when set (Sparse: BM25, unbounded above; Dense: the distance's own scale).
    """

    mode: Literal["Sparse", "Dense", "Hybrid"]
    top_k: int = Field(ge=1, le=20)
    minimum_score: float | None = None


class Revision(Contract):
    """One release that is served, with its share of the requests (`weight`, per cent)."""

    number: int = Field(ge=1)
    weight: int = Field(ge=0, le=100)
    prompt: PromptRelease
    index: IndexRelease
    model: ModelRelease
    retrieval: Retrieval


class ReleaseTable(Contract):
    """All served revisions. Empty until the first index is verified: a pod with an empty table is not ready."""

    schema_version: Literal[1] = 1
    service: Name
    revisions: tuple[Revision, ...] = Field(default=(), max_length=10)
    policy: Policy = Policy()

    @model_validator(mode="after")
    def _weights_and_numbers_make_sense(self) -> Self:
        if self.revisions and sum(r.weight for r in self.revisions) != 100:
            raise ValueError("the weights of the revisions must add up to 100")
        if len({r.number for r in self.revisions}) != len(self.revisions):
            raise ValueError("a revision number appears twice")
        return self

    def to_json(self) -> str:
        """Canonical JSON without what is None: programs that know less fields read it too, and hash it alike. Where weights come
        from is the operator's alone."""
        apart = {"revisions": {"__all__": {"model": {"engine": {"weights"}}}}}
        return self.model_dump_json(by_alias=True, exclude_none=True, exclude=apart)

    def table_hash(self) -> str:
        """16 hex digits over the canonical JSON: the operator compares it with what a pod reports."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]
