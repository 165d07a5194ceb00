"""`rag-operator render`, written out: a new object, then an edit of it beside what a cluster holds by then.

The folder `observed` is what a cluster would hold after the first: the rendered children with a uid, and the end of the Job.
"""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from rag_operator import names
from rag_operator.errors import InvalidSpec
from rag_operator.offline import render

from tests.reported import verified

from .rendering import SETTINGS

Json = dict[str, Any]
ROOT = Path(__file__).parent / "render"
NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
UID = "uid-faq"


def rendered(text: str, observed: Path | None = None) -> str:
    """What the command prints."""
    return render(text, SETTINGS, lambda: NOW, observed)


def new() -> str:
    """The file of the first pass."""
    return (ROOT / "new.yaml").read_text()


def objects(text: str) -> list[Json]:
    """The YAML documents of a rendering."""
    return [document for document in yaml.safe_load_all(text) if document]


def stored(body: Json) -> Json:
    """As the API server would hold it."""
    name = f"{body['kind']}-{body['metadata']['name']}".lower()
    metadata = {"uid": name, "resourceVersion": "7", "generation": 1, **body["metadata"]}
    if "ownerReferences" in metadata:
        metadata["ownerReferences"] = [{**metadata["ownerReferences"][0], "uid": UID}]
    return {**body, "metadata": metadata}


def ended(job: Json) -> list[Json]:
    """The Job after it went well, and its pod with the result."""
    told = {v["name"]: v.get("value", "") for v in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    result = verified(told, documents=1, chunks=1)
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-21T07:59:00Z"}
    labels = job["metadata"]["labels"] | {"job-name": job["metadata"]["name"]}
    over = {"exitCode": 0, "message": result.to_json()}
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "faq-index-pod", "namespace": "team-a", "uid": "uid-pod", "labels": labels},
        "status": {"phase": "Succeeded", "containerStatuses": [{"name": "index", "state": {"terminated": over}}]},
    }
    return [{**job, "status": {"conditions": [complete]}}, pod]


def world() -> list[Json]:
    """What the cluster holds when the index of the new object is built, before the operator has looked again."""
    children = [stored(child) for child in objects(rendered(new()))]
    (job,) = [child for child in children if child["kind"] == "Job"]
    service, documents = objects(new())
    service["metadata"] |= {"uid": UID, "resourceVersion": "3", "generation": 1}
    documents["metadata"]["namespace"] = "team-a"
    return [service, documents, *(child for child in children if child is not job), *ended(job)]


def write(folder: Path, found: list[Json]) -> Path:
    """The objects in files as kubectl writes them: a list in YAML, one in JSON."""
    folder.mkdir(exist_ok=True)
    first, *others = found
    (folder / "service.json").write_text(json.dumps(first))
    (folder / "all.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": others}))
    (folder / "notes.txt").write_text("kind: [not read")
    return folder


def settled(folder: Path) -> tuple[Path, list[Json]]:
    """The folder and the objects after the operator has published the revision, too."""
    found = world()
    published = [stored(o) for o in objects(rendered(new(), write(folder, found)))]
    places = {(o["kind"], o["metadata"]["name"]): o for o in [*found, *published]}
    return write(folder, list(places.values())), list(places.values())


NOTE = re.compile(r"^ +annotations:\n +ragserving\.dev/rendered: \S+\n", re.MULTILINE)
"""Packed templates: nobody can review them, and another zlib packs otherwise."""


def check(name: str, text: str) -> None:
    """Compare with the golden file, or write it."""
    file, text = ROOT / name, NOTE.sub("", text)
    if os.environ.get("RAG_GOLDEN_WRITE"):
        file.write_text(text)
    assert file.read_text() == text


def test_a_new_object_is_rendered_whole() -> None:
    text = rendered(new())
    check("new.out.yaml", text)
    assert rendered(new()) == text
    assert "# generated once, never printed: Secret faq-client-key" in text


def test_a_built_index_becomes_a_revision_and_a_table(tmp_path: Path) -> None:
    text = rendered(new(), write(tmp_path, world()))
    check("built.out.yaml", text)
    assert ["ConfigMap", "RagRevision"] == [o["kind"] for o in objects(text)]


def test_what_is_settled_is_not_applied_again(tmp_path: Path) -> None:
    folder, _ = settled(tmp_path)
    assert "# nothing would be applied or deleted\n" == rendered(new(), folder)


def test_an_edit_applies_only_what_it_moves(tmp_path: Path) -> None:
    folder, _ = settled(tmp_path)
    edited = new().replace("answer-v1", "answer-v2").replace("the sources", "the given sources")
    text = rendered(edited, folder)
    check("edited.out.yaml", text)
    kinds = sorted((o["kind"], o["metadata"]["labels"][names.LABEL_COMPONENT]) for o in objects(text))
    assert [("ConfigMap", "prompt"), ("ConfigMap", "releases"), ("RagRevision", "revision")] == kinds


def test_a_lost_child_and_a_changed_one_are_put_right(tmp_path: Path) -> None:
    _, found = settled(tmp_path)
    kept = [o for o in found if (o["kind"], o["metadata"]["name"]) != ("Service", "faq-api")]
    (deployment,) = [o for o in kept if o["kind"] == "Deployment"]
    deployment["spec"]["replicas"] = 9
    said = objects(rendered(new(), write(tmp_path, kept)))
    assert [("Deployment", "faq-api"), ("Service", "faq-api")] == [(o["kind"], o["metadata"]["name"]) for o in said]


def test_what_is_no_longer_wanted_is_named(tmp_path: Path) -> None:
    _, found = settled(tmp_path)
    two = objects(rendered(new().replace("spec:\n", "spec:\n  api: {replicas: 2}\n", 1)))
    budget = stored(next(o for o in two if o["kind"] == "PodDisruptionBudget"))
    assert "# would be deleted: PodDisruptionBudget faq-api\n" == rendered(new(), write(tmp_path, [*found, budget]))


def test_another_ones_objects_are_not_taken(tmp_path: Path) -> None:
    _, found = settled(tmp_path)
    foreign = [
        {**o, "metadata": {**o["metadata"], "ownerReferences": []}} if o["kind"] == "Service" else o for o in found
    ]
    assert "kind: Service\n" not in rendered(new(), write(tmp_path, foreign))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (new().replace("v1alpha1", "v9"), "apiVersion"),
        (new().replace("  name: faq\n", ""), "metadata.name"),
        (new().replace("version: answer-v1", "version: answer-v1\n    configMapRef: {name: x, key: y}"), "prompt"),
        (new().replace("version: docs-1", "version: docs-1\n    chunking: {maxCharacters: 1}"), "maxCharacters"),
    ],
)
def test_what_would_be_refused_is_said(text: str, said: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        rendered(text)
    assert said in str(caught.value)


def test_a_reused_version_is_refused_beside_what_was_released(tmp_path: Path) -> None:
    folder, _ = settled(tmp_path)
    with pytest.raises(InvalidSpec) as caught:
        rendered(new().replace("the sources", "other sources"), folder)
    assert "answer-v1" in str(caught.value)
