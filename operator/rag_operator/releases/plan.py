"""The plan of one pass: what is wanted, what is verified, and therefore what is served.

    spec, referenced ConfigMaps -> wanted prompt, wanted index, model, retrieval
    index Job's result, RagRevisions -> verified counts of the wanted index
    all wanted and verified -> the desired revision takes all requests; else what was served stays

The release table is computed anew from the RagRevisions on every pass. The only thing read from the stored table is
which number it serves, so that an edit by hand is undone and a lost table comes back.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import ValidationError
from rag_contract.identity import IndexIdentity
from rag_contract.release_table import (
    FILE_NAME,
    IndexRelease,
    ModelRelease,
    PromptRelease,
    ReleaseTable,
    Retrieval,
    Revision,
)
from rag_contract.reports import IndexResult

from .. import names
from ..api import RagRevision
from ..api.reasons import Reason
from ..errors import NotReady
from ..observed import Observed, Reference
from .embedding import wanted_embedder
from .identity import index_hash, index_identity, prompt_hash, revision_hash
from .model import wanted_model, wanted_policy

FULL = 100
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IndexTarget:
    """The index that the spec asks for, before anything is known about its collection."""

    version: str
    hash: str
    collection: str
    identity: IndexIdentity


@dataclass(frozen=True, slots=True)
class Plan:
    """What this pass works towards. Parts that cannot be known yet are None, with the cause in `faults`.

    `desired` is None until its index is verified; `retained` are the revisions to keep, by rising number.
    """

    prompt: PromptRelease | None
    index: IndexTarget | None
    model: ModelRelease
    retrieval: Retrieval
    faults: Mapping[str, NotReady]
    verified: IndexRelease | None
    desired: Revision | None
    table: ReleaseTable
    retained: tuple[Revision, ...]
    history: tuple[Revision, ...]
    before: Revision | None
    """What was served until this pass."""

    @property
    def serving(self) -> Revision | None:
        """The revision that takes the requests, None before the first."""
        return self.table.revisions[0] if self.table.revisions else None

    def held(self) -> "Plan":
        """The same plan with nothing new released: what was served until now goes on."""
        revisions = (self.before,) if self.before is not None else ()
        table = self.table.model_copy(update={"revisions": revisions})
        return replace(self, desired=None, table=table, retained=self.history)


def make_plan(observed: Observed) -> Plan:
    """Pure: equal observations give equal plans."""
    faults: dict[str, NotReady] = {}
    prompt = _attempt(faults, names.COMPONENT_PROMPT, lambda: _wanted_prompt(observed))
    index = _attempt(faults, names.COMPONENT_INDEX, lambda: _wanted_index(observed))
    spec = observed.service.spec
    model = wanted_model(observed.service)
    retrieval = Retrieval(
        mode=spec.retrieval.mode.value, top_k=spec.retrieval.top_k, minimum_score=spec.retrieval.minimum_score
    )
    history = _history(observed)
    live = _live_table(observed)
    verified = _verified(observed, index, history)
    desired = None
    if prompt is not None and verified is not None:
        content = Revision(number=1, weight=FULL, prompt=prompt, index=verified, model=model, retrieval=retrieval)
        desired = _numbered(content, observed, history, live)
    before = _serving(observed, history, live)
    serving = desired or before
    table = ReleaseTable(
        service=observed.service.metadata.name, revisions=(serving,) if serving else (), policy=wanted_policy(spec)
    )
    return Plan(
        prompt=prompt,
        index=index,
        model=model,
        retrieval=retrieval,
        faults=faults,
        verified=verified,
        desired=desired,
        table=table,
        retained=_retained(history, serving, spec.release.history),
        history=tuple(history.values()),
        before=before,
    )


def _attempt(faults: dict[str, NotReady], part: str, make: Callable[[], T]) -> T | None:
    try:
        return make()
    except NotReady as fault:
        faults[part] = fault
        return None


def _reference(observed: Observed, name: str, field: str) -> Reference:
    reference = observed.references.get(name)
    if reference is None or not reference.found:
        raise NotReady(
            Reason.ConfigMapMissing,
            f'ConfigMap "{name}", named by {field}, does not exist in namespace'
            f' "{observed.service.metadata.namespace}": create it.',
        )
    return reference


def _wanted_prompt(observed: Observed) -> PromptRelease:
    spec = observed.service.spec.prompt
    system = spec.system
    if spec.config_map_ref is not None:
        reference = _reference(observed, spec.config_map_ref.name, "spec.prompt.configMapRef")
        system = reference.texts.get(spec.config_map_ref.key)
        if not system:
            raise NotReady(
                Reason.ConfigMapKeyMissing,
                f'ConfigMap "{reference.name}" has no text under the key "{spec.config_map_ref.key}" that'
                " spec.prompt.configMapRef names: add it.",
            )
    text = system or ""
    return PromptRelease(version=spec.version, hash=prompt_hash(text, spec.refusal), system=text, refusal=spec.refusal)


def _wanted_index(observed: Observed) -> IndexTarget:
    service, spec = observed.service, observed.service.spec
    content = ""
    if spec.index.documents.config_map_ref is not None:
        reference = _reference(observed, spec.index.documents.config_map_ref.name, "spec.index.documents.configMapRef")
        if reference.size == 0:
            raise NotReady(
                Reason.NoDocuments,
                f'ConfigMap "{reference.name}", named by spec.index.documents.configMapRef, is empty: add documents.',
            )
        content = reference.content_hash
    identity = index_identity(spec)
    digest = index_hash(spec, identity, content)
    name = names.collection(service.metadata.namespace, service.metadata.name, spec.index.version, digest)
    return IndexTarget(version=spec.index.version, hash=digest, collection=name, identity=identity)


def _history(observed: Observed) -> dict[int, Revision]:
    """RagRevisions by rising number; one that cannot be read is left out (its schema is the API server's to keep)."""
    revisions: dict[int, Revision] = {}
    for body in observed.of_kind("RagRevision"):
        try:
            revision = RagRevision.model_validate(body).spec.to_contract(FULL)
        except ValidationError:
            continue
        revisions[revision.number] = revision
    return dict(sorted(revisions.items()))


def _live_table(observed: Observed) -> ReleaseTable:
    """The table as stored; empty when it is absent or was broken by hand."""
    name = observed.service.metadata.name
    body = observed.child("ConfigMap", names.releases(name))
    try:
        return ReleaseTable.model_validate_json(((body or {}).get("data") or {}).get(FILE_NAME, ""))
    except ValidationError:
        return ReleaseTable(service=name)


def index_result(observed: Observed, index: IndexTarget) -> IndexResult | None:
    """What the index Job's pod reported for exactly this content, as long as the pod is there. Success wins."""
    job = names.index_job(observed.service.metadata.name, index.hash)
    found = None
    for pod in observed.pods:
        if pod.component != names.COMPONENT_INDEX or pod.labels.get("job-name") != job or not pod.message:
            continue
        try:
            result = IndexResult.model_validate(json.loads(pod.message))
        except ValueError:
            continue
        if result.content_hash == index.hash and (found is None or result.outcome == "Succeeded"):
            found = result
    return found


def rebuilt_otherwise(
    observed: Observed, index: IndexTarget | None, verified: IndexRelease | None
) -> IndexResult | None:
    """The Job's result when it is another than the release names: the documents on the volume have changed since."""
    result = index_result(observed, index) if index is not None else None
    if result is None or verified is None or result.outcome != "Succeeded" or result.chunks == verified.chunks:
        return None
    return result


def _verified(observed: Observed, index: IndexTarget | None, history: Mapping[int, Revision]) -> IndexRelease | None:
    """Counts of the wanted index: from a revision that already served it, else from the Job that just built it."""
    if index is None:
        return None
    embedder = wanted_embedder(observed.service.spec)
    for revision in history.values():
        if revision.index.hash == index.hash:
            return revision.index.model_copy(update={"embedder": embedder})
    result = index_result(observed, index)
    if result is None or result.outcome != "Succeeded":
        return None
    return IndexRelease(
        version=index.version,
        hash=index.hash,
        collection=index.collection,
        identity=index.identity,
        documents=result.documents,
        chunks=result.chunks,
        embedder=embedder,
    )


def _numbered(content: Revision, observed: Observed, history: Mapping[int, Revision], live: ReleaseTable) -> Revision:
    """Equal content keeps its number; new content gets one that was never used."""
    wanted = revision_hash(content)
    known = [*history.values(), *live.revisions]
    for revision in known:
        if revision_hash(revision) == wanted:
            return revision.model_copy(update={"weight": FULL})
    used = [revision.number for revision in known] + _numbers_in_status(observed)
    return content.model_copy(update={"number": max(used, default=0) + 1})


def _numbers_in_status(observed: Observed) -> list[int]:
    status = observed.status
    numbers = [entry.get("number") for entry in status.get("history") or ()] + [status.get("revision")]
    return [number for number in numbers if isinstance(number, int)]


def _serving(observed: Observed, history: Mapping[int, Revision], live: ReleaseTable) -> Revision | None:
    """What was served until now: the number in the stored table; when that is lost the one in status, else the newest."""
    hint = observed.status.get("revision")
    if live.revisions:
        stored = live.revisions[0]
        return history.get(stored.number, stored).model_copy(update={"weight": FULL})
    if isinstance(hint, int) and hint in history:
        return history[hint]
    return history[max(history)] if history else None


def _retained(history: Mapping[int, Revision], serving: Revision | None, keep: int) -> tuple[Revision, ...]:
    everything = dict(history)
    if serving is not None:
        everything[serving.number] = serving
    newest = sorted(everything)[-keep:]
    wanted = {*newest, *([serving.number] if serving else [])}
    return tuple(everything[number] for number in sorted(wanted))
