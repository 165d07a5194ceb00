"""What the operator makes of service.yaml, by the code that `rag-operator render` runs, and its parts as a process sees them.

first pass:  index Job, model server, API with an empty table
second pass: the Job has ended and a pod of the model is ready --> the release table
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from rag_contract.release_table import FILE_NAME, ReleaseTable
from rag_operator import names
from rag_operator.offline import render
from rag_operator.settings import Settings

Json = dict[str, Any]

SERVICE = Path(__file__).with_name("service.yaml")
UID = "uid-of-the-service"
WRITTEN = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def source(qdrant: str, embeddings: str) -> str:
    """The file with the addresses of this run."""
    text = SERVICE.read_text(encoding="utf-8")
    return text.replace("url: QDRANT", f"url: {qdrant}").replace("url: EMBEDDINGS", f"url: {embeddings}")


class Rendered:
    """The children of one pass."""

    def __init__(self, text: str, observed: Path | None = None) -> None:
        self.text = text
        printed = render(text, Settings(kubeconfig=""), lambda: WRITTEN, observed)
        self.objects: list[Json] = [document for document in yaml.safe_load_all(printed) if document]

    def one(self, kind: str, component: str) -> Json:
        """The only child of this kind and component."""
        (found,) = [
            child
            for child in self.objects
            if child["kind"] == kind and child["metadata"]["labels"][names.LABEL_COMPONENT] == component
        ]
        return found

    def container(self, kind: str, component: str) -> Json:
        """The container of a workload."""
        (found,) = self.one(kind, component)["spec"]["template"]["spec"]["containers"]
        return dict(found)

    def variables(self, kind: str, component: str) -> dict[str, str]:
        """Of a container, by way of the ConfigMaps that it names."""
        container, found = self.container(kind, component), {}
        for each in container.get("envFrom") or ():
            (settings,) = [
                o
                for o in self.objects
                if o["kind"] == "ConfigMap" and o["metadata"]["name"] == each["configMapRef"]["name"]
            ]
            found.update(settings["data"])
        return found | {each["name"]: each["value"] for each in container.get("env") or () if "value" in each}

    def mounts(self, kind: str, component: str) -> list[str]:
        """Where volumes are mounted."""
        return [mount["mountPath"] for mount in self.container(kind, component)["volumeMounts"]]

    def table(self) -> ReleaseTable:
        """What the API pods would read."""
        (found,) = [o for o in self.objects if o["kind"] == "ConfigMap" and FILE_NAME in o["data"]]
        return ReleaseTable.model_validate_json(found["data"][FILE_NAME])

    def documents(self) -> dict[str, str]:
        """Of the ConfigMap that the service names, beside it in the file."""
        (found,) = [o for o in yaml.safe_load_all(self.text) if o["kind"] == "ConfigMap"]
        return dict(found["data"])


def after(first: Rendered, folder: Path, message: str) -> Rendered:
    """The pass after the index Job has ended with this message and a pod of the model is ready."""
    documents = [document for document in yaml.safe_load_all(first.text) if document]
    for document in documents:
        document["metadata"] |= {"namespace": "team-a", "uid": UID, "resourceVersion": "3", "generation": 1}
    children = [_stored(child) for child in first.objects]
    for child in children:
        if child["kind"] == "Job":
            ended = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-21T07:59:00Z"}
            child["status"] = {"conditions": [ended]}
            children.append(_pod(child, message))
        if child["kind"] == "Deployment":
            child["status"] = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    folder.mkdir()
    (folder / "all.yaml").write_text(yaml.safe_dump_all([*documents, *children]), encoding="utf-8")
    return Rendered(first.text, folder)


def _stored(child: Json) -> Json:
    """As the API server would hold it."""
    owner = {**child["metadata"]["ownerReferences"][0], "uid": UID}
    name = f"{child['kind']}-{child['metadata']['name']}".lower()
    held = {"uid": name, "resourceVersion": "7", "generation": 1, "ownerReferences": [owner]}
    return {**child, "metadata": {**child["metadata"], **held}}


def _pod(job: Json, message: str) -> Json:
    labels = job["metadata"]["labels"] | {"job-name": job["metadata"]["name"]}
    over = {"exitCode": 0, "message": message}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "index-pod", "namespace": "team-a", "uid": "uid-pod", "labels": labels},
        "status": {"phase": "Succeeded", "containerStatuses": [{"name": "index", "state": {"terminated": over}}]},
    }
