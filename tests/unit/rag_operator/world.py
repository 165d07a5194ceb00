"""A world in memory for the reconcile tests: a double of the cluster behind the seam `reconcile.Cluster`, and doubles of the
controllers and pods that would live on a real one. Every write is recorded; nothing here is shipped.
"""

import copy
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rag_contract.model_fetch import FetchProgress
from rag_contract.release_table import FILE_NAME, ReleaseTable
from rag_contract.reports import (
    IndexReport,
    IndexResult,
    ModelReport,
    ModelsCurrent,
    PromptReport,
    ReadyCheck,
    RevisionReport,
)
from rag_operator import names
from rag_operator.api import RagService
from rag_operator.cluster.differs import differs
from rag_operator.cluster.references import References
from rag_operator.observed import (
    ChildKey,
    Observed,
    Pod,
    PodAnswer,
    Reference,
    Unreadable,
    component_of,
    controller_uid,
    key_of,
    pod_of,
)
from rag_operator.reconcile import reconcile
from rag_operator.runtime.errors import ApiError
from rag_operator.settings import Settings

Json = dict[str, Any]

NAMESPACE, NAME = "team-a", "handbook"
KEY = (NAMESPACE, NAME)
START = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)
SETTINGS = Settings(api_image="api:1", indexer_image="indexer:1", qdrant_image="qdrant:1", kubeconfig="")


def merged(base: Json, over: Mapping[str, Any]) -> Json:
    """Deep copy of `base` with `over` on top; a value of None removes the field."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def service(**spec: Any) -> Json:
    """A RagService as stored, with overrides of its spec."""
    base = {
        "prompt": {"version": "answer-v1", "system": "Answer from the sources."},
        "index": {"version": "docs-1", "documents": {"configMapRef": {"name": "documents"}}},
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": "RagService",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "uid": "uid-service",
            "generation": 1,
            "resourceVersion": "1",
        },
        "spec": merged(base, spec),
    }


def observed(body: Json | None = None, **more: Any) -> Observed:
    """A world without children, its documents at hand."""

    body = body or service()
    references = {"documents": Reference("documents", True, "content-1", 2)}
    return Observed(service=RagService.model_validate(body), body=body, **{"references": references, **more})


class World:
    """The cluster double. `writes` are (verb, kind, name) in order; `refuse` makes writes fail."""

    def __init__(self, body: Json | None = None) -> None:
        self.body = body or service()
        self.objects: dict[ChildKey, Json] = {}
        self.pods: dict[str, Json] = {}
        self.claims: dict[str, Json] = {}
        self.config_maps: dict[str, Json] = {"documents": {"data": {"a.md": "# A\n\nText."}}}
        self.writes: list[tuple[str, str, str]] = []
        self.events: list[tuple[str, str, str]] = []
        self.answers: dict[str, PodAnswer] = {}
        self.fetches: dict[str, FetchProgress] = {}
        self.engines: dict[str, float] = {}
        self.secrets: dict[str, Json] = {}
        self.now = START
        self.settings = SETTINGS
        self.gone = False
        self.unreadable = ""
        self.refuse: Callable[[str, str, str], ApiError | None] = lambda verb, kind, name: None
        self.lingering: set[str] = set()
        """Pods that outlive their Jobs for a while."""
        self._made: set[str] = set()
        self.missing: dict[str, str] = {}
        self.lost_replies: dict[str, Exception] = {}
        """Raised after the Secret of that name was made: its maker does not hear of it."""
        self._versions = itertools.count(100)

    # -- the seam ------------------------------------------------------------------------------------------------------

    def stored(self, key: tuple[str, str]) -> Json | None:
        return None if self.gone else copy.deepcopy(self.body)

    async def observe(self, key: tuple[str, str]) -> Observed | Unreadable | None:
        def known(_: str, name: str) -> Json | None:
            found = self.config_maps.get(name)
            return found and {"metadata": {"uid": name, "resourceVersion": "1"}, **found}

        async def get(_: str, name: str) -> Json | None:
            raise AssertionError("all of it is known")

        if self.gone:
            return None
        if self.unreadable:
            return Unreadable(copy.deepcopy(self.body), self.unreadable)
        svc = RagService.model_validate(self.body)
        return Observed(
            service=svc,
            body=copy.deepcopy(self.body),
            children={key: obj for key, obj in self.objects.items() if controller_uid(obj) == svc.metadata.uid},
            pods=tuple(pod_of(pod) for pod in self.pods.values()),
            claims=dict(self.claims),
            references=await References(known, get).of(svc),
        )

    async def apply(self, desired: Json, live: Json | None) -> Json | None:
        if live is not None and not differs(desired, live):
            return None
        self._write("apply", desired)
        if desired["kind"] == "PersistentVolumeClaim":
            self.claims[desired["metadata"]["name"]] = merged(live or {}, desired)
            return self.claims[desired["metadata"]["name"]]
        return self.store(desired)

    async def delete(self, live: Json) -> None:
        self._write("delete", live)
        del self.objects[key_of(live)]
        if live["kind"] == "Job":  # as the garbage collector does
            name = live["metadata"]["name"]
            mine = [pod for pod, body in self.pods.items() if body["metadata"]["labels"].get("job-name") == name]
            for pod in mine:
                if pod not in self.lingering:
                    del self.pods[pod]

    async def create_secret(
        self, service: Json, name: str, make: Callable[[Callable[[], str]], Json], *, known: bool
    ) -> None:
        if name in self._made or (known and name not in self.missing):
            return
        self._write("create", {"kind": "Secret", "metadata": {"name": name}})
        self.secrets.setdefault(name, make(lambda: "random"))
        if name in self.lost_replies:
            raise self.lost_replies.pop(name)
        self._made.add(name)
        self.missing.pop(name, None)

    async def lost_secret(self, service: Json, name: str, make: Callable[[Callable[[], str]], Json]) -> str:
        if name not in self.missing:
            return ""
        error = self.refuse("try", "Secret", name)
        if error is not None:
            raise error
        if name in self.secrets:
            self._made.add(name)
            del self.missing[name]
            return ""
        return self.missing[name]

    def forget_secret(self, service_uid: str, name: str) -> None:
        self._made.discard(name)
        self.missing.setdefault(name, f"loss-{next(self._versions)}")

    def restart(self) -> None:
        """A new process remembers nothing."""
        self._made.clear()
        self.missing.clear()

    async def ask(self, pods: Sequence[Pod], table_hash: str, *, closely: bool) -> Mapping[str, PodAnswer]:
        return {pod.name: self.answers.get(pod.name, PodAnswer(error="no answer")) for pod in pods if pod.running}

    async def fetching(self, pods: Sequence[Pod]) -> Mapping[str, FetchProgress]:
        return {pod.name: self.fetches[pod.name] for pod in pods if pod.running and pod.name in self.fetches}

    async def engine_use(self, pods: Sequence[Pod]) -> Mapping[str, float]:
        return {pod.name: self.engines[pod.name] for pod in pods if pod.ready and pod.name in self.engines}

    async def touch(self, pod: Pod, table_hash: str) -> None:
        self._write("touch", {"kind": "Pod", "metadata": {"name": pod.name}})
        self.pods[pod.name]["metadata"].setdefault("annotations", {})[names.ANNOTATION_TABLE] = table_hash

    async def annotate(self, pod: Pod, annotations: Mapping[str, str | None]) -> None:
        self._write("annotate", {"kind": "Pod", "metadata": {"name": pod.name}})
        held = self.pods[pod.name]["metadata"].setdefault("annotations", {})
        for key, value in annotations.items():
            held.pop(key, None) if value is None else held.update({key: value})

    def status_due(self, body: Json, desired: Json) -> float:
        return 0.0

    async def write_status(self, body: Json, desired: Json) -> bool:
        if desired == (body.get("status") or {}):
            return False
        self._write("status", body)
        stored = self.body if body["kind"] == "RagService" else self.objects[key_of(body)]
        stored["status"] = json.loads(json.dumps(desired))
        return True

    async def event(self, body: Json, kind: str, reason: str, message: str, now: datetime) -> None:
        self.events.append((kind, reason, message))

    def _write(self, verb: str, body: Json) -> None:
        key = key_of(body)
        error = self.refuse(verb, key.kind, key.name)
        if error is not None:
            raise error
        self.writes.append((verb, key.kind, key.name))

    # -- what tests do -------------------------------------------------------------------------------------------------

    def store(self, desired: Json) -> Json:
        """Keep an object as the API server would: uid, version, generation."""
        key = key_of(desired)
        old = self.objects.get(key)
        made = {"uid": f"uid-{key.kind}-{key.name}", "creationTimestamp": self.now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        metadata = (old or {}).get("metadata", {**made, "generation": 0})
        changed = old is None or old.get("spec") != desired.get("spec")
        body = merged(old or {}, desired)
        for list_owner in ("data", "spec"):
            if list_owner in desired:
                body[list_owner] = copy.deepcopy(desired[list_owner])
        body["metadata"] = {
            **merged(metadata, desired["metadata"]),
            "resourceVersion": str(next(self._versions)),
            "generation": metadata["generation"] + changed,
        }
        self.objects[key] = body
        return copy.deepcopy(body)

    def edit(self, **spec: Any) -> None:
        """A user's edit of the spec."""
        self.body["spec"] = merged(self.body["spec"], spec)
        self.body["metadata"]["generation"] += 1

    async def run(self) -> float | None:
        """One pass; `writes` holds what it wrote."""
        self.writes.clear()
        return await reconcile(KEY, self, self.settings, lambda: self.now)

    def later(self, seconds: float) -> None:
        """Time goes by."""
        self.now += timedelta(seconds=seconds)

    def condition(self, kind: str) -> Json:
        """A condition as stored."""
        return next(c for c in self.body["status"]["conditions"] if c["type"] == kind)

    def reason(self, kind: str = "Ready") -> tuple[str, str]:
        """Status and reason of a condition."""
        condition = self.condition(kind)
        return condition["status"], condition["reason"]

    def only(self, kind: str) -> Json:
        """The one child of that kind."""
        (found,) = [obj for key, obj in self.objects.items() if key.kind == kind]
        return found

    @property
    def table(self) -> ReleaseTable:
        """The stored release table."""
        body = self.objects[ChildKey("ConfigMap", names.releases(NAME))]
        return ReleaseTable.model_validate_json(body["data"][FILE_NAME])

    # -- doubles of the controllers and of the pods --------------------------------------------------------------------

    def controllers_finish(self) -> None:
        """Deployment and StatefulSet have rolled out; their pods are ready; the claim is bound."""
        for key, obj in self.objects.items():
            if key.kind in {"Deployment", "StatefulSet"}:
                count = obj["spec"]["replicas"]
                obj["status"] = {
                    "observedGeneration": obj["metadata"]["generation"],
                    **dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), count),
                    "currentRevision": "1",
                    "updateRevision": "1",
                }
                self._pods_of(obj, count)
        if ChildKey("StatefulSet", names.qdrant(NAME)) in self.objects:
            name = names.qdrant_claim(NAME)
            spec = {"resources": {"requests": {"storage": "5Gi"}}}
            claim = {
                "metadata": {"name": name, "uid": "c", "resourceVersion": "1"},
                "spec": spec,
                "status": {"phase": "Bound"},
            }
            self.claims.setdefault(name, claim)

    def _pods_of(self, obj: Json, count: int) -> None:
        component = component_of(obj)
        mine = f"{obj['metadata']['name']}-"
        self.pods = {name: pod for name, pod in self.pods.items() if not name.startswith(mine)}
        for number in range(count):
            pod = running_pod(f"{obj['metadata']['name']}-{number}", component)
            pod["metadata"]["labels"] |= obj["spec"]["template"]["metadata"]["labels"]
            self.pods[pod["metadata"]["name"]] = pod

    def job_ends(self, outcome: str = "Succeeded", message: str | None = None, **result: Any) -> None:
        """The index Job's pod has ended with this result."""
        (job,) = [o for k, o in self.objects.items() if k.kind == "Job" and component_of(o) == names.COMPONENT_INDEX]
        variables = {v["name"]: v.get("value") for v in job["spec"]["template"]["spec"]["containers"][0]["env"]}
        told = {
            "outcome": "Succeeded" if outcome == "Succeeded" else "Failed",
            "version": variables["RAG_INDEXER_VERSION"],
            "collection": variables["RAG_INDEXER_COLLECTION"],
            "content_hash": variables["RAG_INDEXER_CONTENT_HASH"],
            "documents": 2,
            "chunks": 5,
        }
        said = IndexResult.model_validate({**told, **result})
        kind = "Complete" if outcome == "Succeeded" else "Failed"
        time = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        job["status"] = {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": time, "message": "m"}]}
        pod = running_pod(f"{job['metadata']['name']}-x", names.COMPONENT_INDEX)
        pod["metadata"]["labels"]["job-name"] = job["metadata"]["name"]
        pod["status"] = {
            "phase": outcome,
            "containerStatuses": [
                {
                    "state": {
                        "terminated": {
                            "exitCode": 0 if outcome == "Succeeded" else 2,
                            "message": said.to_json() if message is None else message,
                        }
                    }
                }
            ],
        }
        self.pods[pod["metadata"]["name"]] = pod

    def pods_report(self, table: ReleaseTable | None = None, checks: tuple[ReadyCheck, ...] = ()) -> None:
        """Every API pod says that it serves this table (default: the stored one)."""
        for name, pod in self.pods.items():
            if component_of(pod) == names.COMPONENT_API:
                self.answers[name] = PodAnswer(models=report(table or self.table), checks=checks)

    async def until_ready(self) -> None:
        """From nothing to Ready=True, as on a real cluster but at once."""
        await self.run()
        self.controllers_finish()
        self.job_ends()
        await self.run()
        self.pods_report()
        await self.run()
        assert self.reason() == ("True", "AllChecksPassed"), self.condition("Ready")


def running_pod(name: str, component: str) -> Json:
    """A pod that runs and is ready."""
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "labels": names.labels(NAME, component),
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"containerID": "c1", "restartCount": 0, "state": {"running": {}}}],
        },
    }


def report(table: ReleaseTable) -> ModelsCurrent:
    """What an API pod that has loaded this table says."""
    return ModelsCurrent(
        service=table.service,
        api_version="1",
        table_hash=table.table_hash(),
        revisions=tuple(
            RevisionReport(
                number=revision.number,
                weight=revision.weight,
                prompt=PromptReport(version=revision.prompt.version, hash=revision.prompt.hash),
                index=IndexReport(
                    version=revision.index.version,
                    collection=revision.index.collection,
                    identity=revision.index.identity,
                ),
                model=ModelReport(runtime=revision.model.runtime, name=revision.model.name, hash=revision.model.hash),
                loaded_at="2026-11-21T08:00:00Z",
            )
            for revision in table.revisions
        ),
    )
