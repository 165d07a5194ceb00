"""What a pod asks of its node, read from its template: resources, labels, tolerated taints."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .amounts import is_extended, pod_requests

Json = Mapping[str, Any]


class Requirement(NamedTuple):
    """`key` of a node's labels (or `metadata.name`, when `of_field`) against `values`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()
    of_field: bool = False


Term = tuple[Requirement, ...]
"""All of them must hold. A term without any holds nowhere."""


class Toleration(NamedTuple):
    """An empty key or effect stands for every one."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """What one pod needs. Hashable: verdicts are remembered by it.

    `requests` in thousandths of a CPU and whole units of the rest. `terms` None: no required affinity; else one of them
    must hold, beside the whole `selector`. `claims`: it needs devices by claims, which are not looked at here.
    """

    requests: tuple[tuple[str, int], ...] = ()
    selector: Term = ()
    terms: tuple[Term, ...] | None = None
    tolerations: tuple[Toleration, ...] = ()
    claims: bool = False

    @property
    def devices(self) -> tuple[tuple[str, int], ...]:
        """The extended resources that it asks for."""
        return tuple((name, value) for name, value in self.requests if is_extended(name))


def need_of(template: Json) -> Need:
    """Read a pod template, or a Pod."""
    spec = template["spec"]
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return Need(
        requests=tuple(sorted(pod_requests(spec).items())),
        selector=tuple(
            Requirement(key, "In", (value,)) for key, value in sorted((spec.get("nodeSelector") or {}).items())
        ),
        terms=None if required is None else tuple(map(_term, required.get("nodeSelectorTerms") or ())),
        tolerations=tuple(map(_toleration, spec.get("tolerations") or ())),
        claims=bool(spec.get("resourceClaims")),
    )


def _term(term: Json) -> Term:
    labels = [_requirement(entry, of_field=False) for entry in term.get("matchExpressions") or ()]
    return (*labels, *(_requirement(entry, of_field=True) for entry in term.get("matchFields") or ()))


def _requirement(entry: Json, *, of_field: bool) -> Requirement:
    return Requirement(entry["key"], entry["operator"], tuple(entry.get("values") or ()), of_field)


def _toleration(entry: Json) -> Toleration:
    return Toleration(
        entry.get("key") or "", entry.get("operator") or "Equal", entry.get("value") or "", entry.get("effect") or ""
    )
