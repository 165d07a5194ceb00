"""`spec.model.vllm.gpu` and `.resourceClaims`: the devices of one pod."""

from typing import Annotated

from pydantic import Field

from .base import Matches, ObjectName, Part, cel, ruled
from .placement import LabelValue

MAX_GPUS = 8

SHARED_GPU = (
    "gpu.count above 1 needs whole GPUs, and this is a share of one: set gpu.count to 1, or name a resource, product and"
    " node that is not shared"
)
"""Said wherever several GPUs are asked of a node that hands out shares."""

ResourceName = Annotated[
    str,
    Field(min_length=3, max_length=253),
    Matches(
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        "must be an extended resource with its domain, like nvidia.com/gpu",
    ),
]


class Gpu(Part):
    """The GPUs of one pod. They are asked for in limits, whole."""

    model_config = ruled(
        cel(
            "self.count <= 1 || !(self.resourceName.endsWith('.shared') || self.resourceName.contains('/mig-'))",
            SHARED_GPU,
            field=".count",
        ),
        cel("self.count <= 1 || !has(self.product) || !self.product.endsWith('-SHARED')", SHARED_GPU, field=".count"),
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
