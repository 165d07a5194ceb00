"""`spec.model.vllm`: a model server of our own."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .base import Image, Matches, Memory, Part, cel, ruled
from .compute import ModelResources
from .engine import ARGUMENT_RULES
from .gpu import SHARED_GPU, Gpu, ResourceClaim
from .model_source import ModelCache, ModelSource, Prefetch
from .placement import ClassName, NodeAffinity, NodeLabels, Toleration


class RollOutWish(StrEnum):
    """How pods are exchanged."""

    AUTO = "Auto"
    SURGE = "Surge"
    REPLACE = "Replace"


EngineArgument = Annotated[
    str,
    Field(min_length=1, max_length=512),
    Matches(r"[\x00-\x08\x0a-\x1f\x7f]", "must not hold control characters", forbidden=True),
    *ARGUMENT_RULES,
]


class Vllm(Part):
    """A model server of our own: vLLM on GPUs."""

    model_config = ruled(
        cel(
            "self.gpu.count <= 1 || !('nvidia.com/gpu.sharing-strategy' in self.nodeSelector)"
            " || self.nodeSelector['nvidia.com/gpu.sharing-strategy'] == 'none'",
            SHARED_GPU,
            field=".gpu.count",
        ),
        cel(
            "self.replicas <= 1 || self.cache.type != 'Volume' || self.cache.accessMode == 'ReadWriteMany'",
            "more than one replica needs a cache that several nodes may mount: set cache.accessMode to ReadWriteMany, or"
            " cache.type to Ephemeral",
            field=".replicas",
        ),
        cel(
            "!has(self.source.s3) || self.cache.type == 'Volume'",
            "source.s3 needs a cache that the fetch Job fills: set cache.type to Volume",
            field=".source.s3",
        ),
    )

    image: Image | None = Field(
        default=None,
        description="Container image: the operator's model server, or any vllm/vllm-openai of version 0.18 or newer. Default:"
        " the operator's setting.",
    )
    launcher: bool | None = Field(
        default=None,
        description="True: the image holds the operator's launcher, which checks arguments before anything loads, finds hangs"
        " and explains failures. False: it is a stock image. Default: true without image, false with one.",
    )
    args: tuple[EngineArgument, ...] = Field(
        default=(),
        max_length=48,
        description="More arguments of `vllm serve`, like --max-num-seqs=64. Those that the operator sets, and those that vLLM"
        " has removed, are refused with what to write instead.",
    )
    source: ModelSource = Field(default=ModelSource(), description="Where the weights come from. Default: a model hub.")
    cache: ModelCache = Field(default=ModelCache(), description="Where downloaded weights and compiled code are kept.")
    prefetch: Prefetch = Field(default=Prefetch(), description="The Job that downloads the weights.")
    replicas: Annotated[int, Field(ge=0, le=20)] = Field(default=1, description="Number of pods.")
    gpu: Gpu = Field(default=Gpu(), description="The GPUs of each pod.")
    resource_claims: tuple[ResourceClaim, ...] = Field(
        default=(),
        max_length=8,
        description="Devices by dynamic resource allocation. When set, GPUs are not asked for by gpu.resourceName; gpu.count"
        " still says how many a pod gets.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    node_selector: NodeLabels = Field(default={}, description="Labels that a node must have.")
    tolerations: tuple[Toleration, ...] = Field(
        default=(), max_length=16, description="Taints of nodes that the pods bear, beside the usual one of GPU nodes."
    )
    node_affinity: NodeAffinity = Field(
        default=NodeAffinity(), description="Which nodes the pods may run on, beyond nodeSelector."
    )
    runtime_class_name: ClassName | None = Field(
        default=None,
        description="RuntimeClass of the pods, one of those that the operator's setting allows. Default: the cluster's.",
    )
    priority_class_name: ClassName | None = Field(
        default=None, description="PriorityClass of the pods, an existing one. Default: the cluster's."
    )
    resources: ModelResources = Field(
        default=ModelResources(), description="CPU, memory and scratch space of each pod, GPUs and shared memory apart."
    )
    shared_memory: Memory | None = Field(
        default=None,
        description="Size of /dev/shm, in bytes (2Gi); it is added to the memory of the pod. Default: 1Gi for each GPU above"
        " one GPU, else none.",
    )
    max_model_tokens: Annotated[int, Field(ge=256, le=4194304)] | None = Field(
        default=None,
        description="Longest prompt and answer together, in tokens (--max-model-len). Default: what the model was made for.",
    )
    gpu_memory_percent: Annotated[int, Field(ge=5, le=99)] = Field(
        default=90,
        description="Share of each GPU's memory that the engine takes, in per cent (--gpu-memory-utilization).",
    )
    trust_remote_code: bool = Field(
        default=False,
        description="True: Python code in the model's repository is run in the pod. The operator's setting can forbid it.",
    )
    strategy: RollOutWish = Field(
        default=RollOutWish.AUTO,
        description="Auto: beside the old pods when a GPU is free, else one by one, else after them. Surge: only beside them."
        " Replace: never beside them.",
    )
    load_deadline_seconds: Annotated[int, Field(ge=60, le=86400)] = Field(
        default=1800,
        description="How long a pod may take from its start until it answers, in seconds: download, load and compilation.",
    )
    drain_seconds: Annotated[int, Field(ge=0, le=3600)] = Field(
        default=60,
        description="How long a pod that is ended goes on answering the requests that it has begun, in seconds.",
    )
    stall_seconds: Annotated[int, Field(ge=10, le=3600)] = Field(
        default=120,
        description="How long an engine may do nothing while requests wait until it is started anew, in seconds. A stock image"
        " is judged by how long its server answers no probe.",
    )
