"""How the download of weights is going, for the condition of the model and `status.modelFetch`; what is kept: `status.modelCache`."""

from rag_contract.model_fetch import FetchProgress

from .. import names
from ..api import Reason
from ..faults import Fault, claim_fault, controller_fault, short
from ..observed import Json, finished
from ..releases.model import hosted_models
from ..releases.model_fetch import FetchTarget, fetch_pods, fetch_result, fetch_target, weights_ready
from .facts import FALSE, Facts, Verdict, fault_verdict

GIB, MIB = 1 << 30, 1 << 20
LISTED = 64
"""Entries that the schema of the status takes."""


def model_fetched(facts: Facts) -> Verdict | None:
    """Why the weights of the wanted model are not there; None when they are, or when no Job downloads them."""
    model = facts.plan.model
    target = fetch_target(facts.observed.service, model)
    if target is None or weights_ready(facts.observed, model):
        return None
    refused = facts.refusal(names.COMPONENT_MODEL_FETCH, names.COMPONENT_MODEL_CACHE)
    if refused is not None:
        return fault_verdict(refused)
    job = facts.observed.child("Job", target.job)
    if job is None:
        return Verdict(FALSE, Reason.ModelFetching, f'The weights of "{target.repository}" are about to be downloaded.')
    end = finished(job)
    if end is not None and end[0] == "Failed":
        return _failed(facts, target, job)
    return _running(facts, target, job)


def fetch_status(facts: Facts) -> Json:
    """`status.modelFetch` while the weights of the wanted model are downloaded, and `status.modelCache` where weights are kept."""
    return _download(facts) | _cache(facts)


def _download(facts: Facts) -> Json:
    target = fetch_target(facts.observed.service, facts.plan.model)
    told = _progress(facts, target) if target is not None else None
    if told is None or not told.bytes_total:
        return {}
    left = {"secondsLeft": told.seconds_left} if told.seconds_left is not None else {}
    return {
        "modelFetch": {
            "bytes": told.bytes_done,
            "totalBytes": told.bytes_total,
            "percent": told.percent,
            "bytesPerSecond": told.bytes_per_second,
            **left,
        }
    }


def _cache(facts: Facts) -> Json:
    """The bytes were told once, by the Job's pod, and are remembered as long as the claim is there."""
    plan, name = facts.plan, names.model_cache(facts.name)
    models = hosted_models(plan.model, (*plan.retained, *plan.table.revisions))
    found = (fetch_target(facts.observed.service, model) for model in models)
    targets = {target.key: target for target in found if target is not None}
    if not targets:
        return {}
    stored = (facts.observed.status.get("modelCache") or {}).get("kept") or () if name in facts.observed.claims else ()
    known = {one["key"]: one["bytes"] for one in stored if "bytes" in one}
    kept = []
    for target in sorted(targets.values(), key=lambda target: (target.repository, target.revision, target.key)):
        result = fetch_result(facts.observed, target)
        weighs = result.size if result is not None and result.outcome == "Succeeded" else known.get(target.key)
        told = {"bytes": weighs} if weighs is not None else {}
        kept.append({"model": target.repository, "revision": target.revision, "key": target.key, **told})
    return {"modelCache": {"claim": name, "bytes": sum(one.get("bytes", 0) for one in kept), "kept": kept[:LISTED]}}


def _progress(facts: Facts, target: FetchTarget) -> FetchProgress | None:
    told = (facts.fetches.get(pod.name) for pod in fetch_pods(facts.observed, target))
    return next((found for found in told if found is not None), None)


def _running(facts: Facts, target: FetchTarget, job: Json) -> Verdict:
    told = _progress(facts, target)
    if told is not None:
        return Verdict(FALSE, Reason.ModelFetching, f"{_words(told, target)} Job {target.job}.")
    said = _said(facts, target)
    if said is not None:
        return Verdict(FALSE, said.reason, f"{said.message} Job {target.job} tries again.")
    observed = facts.observed
    claim = observed.claims.get(names.model_cache(facts.name))
    fault = (
        controller_fault(job, observed.notices)
        or (claim_fault(claim, facts.now, observed.notices) if claim is not None else None)
        or facts.pod_fault([pod for pod in fetch_pods(observed, target) if not pod.succeeded])
    )
    if fault is not None:
        return fault_verdict(fault)
    return Verdict(FALSE, Reason.ModelFetching, f'Job {target.job} downloads the weights of "{target.repository}".')


def _words(told: FetchProgress, target: FetchTarget) -> str:
    what = f'The weights of "{target.repository}"'
    if told.stage == "Waiting":
        return f"{what} are downloaded by another pod."
    if not told.bytes_total:
        return f"{what} are being looked up."
    left = f", {_time(told.seconds_left)} left" if told.seconds_left else ""
    speed = f" at {size(told.bytes_per_second)}/s{left}" if told.bytes_per_second else ""
    return f"{what} are downloaded: {told.percent} % of {size(told.bytes_total)}{speed}."


def _failed(facts: Facts, target: FetchTarget, job: Json) -> Verdict:
    """The fetcher's own word first, then what happened to its pod, then the Job's."""
    again = f"It is tried again every few minutes; delete the Job {target.job} to try at once."
    failed = [c for c in job["status"]["conditions"] if c["type"] == "Failed"]
    if any(c.get("reason") == "DeadlineExceeded" for c in failed):
        message = (
            f"Job {target.job} took longer than spec.model.vllm.prefetch.deadlineSeconds: raise it. What was downloaded is"
            f" kept. {again}"
        )
        return Verdict(FALSE, Reason.ModelDownloadFailed, message)
    said = _said(facts, target)
    if said is not None:
        return Verdict(FALSE, said.reason, f"{said.message} {again}")
    fault = facts.pod_fault(fetch_pods(facts.observed, target))
    if fault is not None:
        return Verdict(FALSE, fault.reason, f"{fault.message} {again}")
    words = short(" ".join(c.get("message", "") for c in failed))
    return Verdict(FALSE, Reason.ModelDownloadFailed, f"Job {target.job} failed: {words}. {again}")


def _said(facts: Facts, target: FetchTarget) -> Fault | None:
    """What the fetcher itself reported of a try that failed."""
    result = fetch_result(facts.observed, target)
    if result is None or result.outcome != "Failed":
        return None
    known = result.reason in set(Reason)
    return Fault(Reason(result.reason) if known else Reason.ModelDownloadFailed, short(result.message))


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / MIB:.1f} MiB"


def _time(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    return f"{-(-seconds // 60)} min" if seconds < 7200 else f"{-(-seconds // 3600)} h"
