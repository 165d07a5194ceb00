"""What the conditions look at, and what one says. `Facts` is all input; `Verdict` is one condition without book-keeping."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from rag_contract.model_fetch import FetchProgress

from .. import names
from ..api import Reason
from ..errors import InvalidSpec
from ..faults import Fault, first_fault, probe_fault, refusal_fault
from ..observed import Json, Observed, Pod, PodAnswer, Refusal
from ..releases import Plan

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"
KEY_REFUSED = "refused this API's key"
"""Of the API's own words about its vector store."""


class Verdict(NamedTuple):
    """One condition without its book-keeping."""

    status: str
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the conditions look at. `answers` are by pod name."""

    observed: Observed
    plan: Plan
    problem: InvalidSpec | None
    refusals: tuple[Refusal, ...]
    answers: Mapping[str, PodAnswer]
    now: datetime
    fetches: Mapping[str, FetchProgress] = field(default_factory=dict)
    """What the pods that download weights say, by pod name."""
    outdated: tuple[str, ...] = ()
    """Components that run as another build of the operator rendered them."""
    engine_use: Mapping[str, float] = field(default_factory=dict)
    """Share of the last hour that requests spent in a model pod's engine, at most, by pod name."""

    @property
    def name(self) -> str:
        return self.observed.service.metadata.name

    @property
    def suspended(self) -> bool:
        return self.observed.service.spec.suspend

    @property
    def api_pods(self) -> tuple[Pod, ...]:
        """Those that run or will: an evicted one stays as a record beside the one that replaced it."""
        return tuple(pod for pod in self.observed.pods_of(names.COMPONENT_API) if not pod.ended)

    def pod_fault(self, pods: Iterable[Pod]) -> Fault | None:
        """What keeps one of these pods from running."""
        return first_fault(pods, self.now, self.observed.notices)

    def probe_fault(self, pods: Iterable[Pod]) -> Fault | None:
        """What the failing probe of one of these pods says."""
        return probe_fault(pods, self.now, self.observed.notices)

    def refusal(self, *components: str) -> Fault | None:
        """The first refused write of these components, in a stable order."""
        found = sorted((refusal for refusal in self.refusals if refusal.component in components), key=lambda r: r.child)
        return refusal_fault(found[0]) if found else None

    def failing(self, check: str) -> str | None:
        """What a pod says about a failing readiness check; None when no pod says that it fails."""
        for name in sorted(self.answers):
            for item in self.answers[name].checks:
                if item.name == check and not item.ok:
                    return f"Pod {name}: {item.message}"
        return None

    def noted(self, check: str) -> str | None:
        """What a pod with the wanted table says about a readiness check that holds; None when none has a word on it."""
        table = self.plan.table.table_hash()
        for name in sorted(self.answers):
            models = self.answers[name].models
            for item in self.answers[name].checks if models is not None and models.table_hash == table else ():
                if item.name == check and item.ok and item.message:
                    return f"Pod {name}: {item.message}"
        return None


# Reasons of work under way: they are shown only when nothing is wrong.
UNDER_WAY = frozenset(
    {
        Reason.QdrantStarting,
        Reason.ApiStarting,
        Reason.IndexBuilding,
        Reason.GpuPending,
        Reason.GpuFreedSoon,
        Reason.ModelLoading,
        Reason.ModelFetching,
        Reason.WaitingForIndex,
        Reason.WaitingForApi,
        Reason.TableRefreshing,
        Reason.CollectionMissing,
    }
)


def fault_verdict(fault: Fault) -> Verdict:
    """Something is wrong."""
    return Verdict(FALSE, fault.reason, fault.message)


def is_suspended() -> Verdict:
    """Of a part that does not run because the whole does not."""
    return Verdict(FALSE, Reason.Suspended, "The service is suspended: set spec.suspend to false to run it.")


def ratio(body: Json | None) -> str:
    """Ready of wanted replicas, like 1/2."""
    if body is None:
        return "0/0"
    return f"{(body.get('status') or {}).get('readyReplicas', 0)}/{body['spec'].get('replicas', 0)}"
