"""`render`: what the operator would do with one RagService, told by the code that does it, without a cluster.

    cr.yaml + observed files --> one pass of `reconcile` on paper --> what it would apply, as YAML; what it would delete

The file may hold, beside the RagService, the ConfigMaps that it names; without them the parts that need them are left out,
as the operator leaves them out until they exist. Pods cannot be asked: what only they know counts as unknown.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from . import names
from .api.reasons import Reason
from .api.status import ConditionType
from .controller import Controller
from .errors import InvalidSpec
from .paper import Paper, PaperClient, known
from .reconcile import reconcile
from .runtime.kinds import RAG_SERVICE
from .runtime.metrics import Metrics
from .settings import PACKAGE_VERSION, PodAccess, Settings

Json = dict[str, Any]
PLACEHOLDER_UID = "00000000-0000-0000-0000-000000000000"
FILL_SECONDS = 30.0
SUFFIXES = frozenset({".yaml", ".yml", ".json"})


def render(text: str, settings: Settings, now: Callable[[], datetime], observed: Path | None = None) -> str:
    """What the next pass would apply, as YAML documents; deletions and generated Secrets follow as comments.

    Without `observed`, a folder of objects as `kubectl get -o yaml` prints them, it is the first pass of a new object.
    Raises InvalidSpec for what would be refused, OSError for unreadable files.
    """
    documents = parse(text, "the file")
    services = [document for document in documents if _is_service(document)]
    if len(services) != 1:
        raise InvalidSpec(Reason.InvalidObject, f"the file holds {len(services)} RagServices; render takes one.")
    world = [obj for obj in (read(observed) if observed is not None else ()) if known(obj)]
    service = stored(services[0], world)
    namespace = service["metadata"]["namespace"]
    beside = [_in(namespace, document) for document in documents if document not in services and known(document)]
    return asyncio.run(_pass(service, [*world, *beside, service], settings, now))


async def _pass(service: Json, objects: list[Json], settings: Settings, now: Callable[[], datetime]) -> str:
    paper, metadata = Paper(objects), service["metadata"]
    by_paper = settings.model_copy(update={"pod_access": PodAccess.PROXY, "namespace": ""})
    controller = Controller(PaperClient(paper), by_paper, Metrics(PACKAGE_VERSION), now)
    informers = [asyncio.create_task(informer.run()) for informer in controller.informers.values()]
    try:
        async with asyncio.timeout(FILL_SECONDS):
            await controller.synced()
        await reconcile((metadata["namespace"], metadata["name"]), controller.cluster, by_paper, now)
    finally:
        for task in informers:
            task.cancel()
        await asyncio.gather(*informers, return_exceptions=True)
        await controller.cluster.close()
    _raise_problem(paper.status if paper.status is not None else service.get("status") or {})
    return printed(paper)


def printed(paper: Paper) -> str:
    """The writes of one pass for people and for `kubectl apply`, by kind and name: some are sent at the same time."""
    applied = sorted(paper.applied, key=lambda o: (o["kind"], o["metadata"]["name"]))
    text = yaml.safe_dump_all(applied, sort_keys=False, allow_unicode=True) if applied else ""
    comments = [f"generated once, never printed: Secret {name}" for name in sorted(paper.secrets)]
    comments += [f"would be deleted: {name}" for name in sorted(paper.deleted)]
    if not applied and not paper.deleted:
        comments.append("nothing would be applied or deleted")
    return text + "".join(f"# {comment}\n" for comment in comments)


def stored(body: Json, world: Iterable[Json]) -> Json:
    """The RagService as the API server would hold it: its metadata and status from `world` when it is there already.

    Raises InvalidSpec when it has no name or is of another version.
    """
    if body.get("apiVersion") != names.API_VERSION:
        raise InvalidSpec(Reason.InvalidObject, f"apiVersion: must be {names.API_VERSION}.")
    metadata = body.get("metadata") or {}
    if not metadata.get("name"):
        raise InvalidSpec(Reason.InvalidObject, "metadata.name: the RagService has no name.")
    for live in world:
        there = live["metadata"]
        here = metadata.get("namespace") in {None, there["namespace"]}
        if _is_service(live) and there["name"] == metadata["name"] and here:
            return {**live, **body, "metadata": {**there, **metadata}, "status": live.get("status") or {}}
    placeholder = {"namespace": "default", "uid": PLACEHOLDER_UID, "generation": 1, "resourceVersion": "1"}
    return {**body, "metadata": {**placeholder, **metadata}}


def read(folder: Path) -> list[Json]:
    """Every object of every YAML and JSON file of a folder. Raises InvalidSpec for one that is neither, OSError."""
    found: list[Json] = []
    for path in sorted(folder.iterdir()):
        if path.suffix in SUFFIXES and path.is_file():
            found += parse(path.read_text(encoding="utf-8"), path.name)
    return found


def parse(text: str, source: str) -> list[Json]:
    """The objects of a text, lists taken apart. Raises InvalidSpec."""
    try:
        return list(_flat(yaml.safe_load_all(text)))
    except yaml.YAMLError as error:
        raise InvalidSpec(Reason.InvalidObject, f"{source} is no YAML: {error}") from error


def _flat(documents: Iterable[Any]) -> Iterator[Json]:
    for document in documents:
        if not isinstance(document, dict):
            continue
        if str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
            yield from _flat(document["items"])
        else:
            yield document


def _in(namespace: str, document: Json) -> Json:
    return {**document, "metadata": {"namespace": namespace, **(document.get("metadata") or {})}}


def _is_service(document: Json) -> bool:
    return document.get("kind") == RAG_SERVICE.kind


def _raise_problem(status: Json) -> None:
    """What the operator says in SpecValid, as an error."""
    for condition in status.get("conditions") or ():
        if condition["type"] == ConditionType.SPEC_VALID and condition["status"] == "False":
            raise InvalidSpec(Reason(condition["reason"]), condition["message"])
