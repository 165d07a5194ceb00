"""The index that the spec asks for, and what is known of its collection. Pure."""

import json
from dataclasses import dataclass

from rag_contract.environment import IndexerEnvironment
from rag_contract.identity import IndexIdentity
from rag_contract.release_table import IndexRelease
from rag_contract.reports import IndexResult

from .. import names
from ..api import Index, RagServiceSpec
from ..api.reasons import Reason
from ..errors import NotReady
from ..observed import Observed, variables
from .embedding import wanted_embedder
from .identity import index_hash, index_identity
from .records import Records
from .references import named_config_map
from .refresh import Refresh, builds_of, wanted_slot

VERSION_LENGTH = 63
DIGITS = 9
VERSION_VARIABLE = f"{IndexerEnvironment.prefix}VERSION"


@dataclass(frozen=True, slots=True)
class IndexTarget:
    """The index that the spec asks for, before anything is known about its collection.

    `slot` is the moment of the refresh schedule that it is built for, empty for other builds. `standby` is the newest build of the
    same index that was released: it is as good as declared until a build by schedule is verified.
    """

    version: str
    hash: str
    collection: str
    identity: IndexIdentity
    slot: str = ""
    standby: IndexRelease | None = None


def wanted_index(observed: Observed, records: Records, refresh: Refresh | None) -> IndexTarget:
    """Raises NotReady while the documents are missing."""
    service, spec = observed.service, observed.service.spec
    identity = index_identity(spec)
    if spec.index.documents.config_map_ref is not None:
        reference = named_config_map(
            observed, spec.index.documents.config_map_ref.name, "spec.index.documents.configMapRef"
        )
        if reference.size == 0:
            raise NotReady(
                Reason.NoDocuments,
                f'ConfigMap "{reference.name}", named by spec.index.documents.configMapRef, is empty: add documents.',
            )
        content, slot, standby = reference.content_hash, "", None
    else:
        builds = builds_of(spec, identity, records)
        content = slot = wanted_slot(observed, identity, builds, refresh)
        standby = _as_asked_now(builds[-1].revision.index, spec) if builds else None
    digest = index_hash(spec, identity, content)
    version = build_version(spec.index, digest, records, _begun_version(observed, digest))
    name = names.collection(service.metadata.namespace, service.metadata.name, version, digest)
    return IndexTarget(version=version, hash=digest, collection=name, identity=identity, slot=slot, standby=standby)


def _as_asked_now(built: IndexRelease, spec: RagServiceSpec) -> IndexRelease:
    """A released index whose embedding server is found where the spec says now."""
    return built.model_copy(update={"embedder": wanted_embedder(spec)})


def _begun_version(observed: Observed, digest: str) -> str:
    """The name under which a Job builds this very content, or has built it; empty without such a Job."""
    job = observed.child("Job", names.index_job(observed.service.metadata.name, digest))
    return variables(job).get(VERSION_VARIABLE, "") if job is not None else ""


def build_version(index: Index, digest: str, records: Records, begun: str = "") -> str:
    """The version as declared; with a number behind it for the second and later contents that were released under it, where
    spec.index.refresh allows that. A content that was released keeps its name, and so does one whose build was `begun`: records
    that go meanwhile free a lower number, under which there is no collection."""
    released = [record.revision.index for record in records.values()]
    for known in released:
        if known.hash == digest:
            return known.version
    builds = [_build_number(known.version, index.version) for known in released]
    if not index.refresh.wanted or not any(builds):
        return index.version
    if _build_number(begun, index.version):
        return begun
    return numbered_version(index.version, max(builds) + 1)


def numbered_version(version: str, number: int) -> str:
    """`docs-1.2` for the second build of `docs-1`; a long name is cut, so that the whole is a version name."""
    tail = f".{number}"
    return version[: VERSION_LENGTH - len(tail)].rstrip("-.") + tail if number > 1 else version


def _build_number(name: str, version: str) -> int:
    """Which build of `version` this is; 0 for none."""
    if name == version:
        return 1
    digits = name.rpartition(".")[2]
    number = int(digits) if digits.isdecimal() and len(digits) < DIGITS else 0
    return number if number > 1 and numbered_version(version, number) == name else 0


def index_result(observed: Observed, index: IndexTarget) -> IndexResult | None:
    """What the index Job's pod reported for exactly this content and collection, as long as the pod is there. Success wins."""
    job = names.index_job(observed.service.metadata.name, index.hash)
    found = None
    for pod in observed.pods:
        if pod.component != names.COMPONENT_INDEX or pod.labels.get("job-name") != job or not pod.message:
            continue
        try:
            result = IndexResult.model_validate(json.loads(pod.message))
        except ValueError:
            continue
        of_this = (result.content_hash, result.collection) == (index.hash, index.collection)
        if of_this and (found is None or result.outcome == "Succeeded"):
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


def verified(observed: Observed, index: IndexTarget | None, records: Records) -> IndexRelease | None:
    """Counts of the wanted index: from a revision that already served it, else from the Job that just built it."""
    if index is None:
        return None
    for record in records.values():
        if record.revision.index.hash == index.hash:
            return _as_asked_now(record.revision.index, observed.service.spec)
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
        embedder=wanted_embedder(observed.service.spec),
    )
