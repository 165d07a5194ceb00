"""CPU, memory and scratch space of each component. The defaults differ, the fields do not."""

from pydantic import Field

from .base import Cpu, Disk, Memory, Part, cel, ruled

_REQUEST = "that the scheduler sets aside for each pod"
_LIMIT = "that a pod may use at most"
_CPU_REQUEST = f"CPU {_REQUEST}, in cores (500m is half a core)."
_MEMORY_REQUEST = f"Memory {_REQUEST}, in bytes (512Mi)."
_MEMORY_LIMIT = f"Memory {_LIMIT}, in bytes; above it the pod is ended."
_REQUESTS = "What the scheduler sets aside for each pod."
_LIMITS = "What a pod may use at most."


class Requests(Part):
    """What the scheduler sets aside for each pod."""

    cpu: Cpu = Field(description=_CPU_REQUEST)
    memory: Memory = Field(description=_MEMORY_REQUEST)
    ephemeral_storage: Disk | None = Field(
        default=None, alias="ephemeral-storage", description=f"Scratch space on the node {_REQUEST}, in bytes (1Gi)."
    )


class Limits(Part):
    """What a pod may use at most."""

    cpu: Cpu | None = Field(default=None, description=f"CPU {_LIMIT}, in cores. Without it a pod may use what is idle.")
    memory: Memory = Field(description=_MEMORY_LIMIT)
    ephemeral_storage: Disk | None = Field(
        default=None,
        alias="ephemeral-storage",
        description=f"Scratch space on the node {_LIMIT}, in bytes; above it the pod is evicted.",
    )


def _within(resource: str) -> dict[str, str]:
    """A pod that asks for more than it may use would be refused later and elsewhere."""
    name = resource.replace("-", "__dash__")
    asked, most = f"self.requests.{name}", f"self.limits.{name}"
    known = f"!has({asked}) || !has({most}) || !isQuantity(string({asked})) || !isQuantity(string({most}))"
    message = (
        f"requests.{resource} must not exceed limits.{resource}: lower the request or raise the limit (one that is not"
        " written has its default)"
    )
    return cel(f"{known} || !quantity(string({asked})).isGreaterThan(quantity(string({most})))", message)


class Resources(Part):
    """CPU, memory and scratch space of each pod of a component."""

    model_config = ruled(_within("cpu"), _within("memory"), _within("ephemeral-storage"))

    requests: Requests = Field(description=_REQUESTS)
    limits: Limits = Field(description=_LIMITS)


class ApiRequests(Requests):
    """Of the RAG API."""

    cpu: Cpu = Field(default="100m", description=_CPU_REQUEST)
    memory: Memory = Field(default="128Mi", description=_MEMORY_REQUEST)


class ApiLimits(Limits):
    """Of the RAG API."""

    memory: Memory = Field(default="512Mi", description=_MEMORY_LIMIT)


class ApiResources(Resources):
    """Of the RAG API."""

    requests: ApiRequests = Field(default=ApiRequests(), description=_REQUESTS)
    limits: ApiLimits = Field(default=ApiLimits(), description=_LIMITS)


class QdrantRequests(Requests):
    """Of the vector store."""

    cpu: Cpu = Field(default="100m", description=_CPU_REQUEST)
    memory: Memory = Field(default="256Mi", description=_MEMORY_REQUEST)


class QdrantLimits(Limits):
    """Of the vector store."""

    memory: Memory = Field(default="1Gi", description=_MEMORY_LIMIT)


class QdrantResources(Resources):
    """Of the vector store."""

    requests: QdrantRequests = Field(default=QdrantRequests(), description=_REQUESTS)
    limits: QdrantLimits = Field(default=QdrantLimits(), description=_LIMITS)


class ModelRequests(Requests):
    """Of a model server."""

    cpu: Cpu = Field(default="2", description=_CPU_REQUEST)
    memory: Memory = Field(default="8Gi", description=_MEMORY_REQUEST)


class ModelLimits(Limits):
    """Of a model server."""

    memory: Memory = Field(default="16Gi", description=_MEMORY_LIMIT)


class ModelResources(Resources):
    """Of a model server."""

    requests: ModelRequests = Field(default=ModelRequests(), description=_REQUESTS)
    limits: ModelLimits = Field(default=ModelLimits(), description=_LIMITS)


class IndexRequests(Requests):
    """Of the index Job."""

    cpu: Cpu = Field(default="100m", description=_CPU_REQUEST)
    memory: Memory = Field(default="128Mi", description=_MEMORY_REQUEST)


class IndexLimits(Limits):
    """Of the index Job."""

    memory: Memory = Field(default="1Gi", description=_MEMORY_LIMIT)


class IndexResources(Resources):
    """Of the index Job."""

    requests: IndexRequests = Field(default=IndexRequests(), description=_REQUESTS)
    limits: IndexLimits = Field(default=IndexLimits(), description=_LIMITS)
