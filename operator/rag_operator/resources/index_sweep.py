"""The sweep Job: after a switch it moves the alias of outside readers, and drops collections that nothing needs any more.

The operator holds no key of the vector store and cannot look into it. What a sweep is needed for is therefore read from what was
observed, on every pass anew:

    a record or index Job that is about to go, of a collection that is not kept  -> it will be an orphan
    the last sweep kept a collection that is not kept any more                    -> it is an old one
    the last sweep set the alias to another collection than the one that serves   -> it is to move

    needed -> Job, suspended while what goes is still there or API pods have not confirmed the switch -> runs -> stays as the record

The suspended Job is the memory of what was there: records go before their collections, so nothing that can still be gone back to is
ever dropped. A settled service has no Job to run.
"""

from typing import Any

from rag_contract.environment import QDRANT_API_KEY_VARIABLE, IndexerEnvironment, SweepEnvironment

from .. import names
from ..api import RagService
from ..api.compute import IndexResources
from ..observed import Observed, Pod, component_of, finished, variables
from ..releases import Plan
from ..releases.identity import digest
from ..releases.sweep import Sweep, asked, made_at, newest_sweep, sweeps, wanted_sweep
from ..settings import Settings
from . import batch, pod, store

Json = dict[str, Any]

RETRIES = 1000
"""The same pod tries again, at last every five minutes: what hinders it passes, or an edit makes another Job."""
GRACE_SECONDS = 10
ALIAS_VARIABLE = f"{IndexerEnvironment.prefix}ALIAS"
COLLECTION_VARIABLE = f"{IndexerEnvironment.prefix}COLLECTION"


def jobs(svc: RagService, observed: Observed, plan: Plan, settings: Settings, key_stamp: str) -> list[Json]:
    """The Job that runs or is to run; none where nothing is to do. One that has ended is left as it is."""
    wish, last = wanted_sweep(plan), newest_sweep(observed)
    if wish is None:
        return []
    job = _job(svc, wish, settings, key_stamp, last)
    leaving = _leaving(observed, wish)
    if last is not None and finished(last) is None and batch.template(last) == batch.template(job):
        return [_let_run(_named_as(job, last), observed, plan, leaving, last)]
    if not _needed(observed, plan, wish, last):
        return []
    job = _let_run(job, observed, plan, leaving, None)
    if job["spec"]["suspend"] and not _would_be_forgotten(last, leaving):
        return []
    return [job]


def may_drop(observed: Observed, collection: str) -> bool:
    """Whether a sweep runs, or its pod still ends, that does not keep this collection: then it must not be built yet."""
    for job in sweeps(observed):
        if finished(job) is None and not job["spec"].get("suspend") and collection not in asked(job).keep:
            return True
    keeping = {job["metadata"]["name"] for job in sweeps(observed) if collection in asked(job).keep}
    return any(_job_name(one) not in keeping for one in _sweepers(observed))


def waits_for_word(observed: Observed, plan: Plan) -> bool:
    """Whether there is something to do as soon as the records say that every API pod has confirmed the switch."""
    wish = wanted_sweep(plan)
    if wish is None or observed.service.spec.suspend or _confirmed(plan):
        return False
    return _needed(observed, plan, wish, newest_sweep(observed))


def _needed(observed: Observed, plan: Plan, wish: Sweep, last: Json | None) -> bool:
    if _leaving(observed, wish):
        return True
    if last is None:
        return bool(wish.target) and not _named_by_first_build(observed, plan, wish)
    before = asked(last)
    if finished(last) is None:
        return True
    return (
        before.target != wish.target or not set(before.keep) <= set(wish.keep) or _rebuilt_since(observed, plan, last)
    )


def _named_by_first_build(observed: Observed, plan: Plan, wish: Sweep) -> bool:
    """The index Job that was the first has set the alias, and nothing else was released since."""
    if any(one != wish.target for one in _recorded(observed)):
        return False
    job = _job_of_served_index(observed, plan)
    return job is None or names_alias(job)


def names_alias(index_job: Json) -> bool:
    """Whether this index Job is to set the alias: it was made when nothing served."""
    return bool(variables(index_job).get(ALIAS_VARIABLE))


def _rebuilt_since(observed: Observed, plan: Plan, last: Json) -> bool:
    """A collection that was lost took the alias with it."""
    job = _job_of_served_index(observed, plan)
    return job is not None and made_at(job) > made_at(last)


def _job_of_served_index(observed: Observed, plan: Plan) -> Json | None:
    if plan.index is None or not plan.serves_declared_index:
        return None
    return observed.child("Job", names.index_job(observed.service.metadata.name, plan.index.hash))


def _leaving(observed: Observed, wish: Sweep) -> frozenset[str]:
    """Collections of records and index Jobs that are there but go: once they are gone nothing tells of them any more."""
    made = {variables(job).get(COLLECTION_VARIABLE, "") for job in _jobs_of(observed, names.COMPONENT_INDEX)}
    return frozenset(filter(None, {*_recorded(observed), *made} - set(wish.keep)))


def _recorded(observed: Observed) -> set[str]:
    """Also of records that cannot be read whole."""
    bodies = observed.of_kind("RagRevision")
    return {str(((body.get("spec") or {}).get("index") or {}).get("collection") or "") for body in bodies}


def _would_be_forgotten(last: Json | None, leaving: frozenset[str]) -> bool:
    """The last Job tells of all that it kept; what came after it is told by nothing but a new one."""
    remembered = asked(last).keep if last is not None else ()
    return not leaving <= set(remembered) or (last is not None and finished(last) is None)


def _let_run(job: Json, observed: Observed, plan: Plan, leaving: frozenset[str], live: Json | None) -> Json:
    """Suspended while it might drop what somebody still writes or asks. What has begun goes on although pods load anew."""
    name, service = job["metadata"]["name"], observed.service
    index = names.index_job(service.metadata.name, plan.index.hash) if plan.index is not None else ""
    # Also those that have ended: while they are there, what they say of their collection is believed.
    writers = [one for one in observed.pods if one.component == names.COMPONENT_INDEX and _job_name(one) != index]
    sweepers = [one for one in _sweepers(observed) if _job_name(one) != name]
    begun = live is not None and not live["spec"].get("suspend")
    held = service.spec.suspend or leaving or writers or sweepers or not (begun or _confirmed(plan))
    return {**job, "spec": {**job["spec"], "suspend": bool(held)}}


def _confirmed(plan: Plan) -> bool:
    """Every API pod has said that it serves what is in the release table, as the record tells."""
    if plan.serving is None:
        return True
    record = plan.records.get(plan.serving.number)
    return record is not None and record.serves


def _job(svc: RagService, wish: Sweep, settings: Settings, key_stamp: str, last: Json | None) -> Json:
    """Named by what it is asked for and after which it comes, so that two never have one name."""
    environ = SweepEnvironment(
        alias=names.index_alias(svc.metadata.namespace, svc.metadata.name),
        target=wish.target or None,
        keep=",".join(wish.keep),
        qdrant_url=store.url(svc),
    ).to_env()
    made_from = {"image": settings.indexer_image, "environment": environ, "key": key_stamp}
    after = last["metadata"]["name"] if last is not None else ""
    name = names.index_sweep(svc.metadata.name, digest([made_from, after]))
    pod_spec = _pod(svc, environ, settings)
    return batch.job(svc.metadata.name, names.COMPONENT_SWEEP, name, made_from, pod_spec, backoffLimit=RETRIES)


def _pod(svc: RagService, environ: dict[str, str], settings: Settings) -> Json:
    key = store.write_key(svc)
    secrets = [pod.secret_variable(QDRANT_API_KEY_VARIABLE, key.secret, key.key)] if key is not None else []
    main = pod.container(
        "sweep",
        settings.indexer_image,
        IndexResources(),
        args=["sweep"],
        env=pod.variables(environ) + secrets,
        volumeMounts=[{"name": names.VOLUME_TEMPORARY, "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
    )
    return pod.pod_spec(
        main,
        [pod.temporary("16Mi")],
        restartPolicy="OnFailure",
        terminationGracePeriodSeconds=GRACE_SECONDS,
    )


def _named_as(job: Json, live: Json) -> Json:
    return {**job, "metadata": {**job["metadata"], "name": live["metadata"]["name"]}}


def _jobs_of(observed: Observed, component: str) -> list[Json]:
    return [job for job in observed.of_kind("Job") if component_of(job) == component]


def _sweepers(observed: Observed) -> list[Pod]:
    """Pods that run, will run, or are still on their way out."""
    return [one for one in observed.pods if one.component == names.COMPONENT_SWEEP and not one.ended]


def _job_name(one: Pod) -> str:
    return one.labels.get("job-name", "")
