"""What all API models share, and the texts that users mistype: each rule is stated once, for the server and for us.

Matches, Cel --> x-kubernetes-validations in the CRD (the API server refuses, with our message)
Matches      --> a validator of the model (an object stored before the rule was made is seen as unreadable)
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.annotated_handlers import GetCoreSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

VALIDATIONS = "x-kubernetes-validations"


class Part(BaseModel):
    """A part of an object. Immutable, camelCase on the wire; fields of newer CRDs are ignored (the CRD itself is strict)."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


def optional_in_schema(schema: dict[str, Any]) -> None:
    """Status fields have no defaults on the server: an absent one means that nothing is known."""
    for field in schema["properties"].values():
        field.pop("default", None)


def cel(rule: str, message: str, *, field: str | None = None, expression: str | None = None) -> dict[str, str]:
    """One rule of a model, for `ruled`.

    `field` is the path (".size") at which the server reports it; `expression` is CEL that makes the message, with
    `message` as the fallback.
    """
    made = {"rule": rule, "message": message}
    if expression is not None:
        made["messageExpression"] = expression
    if field is not None:
        made["fieldPath"] = field
    return made


def ruled(*rules: dict[str, str]) -> ConfigDict:
    """`model_config` of a part with rules over several of its fields."""
    return ConfigDict(json_schema_extra={VALIDATIONS: [dict[str, Any](rule) for rule in rules]})


def quoted(text: str) -> str:
    """`text` as a CEL string."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


@dataclass(frozen=True, slots=True)
class Cel:
    """A rule of one field that only the server applies."""

    rule: str
    message: str
    expression: str | None = None

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        shared = handler.resolve_ref_schema(handler(schema))
        # A copy: the definition of a part is one for all the fields that hold it, and the rule is of this field alone.
        return {
            **shared,
            VALIDATIONS: [*shared.get(VALIDATIONS, ()), cel(self.rule, self.message, expression=self.expression)],
        }


@dataclass(frozen=True, slots=True)
class Matches:
    """Text in which `pattern` is found (or not found: `forbidden`).

    The pattern must mean the same to RE2 and to Python: no `\\s` (the two differ in it), no look-around; `$` only at the
    end, where it means the very end and not, as Python has it, also before a last line break.
    """

    pattern: str
    message: str
    forbidden: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        rule = f"{'!' if self.forbidden else ''}self.matches({quoted(self.pattern)})"
        return Cel(rule, self.message).__get_pydantic_json_schema__(schema, handler)

    def _check(self, value: str) -> str:
        pattern = re.sub(r"\$$", r"\\Z", self.pattern)
        if (re.search(pattern, value) is not None) is self.forbidden:
            raise ValueError(self.message)
        return value


_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SAME_NAMESPACE = (
    'must be the name of an object in the same namespace: lower-case letters, digits, "-" and ".", without a namespace'
    " or path"
)

ObjectName = Annotated[
    str, Field(min_length=1, max_length=253), Matches(rf"^{_DNS_LABEL}(\.{_DNS_LABEL})*$", _SAME_NAMESPACE)
]
"""Name of a ConfigMap, Secret or claim."""

DataKey = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Matches(
        r"^[-_a-zA-Z0-9]*\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$",
        'must be a key: letters, digits, "-", "_" and ".", not a path',
    ),
]
"""A key in a ConfigMap or Secret."""

VersionName = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Matches(
        rf"^{_DNS_LABEL}(\.{_DNS_LABEL})*$",
        'must be a name like answer-v2 or 2026.11: lower-case letters, digits, "-" and ".", starting and ending with a'
        " letter or digit",
    ),
]
"""Name of one content, at most 63 characters: it becomes a label."""

Image = Annotated[
    str,
    Field(min_length=1, max_length=512),
    Matches(
        r"^[a-zA-Z0-9][a-zA-Z0-9._-]*(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$",
        "must be an image reference like registry.example.com/team/image:1.2 or image@sha256:<64 hex digits>, without"
        " https:// and spaces",
    ),
]
"""A container image."""


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_QUANTITY = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?\Z"
_INT_OR_STRING = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A Kubernetes quantity, written as text or number, of at least `least`; `hint` ends the message."""

    least: str
    example: str
    hint: str = ""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made = {key: value for key, value in handler(schema).items() if key not in {"type", "maxLength"}}
        # One rule: what a rule over a quantity may cost counts as if it were megabytes long, and the sum is limited.
        size = cel(
            f"isQuantity(string(self)) && !quantity(string(self)).isLessThan(quantity({quoted(self.least)}))",
            f"must be a quantity of at least {self.least}, like {self.example}{self.hint}",
        )
        return {**made, **_INT_OR_STRING, VALIDATIONS: [size]}


def _quantity(value: str) -> str:
    if re.search(_QUANTITY, value) is None:
        raise ValueError("must be a Kubernetes quantity")
    return value


_Quantity = Annotated[str, BeforeValidator(_text), AfterValidator(_quantity)]
_THOUSANDTHS = ' ("m" means thousandths of a byte; mebibytes are "Mi")'

Cpu = Annotated[_Quantity, AtLeast("1m", "500m or 2")]
Memory = Annotated[_Quantity, AtLeast("16Mi", "512Mi or 2Gi", _THOUSANDTHS)]
Disk = Annotated[_Quantity, AtLeast("64Mi", "10Gi", _THOUSANDTHS)]


class ConfigMapReference(Part):
    """A ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap, in the namespace of the RagService.")


class ConfigMapKeyReference(ConfigMapReference):
    """One key of a ConfigMap in the same namespace."""

    key: DataKey = Field(description="Key in the ConfigMap whose text is used.")


class SecretKeyReference(Part):
    """One key of a Secret in the same namespace. The operator never reads it; only the kubelet does."""

    name: ObjectName = Field(description="Name of the Secret, in the namespace of the RagService.")
    key: DataKey = Field(description="Key in the Secret.")
