"""What pods ask for and nodes have, as integers: CPU in thousandths, everything else in whole units, rounded up.

Sources: k8s.io/component-helpers/resource (PodRequests), the scheduler's framework types (Resource).
"""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from ..quantities import value_of

Json = Mapping[str, Any]
Amounts = dict[str, int]

CPU, PODS = "cpu", "pods"
OF_WHOLE_POD = ("cpu", "memory", "hugepages-")


def is_extended(resource: str) -> bool:
    """A device-like resource: a name with a domain that is not Kubernetes' own, as the API server tells them."""
    return "/" in resource and "kubernetes.io/" not in resource and not resource.startswith("requests.")


@lru_cache(maxsize=4096)
def amount(resource: str, quantity: str) -> int:
    """A quantity as an integer. Text that is no quantity is 0: the API server would not have stored it."""
    value = value_of(quantity)
    if value is None:
        return 0
    return math.ceil(value * 1000) if resource == CPU else math.ceil(value)


def amounts(quantities: Json | None) -> Amounts:
    """All of a resource list."""
    return {resource: amount(resource, str(quantity)) for resource, quantity in (quantities or {}).items()}


def pod_requests(spec: Json) -> Amounts:
    """What the scheduler reserves for a pod: containers together, or the hungriest moment of its start, and the overhead.

    A limit without a request counts as the request: the API server fills it in when the pod is stored.
    """
    running: Amounts = {}
    for container in spec.get("containers") or ():
        _add(running, _requests(container))
    beside: Amounts = {}
    hungriest: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _requests(container)
        if container.get("restartPolicy") == "Always":  # a sidecar: it stays while the later ones run
            _add(running, own)
            _add(beside, own)
            own = dict(beside)
        else:
            _add(own, beside)
        _raise_to(hungriest, own)
    _raise_to(running, hungriest)
    whole = _requests(spec)
    running.update({name: value for name, value in whole.items() if name.startswith(OF_WHOLE_POD)})
    _add(running, amounts(spec.get("overhead")))
    return {name: value for name, value in running.items() if value}


def _requests(holder: Json) -> Amounts:
    resources = holder.get("resources") or {}
    return amounts(resources.get("limits")) | amounts(resources.get("requests"))


def _add(total: Amounts, more: Mapping[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _raise_to(total: Amounts, least: Mapping[str, int]) -> None:
    for name, value in least.items():
        total[name] = max(total.get(name, 0), value)


def sum_of(parts: Iterable[Iterable[tuple[str, int]]]) -> Amounts:
    """Element-wise sum."""
    total: Amounts = {}
    for part in parts:
        for name, value in part:
            total[name] = total.get(name, 0) + value
    return total
