"""`spec.model`: what turns sources into an answer, and, for a model server of ours, where and how it runs."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import Cel, Image, Matches, Memory, ObjectName, Part, SecretKeyReference, cel, quoted, ruled
from .compute import ModelResources
from .engine import ARGUMENT_RULES
from .model_source import ModelCache, ModelSource, Prefetch
from .vector_store import Url

MAX_GPUS = 8

_NO_NAME = "runtime VLLM needs the name of a model: set model.name, like Qwen/Qwen2.5-1.5B-Instruct"
_NO_VLLM = "runtime VLLM needs the block vllm: add it ({} takes all defaults)"
_NO_EXTERNAL = "runtime External needs the block external: add its url and model"
_ONE_FALLBACK = "set exactly one of external and extractive"
_SHARED = (
    "gpu.count above 1 needs whole GPUs, and this is a share of one: set gpu.count to 1, or name a resource, product and"
    " node that is not shared"
)

ModelName = Annotated[
    str,
    Field(min_length=1, max_length=256),
    Matches(
        r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$",
        'must be the name of a model, like Qwen/Qwen2.5-1.5B-Instruct: letters, digits and "._:/@+-", no spaces',
    ),
]

ModelRevision = Annotated[
    str,
    Field(min_length=1, max_length=128),
    Matches(
        r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$",
        "must be a commit (40 hex digits), a tag or a branch of the model's repository",
    ),
]

_LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"

LabelKey = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Matches(_LABEL_KEY, "must be a label key, like nvidia.com/gpu.product"),
]

LabelValue = Annotated[
    str,
    Field(max_length=63),
    Matches(r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", "must be a label value, like NVIDIA-L4"),
]

ResourceName = Annotated[
    str,
    Field(min_length=3, max_length=253),
    Matches(
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        "must be an extended resource with its domain, like nvidia.com/gpu",
    ),
]

ClassName = Annotated[
    ObjectName,
    Matches("^system-", "must not be one of Kubernetes' own classes (system-...)", forbidden=True),
]


NodeLabels = Annotated[
    dict[str, LabelValue],
    Field(max_length=16),
    Cel(
        f"self.all(key, key.size() <= 253 && key.matches({quoted(_LABEL_KEY)}))",
        "keys must be label keys, like nvidia.com/gpu.product",
    ),
]


class ModelRuntime(StrEnum):
    """What turns sources into an answer."""

    EXTRACTIVE = "Extractive"
    VLLM = "VLLM"
    EXTERNAL = "External"


class Extractive(Part):
    """Answers made of the sources' own sentences."""

    max_sentences: Annotated[int, Field(ge=1, le=10)] = Field(default=3, description="Sentences in an answer, at most.")


class Gpu(Part):
    """The GPUs of one pod. They are asked for in limits, whole."""

    model_config = ruled(
        cel(
            "self.count <= 1 || !(self.resourceName.endsWith('.shared') || self.resourceName.contains('/mig-'))",
            _SHARED,
            field=".count",
        ),
        cel("self.count <= 1 || !has(self.product) || !self.product.endsWith('-SHARED')", _SHARED, field=".count"),
    )

    count: Annotated[int, Field(ge=0, le=MAX_GPUS)] = Field(
        default=1,
        description="GPUs of one pod, which is also the tensor parallel size. 0 runs an image of vLLM that needs no GPU.",
    )
    resource_name: ResourceName = Field(
        default="nvidia.com/gpu",
        description="Extended resource that a node's device plugin advertises, like nvidia.com/gpu or amd.com/gpu.",
    )
    product: LabelValue | None = Field(
        default=None,
        description="Only nodes with this GPU, by the label nvidia.com/gpu.product (amd.com/gpu.product-name), like NVIDIA-L4.",
    )


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does to pods."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Part):
    """A taint of nodes that the pods bear. The taint of GPU nodes is borne without being named."""

    model_config = ruled(
        cel(
            "self.operator != 'Exists' || !has(self.value)",
            "value has no meaning with operator Exists: remove value, or set operator to Equal",
        )
    )

    key: LabelKey = Field(description="Key of the taint.")
    operator: TolerationOperator = Field(
        default=TolerationOperator.EXISTS, description="Exists: any value. Equal: this value."
    )
    value: LabelValue | None = Field(default=None, description="Value of the taint, for Equal.")
    effect: TaintEffect | None = Field(default=None, description="Effect of the taint. Default: every effect.")
    toleration_seconds: Annotated[int, Field(ge=0, le=86400)] | None = Field(
        default=None, description="With NoExecute: how long the pod stays, in seconds. Default: for ever."
    )


class NodeOperator(StrEnum):
    """How the label of a node is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    LT = "Lt"


class NodeRequirement(Part):
    """What the label of a node must be."""

    model_config = ruled(
        cel(
            "self.operator in ['Exists', 'DoesNotExist'] ? self.values.size() == 0 : self.values.size() > 0",
            "In and NotIn need values, Gt and Lt one number, Exists and DoesNotExist none",
        ),
        cel(
            "!(self.operator in ['Gt', 'Lt']) || (self.values.size() == 1 && self.values[0].matches('^[0-9]+$'))",
            "Gt and Lt need exactly one whole number in values",
        ),
    )

    key: LabelKey = Field(description="Key of the label.")
    operator: NodeOperator = Field(
        default=NodeOperator.IN, description="In, NotIn, Exists, DoesNotExist; Gt and Lt compare whole numbers."
    )
    values: tuple[LabelValue, ...] = Field(default=(), max_length=32, description="Values to compare with.")


class NodePreference(NodeRequirement):
    """What the label of a node should be."""

    weight: Annotated[int, Field(ge=1, le=100)] = Field(default=50, description="How much it counts beside the others.")


class NodeAffinity(Part):
    """Which nodes the pods may run on, beyond nodeSelector."""

    required: tuple[NodeRequirement, ...] = Field(
        default=(), max_length=16, description="All of these must hold for a node."
    )
    preferred: tuple[NodePreference, ...] = Field(
        default=(), max_length=16, description="Nodes for which more of these hold are taken first."
    )


class ResourceClaim(Part):
    """Devices by dynamic resource allocation: a claim of each pod's own, made from a template."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=63),
        Matches("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", 'must be a name: lower-case letters, digits and "-"'),
    ] = Field(description="Name of the claim inside the pod.")
    resource_claim_template_name: ObjectName = Field(
        description="Name of the ResourceClaimTemplate, in the namespace of the RagService."
    )


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
            _SHARED,
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


class ModelProtocol(StrEnum):
    """What an external server speaks."""

    OPENAI = "OpenAI"


class ExternalModel(Part):
    """A model server that runs elsewhere: a provider, KServe, Ray Serve, TGI, Triton, BentoML."""

    url: Url = Field(description="Its address up to before /v1, like https://models.example.com, without credentials.")
    model: ModelName = Field(description="The name by which it knows the model.")
    protocol: ModelProtocol = Field(default=ModelProtocol.OPENAI, description="OpenAI: /v1/chat/completions.")
    api_key_secret_ref: SecretKeyReference | None = Field(
        default=None, description="Secret with the key that the server demands as a bearer token."
    )


class ExtractiveFallback(Part):
    """The sources' own sentences, without a model."""


class ModelFallback(Part):
    """What answers when the model does not. Exactly one of its fields."""

    model_config = ruled(cel("has(self.external) != has(self.extractive)", _ONE_FALLBACK))

    external: ExternalModel | None = Field(default=None, description="Another model server.")
    extractive: ExtractiveFallback | None = Field(
        default=None, description="Write {}: the sources' own sentences answer, without a model."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.external is None) == (self.extractive is None):
            raise ValueError(_ONE_FALLBACK)
        return self


class ModelPrices(Part):
    """What tokens cost, for the cost of answers in the metrics."""

    currency: Annotated[
        str, Field(min_length=1, max_length=8), Matches("^[A-Za-z]+$", "must be a currency like USD or VND")
    ] = Field(default="USD", description="Currency of the prices, like USD.")
    prompt_per_million: Annotated[float, Field(ge=0, le=1000000000)] = Field(
        default=0, description="Price of one million tokens that are read."
    )
    completion_per_million: Annotated[float, Field(ge=0, le=1000000000)] = Field(
        default=0, description="Price of one million tokens that are written."
    )


class Model(Part):
    """What turns sources into an answer. Blocks of runtimes that are not chosen may stay, to switch by one field."""

    model_config = ruled(
        cel("self.runtime != 'VLLM' || has(self.name)", _NO_NAME, field=".name"),
        cel("self.runtime != 'VLLM' || has(self.vllm)", _NO_VLLM, field=".vllm"),
        cel("self.runtime != 'External' || has(self.external)", _NO_EXTERNAL, field=".external"),
    )

    runtime: ModelRuntime = Field(
        default=ModelRuntime.EXTRACTIVE,
        description="Extractive: the sentences of the sources that fit the question best, without a model server or a GPU."
        " VLLM: a model server that the operator runs. External: one that runs elsewhere.",
    )
    name: ModelName | None = Field(
        default=None,
        description="VLLM: repository of the model, like Qwen/Qwen2.5-1.5B-Instruct. External: what to call it; default"
        " external.model.",
    )
    revision: ModelRevision | None = Field(
        default=None,
        description="Commit of the repository, 40 hex digits. A branch or tag is taken, too, but may mean another model tomorrow.",
    )
    extractive: Extractive = Field(default=Extractive(), description="Settings of the Extractive runtime.")
    vllm: Vllm | None = Field(default=None, description="Settings of the VLLM runtime.")
    external: ExternalModel | None = Field(default=None, description="Settings of the External runtime.")
    fallback: tuple[ModelFallback, ...] = Field(
        default=(), max_length=4, description="What answers when the model does not, in this order."
    )
    enabled: bool = Field(
        default=True,
        description="False: the model is not asked, fallback answers. It acts at once and makes no release.",
    )
    prices: ModelPrices | None = Field(default=None, description="What tokens cost, for the cost of answers.")

    @model_validator(mode="after")
    def _runtime_is_described(self) -> Self:
        if self.runtime is ModelRuntime.VLLM and self.name is None:
            raise ValueError(_NO_NAME)
        if self.runtime is ModelRuntime.VLLM and self.vllm is None:
            raise ValueError(_NO_VLLM)
        if self.runtime is ModelRuntime.EXTERNAL and self.external is None:
            raise ValueError(_NO_EXTERNAL)
        return self
