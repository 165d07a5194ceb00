"""`spec.prompt`, `spec.index` and `spec.retrieval`: what makes a release, with the model beside."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import (
    ConfigMapKeyReference,
    ConfigMapReference,
    Matches,
    ObjectName,
    Part,
    VersionName,
    cel,
    ruled,
)
from .compute import IndexResources
from .embedding import Embedding
from .paths import RelativePath

_NOT_BLANK = Matches(r"[^ \t\n\r\f\v]", "must hold text, not only white space")
_ONE_PROMPT = "set exactly one of system and configMapRef"
_ONE_SOURCE = "set exactly one of configMapRef and persistentVolumeClaim"

Tenant = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Matches(
        "^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$",
        'must be a name: letters, digits, "-", "_" and ".", starting and ending with a letter or digit',
    ),
]


class Prompt(Part):
    """How the model is told to answer. Exactly one of `system` and `configMapRef`."""

    model_config = ruled(cel("has(self.system) != has(self.configMapRef)", _ONE_PROMPT))

    version: VersionName = Field(
        description="Name of this content. A name keeps its content: give changed text a new name. At most 63 characters."
    )
    system: Annotated[str, Field(min_length=1, max_length=32768), _NOT_BLANK] | None = Field(
        default=None,
        description="The system prompt itself, at most 32768 characters. It is taken as it is: nothing is expanded.",
    )
    config_map_ref: ConfigMapKeyReference | None = Field(
        default=None, description="Key of a ConfigMap that holds the system prompt."
    )
    refusal: Annotated[str, Field(min_length=1, max_length=1000), _NOT_BLANK] = Field(
        default="I could not find an answer to that in the documents.",
        description="What is answered when the documents hold no answer, at most 1000 characters.",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.system is None) == (self.config_map_ref is None):
            raise ValueError(_ONE_PROMPT)
        return self


class ClaimSource(Part):
    """Documents on a volume. It is mounted read-only, by the index Job alone."""

    claim_name: ObjectName = Field(description="Name of the PersistentVolumeClaim, in the namespace of the RagService.")
    path: RelativePath | None = Field(
        default=None, description="Folder in the volume, relative, at most 512 characters. Default: the whole volume."
    )


class Documents(Part):
    """Where the documents are (Markdown, text, HTML). Exactly one of `configMapRef` and `persistentVolumeClaim`."""

    model_config = ruled(cel("has(self.configMapRef) != has(self.persistentVolumeClaim)", _ONE_SOURCE))

    config_map_ref: ConfigMapReference | None = Field(
        default=None,
        description="ConfigMap with one document under each key; the end of the key (.md, .txt, .html) tells the format.",
    )
    persistent_volume_claim: ClaimSource | None = Field(
        default=None, description="Volume with documents in any depth of folders."
    )
    tenant: Tenant = Field(
        default="default",
        description="Tenant of the documents whose front matter names none. A client's key decides its tenant.",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.config_map_ref is None) == (self.persistent_volume_claim is None):
            raise ValueError(_ONE_SOURCE)
        return self


class ChunkingStrategy(StrEnum):
    """How a document is cut."""

    SENTENCE = "Sentence"


class Chunking(Part):
    """How documents are cut into the pieces that are found and cited."""

    model_config = ruled(
        cel(
            "self.overlapCharacters * 2 < self.maxCharacters",
            "overlapCharacters must be less than half of maxCharacters: lower overlapCharacters or raise maxCharacters",
            field=".overlapCharacters",
        )
    )

    strategy: ChunkingStrategy = Field(
        default=ChunkingStrategy.SENTENCE,
        description="Sentence: pieces end at the ends of sentences and do not cross headings.",
    )
    max_characters: Annotated[int, Field(ge=200, le=8000)] = Field(
        default=1200, description="Longest piece, in characters."
    )
    overlap_characters: Annotated[int, Field(ge=0, le=2000)] = Field(
        default=150,
        description="How much of a piece is repeated in the next one, in characters; less than half of maxCharacters.",
    )


def _cron(*values: str) -> str:
    """Five fields: lists of values, ranges and steps, or * for all."""
    part = r"(\*|{0}(-{0})?)(/[1-9][0-9]?)?"
    fields = (part.format(f"({value})") for value in values)
    return " +".join(f"{field}(,{field})*" for field in fields)


_SCHEDULE = _cron(
    "[0-5]?[0-9]",
    "[01]?[0-9]|2[0-3]",
    "0?[1-9]|[12][0-9]|3[01]",
    "0?[1-9]|1[0-2]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec",
    "[0-7]|sun|mon|tue|wed|thu|fri|sat",
)

Schedule = Annotated[
    str,
    Field(min_length=9, max_length=100),
    Matches(
        f"(?i)^{_SCHEDULE}$",
        'must be five fields as in a CronJob, in UTC, like "0 3 * * *" for every day at 3:00: minute, hour, day of the month,'
        " month, day of the week",
    ),
]


class Refresh(Part):
    """Builds of an index version that the operator starts by itself."""

    on_change: bool = Field(
        default=False,
        description="True: when the documents in the ConfigMap change, they are built beside what serves and released as a"
        " numbered build of the version, like docs-1.2. False: changed documents need a new version.",
    )
    schedule: Schedule | None = Field(
        default=None,
        description="When the documents on the volume are built anew, as a CronJob's schedule in UTC: each build is made beside what"
        " serves and released as a numbered build of the version, like docs-1.2. Default: never.",
    )

    @property
    def wanted(self) -> bool:
        """Whether other content under the same version becomes its next build."""
        return self.on_change or self.schedule is not None


class Index(Part):
    """What can be found, and how it is made findable."""

    model_config = ruled(
        cel(
            "!self.refresh.onChange || has(self.documents.configMapRef)",
            "onChange sees only documents in a ConfigMap: set documents.configMapRef, or remove onChange and give changed"
            " documents a new version",
            field=".refresh.onChange",
        ),
        cel(
            "!has(self.refresh.schedule) || has(self.documents.persistentVolumeClaim)",
            "schedule is for documents on a volume: set documents.persistentVolumeClaim; documents in a ConfigMap are built anew"
            " by onChange",
            field=".refresh.schedule",
        ),
    )

    version: VersionName = Field(
        description="Name of this content. A name keeps its content: give changed documents or settings a new name. At most"
        " 63 characters."
    )
    documents: Documents = Field(description="Where the documents are.")
    chunking: Chunking = Field(default=Chunking(), description="How documents are cut into pieces.")
    embedding: Embedding = Field(default=Embedding(), description="How documents and questions become vectors.")
    refresh: Refresh = Field(default=Refresh(), description="Builds of this version that need no edit of the spec.")
    resources: IndexResources = Field(
        default=IndexResources(), description="CPU, memory and scratch space of the index Job."
    )
    deadline_seconds: Annotated[int, Field(ge=10, le=604800)] = Field(
        default=3600, description="How long the index Job may take before it counts as failed, in seconds."
    )


class RetrievalMode(StrEnum):
    """How sources are found."""

    SPARSE = "Sparse"
    DENSE = "Dense"
    HYBRID = "Hybrid"


class RetrievalSettings(Part):
    """How the sources of an answer are found."""

    model_config = ruled(
        cel(
            "self.mode != 'Hybrid' || !has(self.minimumScore)",
            "minimumScore has no meaning with mode Hybrid, whose scores are ranks: remove minimumScore",
            field=".minimumScore",
        )
    )

    mode: RetrievalMode = Field(
        default=RetrievalMode.SPARSE,
        description="Sparse: by words. Dense: by the vectors of the embedding server. Hybrid: by both, their rankings fused.",
    )
    top_k: Annotated[int, Field(ge=1, le=20)] = Field(
        default=6, description="Number of pieces that an answer may draw on."
    )
    minimum_score: Annotated[float, Field(ge=0, le=1000000)] | None = Field(
        default=None,
        description="Pieces that score less are not used (Sparse: BM25, unbounded above; Dense: on the scale of the distance)."
        " Default: all are used.",
    )
