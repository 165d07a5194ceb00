"""`spec.model.vllm.source`, `.cache` and `.prefetch`: where the weights come from, where they lie, and how they get there."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import Cpu, Disk, Image, Matches, Memory, ObjectName, Part, SecretKeyReference, cel, ruled
from .compute import Limits, Requests, Resources
from .paths import RelativePath
from .url import Url
from .volume import CANNOT_CHANGE, SAME_CLASS, Grows

_ONE_SOURCE = "set at most one of hub, s3, persistentVolumeClaim and image"

S3Url = Annotated[
    str,
    Field(min_length=6, max_length=512),
    Matches(
        r"^s3://[a-z0-9][a-z0-9._-]*(/[A-Za-z0-9!_.*'()=+@-]+)*/?$",
        "must be like s3://bucket/folder",
    ),
    Matches(r"/\.{1,2}(/|$)", 'must not hold "." or ".." as a folder', forbidden=True),
]


class HubSource(Part):
    """A model hub, by its client library's protocol."""

    endpoint: Url | None = Field(
        default=None, description="Address of a mirror, like https://hub.example.com. Default: the public hub."
    )
    token_secret_ref: SecretKeyReference | None = Field(
        default=None, description="Secret with an access token, for models that not everybody may read."
    )


class SecretReference(Part):
    """A Secret in the same namespace. The operator never reads it; only the kubelet does."""

    name: ObjectName = Field(description="Name of the Secret, in the namespace of the RagService.")


class S3Source(Part):
    """A folder of a bucket that speaks S3."""

    url: S3Url = Field(description="The folder with the model's files, like s3://models/qwen2.5-1.5b.")
    endpoint: Url | None = Field(
        default=None, description="Address of the store, like https://minio.example.com. Default: the region's of AWS."
    )
    region: (
        Annotated[
            str,
            Field(min_length=1, max_length=63),
            Matches("^[a-z0-9][a-z0-9-]*$", "must be a region, like eu-central-1"),
        ]
        | None
    ) = Field(default=None, description="Region of the bucket. Default: us-east-1.")
    credentials_secret_ref: SecretReference | None = Field(
        default=None,
        description="Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN for temporary"
        " ones. Default: the bucket is read without signing.",
    )


class ClaimWeights(Part):
    """Weights on a volume of yours. It is mounted read-only."""

    claim_name: ObjectName = Field(description="Name of the PersistentVolumeClaim, in the namespace of the RagService.")
    path: RelativePath | None = Field(
        default=None, description="Folder of the model's files, relative. Default: the whole volume."
    )


class ImageWeights(Part):
    """Weights in a container image, mounted as a volume (Kubernetes 1.35 or newer, and a container runtime that can)."""

    reference: Image = Field(description="The image, like registry.example.com/models/qwen2.5-1.5b:1.")
    path: RelativePath | None = Field(
        default=None, description="Folder of the model's files in the image, relative. Default: the whole image."
    )


class ModelSource(Part):
    """Where the weights come from. At most one of its fields; none means `hub: {}`.

    What is downloaded is named by model.name and model.revision, wherever it comes from. What is mounted is named by its volume or
    image: another one is another model.
    """

    model_config = ruled(
        cel(
            "[has(self.hub), has(self.s3), has(self.persistentVolumeClaim), has(self.image)].filter(x, x).size() <= 1",
            _ONE_SOURCE,
        )
    )

    hub: HubSource | None = Field(default=None, description="Download model.name at model.revision from a model hub.")
    s3: S3Source | None = Field(default=None, description="Download from a bucket that speaks S3.")
    persistent_volume_claim: ClaimWeights | None = Field(
        default=None, description="Mount a volume that holds the weights; nothing is downloaded."
    )
    image: ImageWeights | None = Field(
        default=None, description="Mount a container image that holds the weights; nothing is downloaded."
    )

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if sum(part is not None for part in (self.hub, self.s3, self.persistent_volume_claim, self.image)) > 1:
            raise ValueError(_ONE_SOURCE)
        return self

    @property
    def downloads(self) -> bool:
        """Whether the weights have to be fetched, rather than mounted."""
        return self.persistent_volume_claim is None and self.image is None


class CacheType(StrEnum):
    """Where weights and compiled code lie."""

    VOLUME = "Volume"
    EPHEMERAL = "Ephemeral"


class CacheAccess(StrEnum):
    """Which pods may mount the cache's volume at once."""

    READ_WRITE_ONCE = "ReadWriteOnce"
    READ_WRITE_MANY = "ReadWriteMany"


class ModelCache(Part):
    """Where downloaded weights and compiled code are kept."""

    model_config = ruled(
        SAME_CLASS,
        cel("self.accessMode == oldSelf.accessMode", CANNOT_CHANGE, field=".accessMode"),
    )

    type: CacheType = Field(
        default=CacheType.VOLUME,
        description="Volume: the claim <name>-model-cache, filled by a Job before a GPU is asked for, and kept over restarts."
        " Ephemeral: scratch space of each pod, which downloads for itself.",
    )
    size: Annotated[Disk, *Grows] = Field(
        default="100Gi",
        description="Size of the volume or scratch space, in bytes. A volume may grow where the storage class allows it, never"
        " shrink.",
    )
    storage_class_name: ObjectName | None = Field(
        default=None,
        description="Storage class of the volume; it cannot be changed. Default: the cluster's default class.",
    )
    access_mode: CacheAccess = Field(
        default=CacheAccess.READ_WRITE_ONCE,
        description="ReadWriteOnce: pods on one node at a time, so that one pod gives way before the next starts."
        " ReadWriteMany: needed for more than one replica. It cannot be changed.",
    )


class FetchRequests(Requests):
    """Of the fetch Job."""

    cpu: Cpu = Field(default="500m", description="CPU that the scheduler sets aside, in cores (500m is half a core).")
    memory: Memory = Field(default="256Mi", description="Memory that the scheduler sets aside, in bytes (512Mi).")


class FetchLimits(Limits):
    """Of the fetch Job."""

    memory: Memory = Field(default="1Gi", description="Memory that the pod may use at most, in bytes.")


class FetchResources(Resources):
    """Of the fetch Job."""

    requests: FetchRequests = Field(default=FetchRequests(), description="What the scheduler sets aside for the pod.")
    limits: FetchLimits = Field(default=FetchLimits(), description="What the pod may use at most.")


class Prefetch(Part):
    """The Job that fills the cache's volume."""

    resources: FetchResources = Field(
        default=FetchResources(), description="CPU, memory and scratch space of the fetch Job."
    )
    deadline_seconds: Annotated[int, Field(ge=60, le=604800)] = Field(
        default=21600, description="How long the fetch Job may take before it counts as failed, in seconds."
    )
