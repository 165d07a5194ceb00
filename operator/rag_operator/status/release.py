"""Conditions of what is served: has every API pod said that it serves what is asked for, and what does that wait for?"""

from .. import names
from ..api import Reason
from ..observed import PodAnswer
from ..releases.model import hosting
from ..releases.roll_out import exclusive_cache
from .facts import FALSE, TRUE, UNKNOWN, Facts, Verdict, fault_verdict, is_suspended


def release_settled(facts: Facts) -> Verdict:
    """Has every ready API pod itself said that it serves what is declared?"""
    stands_still = _cannot_move(facts) or waits_for(facts)
    if stands_still is not None:
        return stands_still
    said = confirmed(facts)
    if said.status != TRUE or not facts.plan.overlay.active:
        return said
    return Verdict(TRUE, Reason.RolledBack, f"{said.message} spec.rollback goes back to {gone_back_to(facts)}.")


def _cannot_move(facts: Facts) -> Verdict | None:
    """Why nothing that is declared can be released; None when something can."""
    for part in (names.COMPONENT_PROMPT, names.COMPONENT_INDEX):
        fault = facts.plan.faults.get(part)
        if fault is not None:
            return Verdict(FALSE, Reason(fault.reason), fault.message)
    refused = facts.refusal(names.COMPONENT_RELEASES, names.COMPONENT_REVISION, names.COMPONENT_PROMPT)
    if refused is not None:
        return fault_verdict(refused)
    if facts.suspended:
        return is_suspended()
    if facts.problem is not None:
        return Verdict(FALSE, Reason(facts.problem.reason), facts.problem.message)
    return None


def waits_for(facts: Facts) -> Verdict | None:
    """What the release that is asked for waits for; None when all its parts are there."""
    plan = facts.plan
    if plan.desired is not None:
        return None
    still = _meanwhile(facts)
    fault = plan.faults.get(names.COMPONENT_MODEL)
    if plan.served_index is not None and fault is not None:
        return Verdict(FALSE, Reason(fault.reason), f"{fault.message} {_load_time(facts)}{still}")
    return Verdict(FALSE, Reason.WaitingForIndex, f"The declared release is served once its index is verified.{still}")


def _meanwhile(facts: Facts) -> str:
    """What serves until all is there, and whether its model had to make place for the one that is waited for."""
    now, model = facts.plan.serving, facts.plan.model
    if now is None:
        return ""
    body = facts.observed.child("Deployment", names.model(facts.name, now.model.hash))
    stopped = now.model.hash != model.hash and body is not None and body["spec"].get("replicas") == 0
    if not stopped:
        return f" Revision {now.number} serves until then."
    alone = exclusive_cache(hosting(facts.observed.service, model))
    why = "spec.model.vllm.cache.accessMode lets one pod at a time mount the model cache" if alone else "no GPU is free"
    return f" Revision {now.number} stays until then, but its model server is stopped: {why}."


def _load_time(facts: Facts) -> str:
    """How long the model that is waited for takes to load: as a kept revision tells, else the most that it may."""
    digest, found = facts.plan.model.hash, []
    for body in facts.observed.of_kind("RagRevision"):
        seconds = (body.get("status") or {}).get("loadSeconds")
        if body["spec"]["model"]["hash"] == digest and seconds is not None:
            found.append((body["spec"]["number"], seconds))
    if found:
        return f"It took {max(found)[1]} s to load when it last served."
    spec = hosting(facts.observed.service, facts.plan.model)
    return f"It may take up to {spec.load_deadline_seconds} s (spec.model.vllm.loadDeadlineSeconds)."


def gone_back_to(facts: Facts) -> str:
    """What spec.rollback names, in words; empty when nothing."""
    rollback = facts.observed.service.spec.rollback
    named = rollback.model_dump(mode="json", exclude_none=True)
    return ", ".join(f"{field} {value}" for field, value in named.items())


def confirmed(facts: Facts) -> Verdict:
    """Has every ready API pod said that it serves what is in the release table?"""
    if facts.plan.serving is None:
        return Verdict(FALSE, Reason.WaitingForIndex, "Nothing is released yet.")
    ready = [pod for pod in facts.api_pods if pod.ready]
    if not ready:
        return Verdict(UNKNOWN, Reason.WaitingForApi, "No API pod is ready to be asked what it serves.")
    for pod in ready:
        answer = facts.answers.get(pod.name, PodAnswer(error="it was not asked"))
        if answer.models is None:
            return Verdict(
                UNKNOWN, Reason.ApiUnreachable, f"Pod {pod.name} did not say what it serves: {answer.error}."
            )
        if answer.models.table_hash != facts.plan.table.table_hash():
            return Verdict(
                FALSE, Reason.TableRefreshing, f"Pod {pod.name} has not loaded the declared release table yet."
            )
        wrong = _difference(facts, answer)
        if wrong:
            return Verdict(
                FALSE, Reason.RevisionMismatch, f"Pod {pod.name} reports another {wrong} than the declared one."
            )
    number = facts.plan.table.revisions[0].number
    return Verdict(TRUE, Reason.Settled, f"Every API pod reports revision {number}.")


def doubted(facts: Facts) -> bool:
    """Whether an API pod that is ready does not say that it serves the release table: it may serve a former one."""
    return any(pod.ready for pod in facts.api_pods) and confirmed(facts).status != TRUE


def _difference(facts: Facts, answer: PodAnswer) -> str:
    """The first thing in which a pod's report differs from the table; empty when none."""
    models, table = answer.models, facts.plan.table
    reported = {revision.number: revision for revision in models.revisions} if models is not None else {}
    for revision in table.revisions:
        said = reported.get(revision.number)
        if said is None or said.weight != revision.weight:
            return "revision"
        if (said.prompt.version, said.prompt.hash) != (revision.prompt.version, revision.prompt.hash):
            return "prompt"
        index = revision.index
        if (said.index.version, said.index.collection, said.index.identity) != (
            index.version,
            index.collection,
            index.identity,
        ):
            return "index"
        model = revision.model
        said_hash = said.model.hash or model.hash  # an earlier API image does not report it
        if (said.model.runtime, said.model.name, said_hash) != (model.runtime, model.name, model.hash):
            return "model"
    return ""
