"""`status.collections`: what lies in the vector store, what outside readers find there, and what a sweep waits for."""

from .. import names
from ..faults import Fault, controller_fault, short
from ..observed import Json, finished
from ..releases import index_result
from ..releases.sweep import Sweep, asked, newest_sweep, sweep_result, wanted_sweep
from .facts import Facts


def collections_status(facts: Facts) -> Json:
    """The whole field. While the declared index is not known it stays as it was."""
    wish, stored = wanted_sweep(facts.plan), facts.observed.status.get("collections") or {}
    if wish is None:
        return {"collections": stored} if stored else {}
    told = {
        "alias": names.index_alias(facts.observed.service.metadata.namespace, facts.name),
        "aliasNames": _named(facts) or stored.get("aliasNames"),
        "kept": [_kept(facts, name, stored) for name in wish.keep],
        "sweep": _waits_for(facts, wish),
    }
    return {"collections": {key: value for key, value in told.items() if value is not None}}


def refresh_status(facts: Facts) -> Json:
    """The schedule of builds, since when it counts, and when the next one is due: nothing is while nothing would be started."""
    refresh = facts.plan.refresh
    if refresh is None:
        return {}
    told = {"schedule": refresh.schedule, "since": refresh.since, "next": refresh.next or None}
    return {"indexRefresh": {key: value for key, value in told.items() if value is not None}}


def _named(facts: Facts) -> str | None:
    """What the alias names, as far as a Job that ended well has read it back."""
    last, index = newest_sweep(facts.observed), facts.plan.index
    if last is not None:
        return asked(last).target or None if _done(last) else None
    result = index_result(facts.observed, index) if index is not None else None
    return result.alias or None if result is not None else None


def _kept(facts: Facts, collection: str, stored: Json) -> Json:
    """Counts from the records, or from the index Job that has just ended; the bytes were told once and are remembered."""
    plan = facts.plan
    found = [one.index for one in (*plan.history, *plan.table.revisions) if one.index.collection == collection]
    if plan.verified is not None and plan.verified.collection == collection:
        found.append(plan.verified)
    counts = {"documents": found[0].documents, "chunks": found[0].chunks} if found else {}
    version = found[0].version if found else plan.index.version if plan.index is not None else ""
    return {"name": collection, "index": version, **counts, **_bytes(facts, collection, stored)}


def _bytes(facts: Facts, collection: str, stored: Json) -> Json:
    index = facts.plan.index
    result = index_result(facts.observed, index) if index is not None and index.collection == collection else None
    if result is not None and result.disk_bytes:
        return {"bytes": result.disk_bytes}
    known = [one["bytes"] for one in stored.get("kept") or () if one["name"] == collection and "bytes" in one]
    return {"bytes": known[0]} if known else {}


def _waits_for(facts: Facts, wish: Sweep) -> str | None:
    """What a sweep that has not ended well does or waits for."""
    refused, last = facts.refusal(names.COMPONENT_SWEEP), newest_sweep(facts.observed)
    if refused is not None:
        return short(f"No sweep of old collections can be started: {refused.message}")
    if last is None or _done(last):
        return None
    name = last["metadata"]["name"]
    if last["spec"].get("suspend"):
        return f"Job {name} waits until what it would drop is neither written nor asked any more."
    said, fault = sweep_result(facts.observed, last), _fault(facts, last)
    if said is not None and said.outcome == "Failed":
        return short(f"{said.message} Job {name} tries again.")
    if fault is not None:
        return short(fault.message)
    goes = f'sets the alias to "{wish.target}" and ' if wish.target else ""
    return f"Job {name} {goes}drops collections that are not kept."


def _fault(facts: Facts, job: Json) -> Fault | None:
    pods = facts.observed.pods_of(names.COMPONENT_SWEEP)
    mine = [pod for pod in pods if pod.labels.get("job-name") == job["metadata"]["name"]]
    return controller_fault(job, facts.observed.notices) or facts.pod_fault(mine)


def _done(job: Json) -> bool:
    end = finished(job)
    return end is not None and end[0] == "Complete"
