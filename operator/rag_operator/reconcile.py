"""The whole story of one pass over one RagService. Level-triggered: it needs no memory of why it was called.

    observe -> plan -> check -> build -> apply -> ask the API pods -> prune -> status

`Cluster` is the seam: the real one is `cluster.KubernetesCluster`, the tests have a double.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import filterfalse
from typing import Protocol, TypeVar, cast

from rag_contract.model_fetch import FetchProgress
from rag_contract.release_table import ReleaseTable

from . import names, resources, status
from .api import RagService
from .checks import first_problem
from .checks_model import model_problem
from .observed import Json, Observed, Pod, PodAnswer, Refusal, Unreadable, component_of, key_of
from .releases import Plan, make_plan, rebuilt_otherwise
from .releases.model import has_stand_in
from .resources.retention import Age, due_again
from .runtime.errors import ApiError, fault_id
from .settings import Settings
from .status.release import doubted

T = TypeVar("T")
Key = tuple[str, str]
Clock = Callable[[], datetime]
SecretMaker = Callable[[Callable[[], str]], Json]
REFUSALS = frozenset({400, 403, 409, 422})
"""The server understood a write and says no. Everything else is the network's or the server's trouble: try again."""
ROLLED = frozenset({"Secret", "StatefulSet", "Deployment"})
"""While one of these is refused a lost key is not made anew."""
TABLE = frozenset({names.COMPONENT_RELEASES, names.COMPONENT_REVISION})
"""While one of these is refused the release table is not stored as planned, and no pod is told to load it."""


class Cluster(Protocol):
    """What a pass needs of Kubernetes. Writes raise `ApiError`."""

    async def observe(self, key: Key) -> Observed | Unreadable | None:
        """The world of one service; None when it is gone or going."""

    def stored(self, key: Key) -> Json | None:
        """The RagService as it is cached, unread; None when it is gone or going."""

    async def apply(self, desired: Json, live: Json | None) -> Json | None:
        """Make it so. The new body, or None when nothing had to be written."""

    async def delete(self, live: Json) -> None:
        """Delete exactly this object, in the state in which it was seen."""

    async def create_secret(self, service: Json, name: str, make: SecretMaker, *, known: bool) -> None:
        """Create a Secret unless it was made before, as this process remembers or as children show (`known`)."""

    async def lost_secret(self, service: Json, name: str, make: SecretMaker) -> str:
        """A name for the loss of a Secret that was said to be missing and is; empty when it is there, or nobody said so."""

    def forget_secret(self, service_uid: str, name: str) -> None:
        """A pod says that the Secret is missing: the next pass makes it again."""

    async def ask(self, pods: Sequence[Pod], table_hash: str, *, closely: bool) -> Mapping[str, PodAnswer]:
        """What each API pod says it serves, by pod name; answers that agree with the table are remembered. `closely`: for half a
        minute, with what ready pods say of themselves."""

    async def fetching(self, pods: Sequence[Pod]) -> Mapping[str, FetchProgress]:
        """How far each pod that downloads weights is, by pod name; those that do not answer are left out."""

    async def engine_use(self, pods: Sequence[Pod]) -> Mapping[str, float]:
        """Share of the last hour that requests spent in each ready model pod's engine, at most, by pod name; those that have
        not been seen for an hour are left out."""

    async def touch(self, pod: Pod, mark: str) -> None:
        """Make the kubelet refresh the volumes of this pod at once, by an annotation that says `mark`."""

    async def annotate(self, pod: Pod, annotations: Mapping[str, str | None]) -> None:
        """Set annotations of this pod; None removes one."""

    def status_due(self, body: Json, desired: Json) -> float:
        """Seconds until this status should be written; 0 for now."""

    async def write_status(self, body: Json, desired: Json) -> bool:
        """Write the status of a RagService or RagRevision when it differs. True when it was written."""

    async def event(self, body: Json, kind: str, reason: str, message: str, now: datetime) -> None:
        """Tell the people who watch the object."""


async def reconcile(key: Key, cluster: Cluster, settings: Settings, clock: Clock) -> float | None:
    """One pass. Returns the seconds after which to look again although nothing changed, None when events suffice.

    Raises ApiError and network errors: the queue tries again with back-off.
    """
    observed = await cluster.observe(key)
    if observed is None:
        return None
    now = clock()
    if isinstance(observed, Unreadable):
        await _report(cluster, observed.body, status.of_unreadable(observed, now), now)
        return None
    plan = make_plan(observed, now)
    problem = first_problem(plan) or model_problem(observed.service, plan, settings)
    refusals: list[Refusal] = []
    if problem is not None:
        plan = plan.held()
        observed, refusals = await _apply_released(observed, plan, cluster, settings)
    else:
        observed, built, refusals = await _apply_all(observed, plan, cluster, settings)
    stored = not any(refusal.component in TABLE for refusal in refusals)
    answers = await _ask(observed, plan.table, cluster, now if stored else None)
    lost = status.missing_collection(answers) and rebuilt_otherwise(observed, plan.index, plan.verified) is None
    doubt = doubted(status.Facts(observed, plan, problem, tuple(refusals), answers, now))
    age = Age(now, lost, doubted=doubt)
    if problem is None:
        gone = [*resources.unwanted(observed, plan, built, age), *resources.stuck_pods(observed)]
        refusals += await _prune(gone, cluster)
        _forget_missing_secrets(observed, answers, now, cluster)
    for pod, hints in status.eviction_hints(observed):
        await cluster.annotate(pod, hints)
    fetches = await cluster.fetching(observed.pods_of(names.COMPONENT_MODEL_FETCH))
    use = await cluster.engine_use(observed.pods_of(names.COMPONENT_MODEL))
    outdated = resources.outdated(observed.service, observed, plan, settings)
    facts = status.Facts(observed, plan, problem, tuple(refusals), answers, now, fetches, outdated, engine_use=use)
    reported = status.compute(facts)
    wait = cluster.status_due(observed.body, reported)
    if wait == 0:
        await _report(cluster, observed.body, reported, now)
    for body, wanted in status.revision_writes(facts):
        await cluster.write_status(body, wanted)
    ready = reported["conditions"][0]["status"]
    again = status.look_again(facts, ready)
    return _soonest(again, due_again(observed, plan, age._replace(ready=ready == "True")), wait or None)


async def report_bug(key: Key, cluster: Cluster, error: BaseException, clock: Clock) -> None:
    """A pass ended in an error that is neither the user's nor the network's: say so instead of an old True.

    Nothing of the pass is used again: any step of it may be what failed.
    """
    body = cluster.stored(key)
    if body is not None:
        message = (
            f"The operator failed on this object: fault {fault_id(error)} ({type(error).__name__}) in its log."
            " It tries again."
        )
        now = clock()
        await _report(cluster, body, status.of_bug(body, message, now), now)


async def _apply_released(
    observed: Observed, plan: Plan, cluster: Cluster, settings: Settings
) -> tuple[Observed, list[Refusal]]:
    """While the spec is refused: only what was released before, so that going back works also then."""
    written: list[Json] = []
    refusals: list[Refusal] = []
    built = resources.build_released(observed.service, observed, plan, settings)
    for stage in (filterfalse(_names_others, built), filter(_names_others, built)):
        wanted = [desired for desired in stage if not _waits_for_record(desired, refusals)]
        for answer in await _all(_apply(desired, observed, cluster) for desired in wanted):
            _sort(answer, written, refusals)
    return observed.with_children(written), refusals


async def _apply_all(
    observed: Observed, plan: Plan, cluster: Cluster, settings: Settings
) -> tuple[Observed, list[Json], list[Refusal]]:
    """What others name, Secrets included, then what names it and the volume claims, then a key that was lost. All of a stage
    at the same time; one that is refused does not keep the others back."""
    svc = observed.service
    lost = await _lost_key(observed, cluster)
    written: list[Json] = []
    refusals = [lost] if isinstance(lost, Refusal) else []
    if isinstance(lost, str):
        observed = replace(observed, new_key=lost)
    built = resources.build_all(svc, observed, plan, settings)
    later = names.qdrant_key(svc.metadata.name) if lost else None
    keys = (_make_secret(observed, name, cluster) for name in resources.secrets.wanted(svc) if name != later)
    named = (_apply(child, observed, cluster) for child in built if not _names_others(child))
    for answer in await _all([*keys, *named]):
        _sort(answer, written, refusals)
    naming = [*filter(_names_others, built), *resources.claims(svc, observed, plan)]
    wanted = [desired for desired in naming if not _waits_for_record(desired, refusals)]
    for answer in await _all(_apply(desired, observed, cluster) for desired in wanted):
        _sort(answer, written, refusals)
    if later is not None and not any(refusal.child.kind in ROLLED for refusal in refusals):
        _sort(await _make_secret(observed, later, cluster), written, refusals)
    return observed.with_children(written), built, refusals


async def _lost_key(observed: Observed, cluster: Cluster) -> str | Refusal:
    """What to call the loss of the vector store's key; empty when it is there.

    Pods may hold the key that is gone, so whoever holds it is rolled *before* another one is made: a process that ends in
    between has then left nobody who would go on with the old one.
    """
    svc = observed.service
    name = names.qdrant_key(svc.metadata.name)
    if name not in resources.secrets.wanted(svc) or not observed.child("StatefulSet", names.qdrant(svc.metadata.name)):
        return ""
    try:
        return await cluster.lost_secret(observed.body, name, _secret_maker(svc, name))
    except ApiError as error:
        return _refusal({"kind": "Secret", "metadata": {"name": name}}, names.COMPONENT_KEYS, error)


async def _make_secret(observed: Observed, name: str, cluster: Cluster) -> Refusal | None:
    svc, known = observed.service, resources.secrets.mounted(observed, name)
    try:
        await cluster.create_secret(observed.body, name, _secret_maker(svc, name), known=known)
    except ApiError as error:
        return _refusal({"kind": "Secret", "metadata": {"name": name}}, names.COMPONENT_KEYS, error)
    return None


def _sort(answer: Json | Refusal | None, written: list[Json], refusals: list[Refusal]) -> None:
    if isinstance(answer, Refusal):
        refusals.append(answer)
    elif isinstance(answer, dict):
        written.append(answer)


async def _apply(desired: Json, observed: Observed, cluster: Cluster) -> Json | Refusal | None:
    """The new body of a child, or why there is none: None when nothing had to be written."""
    key = key_of(desired)
    claim = key.kind == "PersistentVolumeClaim"
    live = observed.claims.get(key.name) if claim else observed.children.get(key)
    try:
        body = await cluster.apply(desired, live)
    except ApiError as error:
        return _refusal(desired, component_of(desired) or names.COMPONENT_QDRANT, error)
    return None if claim else body


def _names_others(child: Json) -> bool:
    """Pods name accounts, settings and Secrets, and the release table names revisions: those come first."""
    return "template" in child.get("spec", {}) or component_of(child) == names.COMPONENT_RELEASES


async def _all(work: Iterable[Awaitable[T]]) -> list[T]:
    """All at the same time, and all to their end; then the first error, if there was one."""
    answers = await asyncio.gather(*work, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return cast(list[T], answers)


def _secret_maker(svc: RagService, name: str) -> SecretMaker:
    return lambda token: resources.owned(svc, resources.secrets.build(svc, name, token))


def _waits_for_record(desired: Json, refusals: Sequence[Refusal]) -> bool:
    """A release table is not written before the record of what it serves is."""
    is_table = component_of(desired) == names.COMPONENT_RELEASES
    return is_table and any(refusal.component == names.COMPONENT_REVISION for refusal in refusals)


def _refusal(desired: Json, component: str, error: ApiError) -> Refusal:
    """Raises the error itself when it is not a refusal."""
    if error.status not in REFUSALS:
        raise error
    return Refusal(key_of(desired), component, error.status, error.reason, error.message)


async def _ask(
    observed: Observed, table: ReleaseTable, cluster: Cluster, now: datetime | None
) -> Mapping[str, PodAnswer]:
    """What each API pod serves. One that holds another table, or no keys, is told to look at once: it does not wait for another
    pod that does not answer. None is told without the time (`now`), which is while the table is not stored."""

    wanted, closely = table.table_hash(), has_stand_in(table)

    async def one(pod: Pod) -> Mapping[str, PodAnswer]:
        answers = await cluster.ask([pod], wanted, closely=closely)
        mark = status.touch_mark(pod, answers.get(pod.name), wanted, now) if now is not None else None
        if mark is not None:
            await cluster.touch(pod, mark)
        return answers

    told = await _all(one(pod) for pod in observed.pods_of(names.COMPONENT_API))
    return {name: answer for answers in told for name, answer in answers.items()}


async def _prune(gone: Sequence[Json], cluster: Cluster) -> list[Refusal]:
    refusals = []
    for body in gone:
        try:
            await cluster.delete(body)
        except ApiError as error:
            if error.status not in {404, 409}:  # gone already, or changed since we saw it: the next pass decides anew
                refusals.append(_refusal(body, component_of(body), error))
    return refusals


def _forget_missing_secrets(
    observed: Observed, answers: Mapping[str, PodAnswer], now: datetime, cluster: Cluster
) -> None:
    svc = observed.service
    if status.secret_reported_missing(observed, answers, now):
        for name in resources.secrets.wanted(svc):
            cluster.forget_secret(svc.metadata.uid, name)


async def _report(cluster: Cluster, body: Json, desired: Json, now: datetime) -> None:
    if await cluster.write_status(body, desired):
        await _all(cluster.event(body, *told, now) for told in status.transitions(body.get("status") or {}, desired))


def _soonest(*delays: float | None) -> float | None:
    return min((delay for delay in delays if delay is not None), default=None)
