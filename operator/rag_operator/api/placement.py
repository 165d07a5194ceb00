"""`spec.model.vllm.nodeSelector`, `.tolerations`, `.nodeAffinity` and the classes: where the pods of a model server run."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .base import Cel, Matches, ObjectName, Part, cel, quoted, ruled

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
