"""Which collections stay and which one outside readers are to find; and what the last sweep was asked for. Pure."""

from dataclasses import dataclass

from pydantic import ValidationError
from rag_contract.environment import SweepEnvironment
from rag_contract.reports import SweepResult

from .. import names
from ..observed import Json, Observed, component_of, variables
from .plan import Plan


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep is asked for. `target` is the collection that the alias is to name, empty before the first release."""

    target: str
    keep: tuple[str, ...]


def wanted_sweep(plan: Plan) -> Sweep | None:
    """None while it is not known which index is declared: its collection might be among those that would go."""
    if plan.index is None:
        return None
    served = (*plan.retained, *plan.table.revisions)
    keep = {plan.index.collection, *(revision.index.collection for revision in served)}
    return Sweep(plan.serving.index.collection if plan.serving is not None else "", tuple(sorted(keep)))


def sweeps(observed: Observed) -> list[Json]:
    """The sweep Jobs, by name."""
    return [job for job in observed.of_kind("Job") if component_of(job) == names.COMPONENT_SWEEP]


def newest_sweep(observed: Observed) -> Json | None:
    """The sweep Job that was made last."""
    found = [job for job in sweeps(observed) if "deletionTimestamp" not in job["metadata"]]
    return max(found, key=made_at, default=None)


def made_at(body: Json) -> str:
    """When an object was made: RFC 3339 in UTC, which sorts as time does."""
    return str(body["metadata"].get("creationTimestamp") or "")


def asked(job: Json) -> Sweep:
    """What a sweep Job was made for."""
    told = {name: text for name, text in variables(job).items() if name.startswith(SweepEnvironment.prefix)}
    try:
        settings = SweepEnvironment.from_env(told)
    except ValidationError:  # an earlier operator's
        return Sweep("", ())
    return Sweep(settings.target or "", tuple(sorted(settings.kept())))


def sweep_result(observed: Observed, job: Json) -> SweepResult | None:
    """What the Job's pod said last, as long as it is there."""
    for pod in observed.pods_of(names.COMPONENT_SWEEP):
        if pod.labels.get("job-name") == job["metadata"]["name"] and pod.message:
            try:
                return SweepResult.model_validate_json(pod.message)
            except ValidationError:
                continue
    return None
