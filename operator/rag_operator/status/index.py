"""The condition of the index: is what is to be served built and verified?"""

from .. import names
from ..api import Reason
from ..faults import Fault, controller_fault, short
from ..observed import Json, Pod, finished
from ..releases import index_result, rebuilt_otherwise
from .facts import FALSE, KEY_REFUSED, TRUE, UNKNOWN, Facts, Verdict, fault_verdict, is_suspended


def index_ready(facts: Facts) -> Verdict:
    """Is the declared index built and verified?"""
    plan = facts.plan
    fault = plan.faults.get(names.COMPONENT_INDEX)
    if fault is not None:
        return Verdict(FALSE, Reason(fault.reason), fault.message)
    said, found = facts.failing("collections"), plan.served_index
    if said is not None and found is not None:
        return _collection_wrong(facts, said)
    if found is not None:
        back = " spec.rollback goes back to it." if plan.overlay.index is not None else ""
        holds = f'Index "{found.version}" holds {found.documents} documents in {found.chunks} chunks.{back}'
        return _refreshing(facts, holds) if plan.refreshing and not facts.suspended else _verified(holds)
    if facts.suspended:
        return is_suspended()
    refused = facts.refusal(names.COMPONENT_INDEX)
    if refused is not None:
        return fault_verdict(refused)
    return _index_job(facts)


def _verified(words: str) -> Verdict:
    return Verdict(TRUE, Reason.IndexVerified, words)


def _refreshing(facts: Facts, holds: str) -> Verdict:
    """While a build by schedule runs the former one is as good as declared; a fault of it is told all the same."""
    refused = facts.refusal(names.COMPONENT_INDEX)
    job = fault_verdict(refused) if refused is not None else _index_job(facts)
    return _verified(f"{holds} {job.message}") if job.reason is Reason.IndexBuilding else job


def _collection_wrong(facts: Facts, said: str) -> Verdict:
    """Building it again heals a loss, but not documents that have changed under the same name."""
    if KEY_REFUSED in said:
        return Verdict(FALSE, Reason.VectorStoreUnauthorized, f"{said} Whether the collection is whole cannot be seen.")
    index = facts.plan.index
    if facts.plan.overlay.index is not None and not facts.plan.serves_declared_index:
        message = f"{said} spec.index declares another index, so it cannot be built again: remove spec.rollback.index."
        return Verdict(FALSE, Reason.CollectionLost, message)
    result = rebuilt_otherwise(facts.observed, index, facts.plan.verified)
    if result is None or index is None:
        message = f"{said} The index Job verifies it again, and builds it anew where it is lost."
        return Verdict(FALSE, Reason.CollectionMissing, message)
    message = (
        f'The documents of the index "{index.version}" have changed since it was released: it now has {result.chunks}'
        " chunks. Give it a new spec.index.version."
    )
    return Verdict(FALSE, Reason.IndexVersionReused, message)


def _index_job(facts: Facts) -> Verdict:
    index = facts.plan.index
    if index is None:
        return Verdict(UNKNOWN, Reason.IndexBuilding, "The index is not known yet.")
    name = names.index_job(facts.name, index.hash)
    job = facts.observed.child("Job", name)
    if job is None:
        return Verdict(FALSE, Reason.IndexBuilding, f'Index "{index.version}" is about to be built.')
    end = finished(job)
    if end is not None and end[0] == "Failed":
        return _index_failed(facts, job, name)
    said = _failed_try(facts)
    if said is not None:
        return Verdict(FALSE, said.reason, f"{said.message} Job {name} tries again.")
    fault = controller_fault(job, facts.observed.notices) or facts.pod_fault(_pods_of_job(facts, name))
    if fault is not None:
        return fault_verdict(fault)
    return Verdict(FALSE, Reason.IndexBuilding, f'Job {name} builds the index "{index.version}".')


def _index_failed(facts: Facts, job: Json, name: str) -> Verdict:
    """The indexer's own word first, then what happened to its pod, then the Job's."""
    again = f"It is tried again every few minutes; delete the Job {name} to try at once."
    failed = [c for c in job["status"]["conditions"] if c["type"] == "Failed"]
    if any(c.get("reason") == "DeadlineExceeded" for c in failed):
        seconds = facts.observed.service.spec.index.deadline_seconds
        return Verdict(
            FALSE,
            Reason.DeadlineExceeded,
            f"Job {name} took longer than spec.index.deadlineSeconds ({seconds}): raise it, or index fewer documents."
            f" {again}",
        )
    said = _failed_try(facts)
    if said is not None:
        return Verdict(FALSE, said.reason, f"{said.message} {again}")
    fault = facts.pod_fault(_pods_of_job(facts, name))
    if fault is not None:
        return Verdict(FALSE, Reason.IndexFailed, f"{fault.message} {again}")
    words = [c.get("message", "") for c in failed]
    return Verdict(FALSE, Reason.IndexFailed, f"Job {name} failed: {short(' '.join(words))}. {again}")


def _failed_try(facts: Facts) -> Fault | None:
    """What the indexer itself reported of a try that failed."""
    result = index_result(facts.observed, facts.plan.index) if facts.plan.index else None
    if result is None or result.outcome != "Failed":
        return None
    known = result.reason in set(Reason)
    return Fault(Reason(result.reason) if known else Reason.IndexFailed, short(result.message))


def _pods_of_job(facts: Facts, job: str) -> list[Pod]:
    pods = facts.observed.pods_of(names.COMPONENT_INDEX)
    return [pod for pod in pods if pod.labels.get("job-name") == job and not pod.succeeded]
