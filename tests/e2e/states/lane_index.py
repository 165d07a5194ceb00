"""Rows about the prompt and the index: what the service names, and what is in it."""

from .facts import ended, job_failed, unplaced, waiting
from .parts import born, both, config_map, documents, edit
from .place import Json, Place
from .run import Act, Lane, Row


def of(name: str) -> Json:
    """Documents in a ConfigMap."""
    return {"configMapRef": {"name": name}, "persistentVolumeClaim": None}


def index(version: str, **more: object) -> Act:
    """An edit to another index."""
    return edit(index={"version": version, **more})


def rows_of_documents() -> list[Row]:
    """spec.index.documents."""
    return [
        Row("documents are missing", born(index={"documents": of("papers")}), "IndexReady", "ConfigMapMissing",
            ('"papers"', "create it"), documents("papers")),
        Row("documents are empty", both(config_map("void"), index("v2", documents=of("void"))), "IndexReady",
            "NoDocuments", ('"void"', "add documents"), documents("void")),
        Row("documents cannot be read", both(config_map("odd", notes_bin="x"), index("v3", documents=of("odd"))),
            "IndexReady", "NoDocuments", (), index("v3", documents=of("papers")), job_failed),
        Row("front matter is wrong",
            both(config_map("front", a_md="---\ntitle: [unclosed\n---\nText.\n"), index("v4", documents=of("front"))),
            "IndexReady", "NoDocuments", ("a.md",), index("v4", documents=of("papers")), job_failed),
        Row("index version is used again", edit(index={"chunking": {"maxCharacters": 900}}), "SpecValid",
            "IndexVersionReused", ("v4", "new spec.index.version"), edit(index={"chunking": {"maxCharacters": None}})),
        Row("prompt version is used again", edit(prompt={"refusal": "No."}), "SpecValid", "PromptVersionReused",
            ("answer-v1", "new spec.prompt.version"), edit(prompt={"refusal": "That is not in the documents."})),
        Row("prompt ConfigMap is missing",
            edit(prompt={"version": "p2", "system": None, "configMapRef": {"name": "texts", "key": "system"}}),
            "ReleaseSettled", "ConfigMapMissing", ('"texts"', "create it"), config_map("texts", system="Be brief.")),
        Row("prompt key is missing",
            edit(prompt={"version": "p3", "configMapRef": {"name": "texts", "key": "other"}}), "ReleaseSettled",
            "ConfigMapKeyMissing", ('"texts"', '"other"', "add it"), config_map("texts", system="Be brief.", other="Be kind.")),
        Row("prompt text is changed under its name", config_map("texts", system="Be brief.", other="Be rude."), "SpecValid",
            "PromptVersionReused", ("p3", "new spec.prompt.version"), config_map("texts", system="Be brief.", other="Be kind.")),
        Row("service is suspended", edit(suspend=True), "ApiReady", "Suspended", ("spec.suspend",), edit(suspend=False)),
    ]  # fmt: skip


CLAIM: Json = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "shelf"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}


def shelf(place: Place) -> None:
    """An empty volume for documents."""
    place.put("persistentvolumeclaims", CLAIM)


def on_claim(name: str, path: str | None = None) -> Json:
    """Documents on a volume."""
    return {"configMapRef": None, "persistentVolumeClaim": {"claimName": name, "path": path}}


def rows_of_job() -> list[Row]:
    """The index Job: its room, its time, its volume."""
    tiny = {"requests": {"cpu": "40m", "memory": "16Mi"}, "limits": {"memory": "16Mi"}}
    huge = {"requests": {"cpu": "900"}}
    room = {"requests": {"cpu": "40m", "memory": None}, "limits": {"memory": None}}
    back = index("v9", documents=of("docs"), resources=room, deadlineSeconds=600)
    return [
        Row("index asks for more CPU than there is", born(index={"resources": huge}), "IndexReady",
            "InsufficientResources", ("Insufficient cpu",), index("v1", resources=room), unplaced("index")),
        Row("index has too little memory", index("v2", resources=tiny), "IndexReady", "OutOfMemory",
            ("raise the memory limit",), index("v2", resources=room), ended("index")),
        Row("index is out of time", index("v3", resources=huge, deadlineSeconds=10), "IndexReady", "DeadlineExceeded",
            ("spec.index.deadlineSeconds",), index("v3", resources=room, deadlineSeconds=600), job_failed,
            ready_reasons=("InsufficientResources",)),
        Row("documents claim is missing", index("v4", documents=on_claim("shelf")), "IndexReady", "ClaimMissing",
            ('"shelf"', "Create the claim"), both(shelf, back), unplaced("index")),
        Row("documents path is missing", index("v5", documents=on_claim("shelf", "no/such/folder")), "IndexReady",
            "DocumentsMissing", ("spec.index.documents",), back, waiting("index", "CreateContainerConfigError")),
    ]  # fmt: skip


def rows_of_space() -> list[Row]:
    """A volume with room for one collection: the log alone of a second one does not fit."""
    return [
        Row("no room for a second index", index("v2", chunking={"maxCharacters": 900}), "IndexReady", "InsufficientSpace",
            ("64 MiB", "spec.vectorStore.qdrant.storage.size", "spec.release.history"),
            index("docs-v1", chunking={"maxCharacters": None}), ended("index")),
    ]  # fmt: skip


LANES = [
    Lane("documents", rows_of_documents(), prepare=documents("docs"), born=True),
    Lane("job", rows_of_job(), born=True),
    Lane("space", rows_of_space(), spec={"vectorStore": {"qdrant": {"storage": {"size": "64Mi"}}}}),
]
