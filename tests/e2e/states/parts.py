"""What rows are put together from: edits, and objects that a service names."""

import base64
from typing import Any

from ..objects import DOCUMENTS, rag_service
from .place import Json, Place
from .run import Act

API, INDEXER, STANDIN, SILENT = (
    f"rag-operator/{name}" for name in ("api:dev", "indexer:dev", "qdrant-standin:dev", "pause:1")
)
ABSENT = "registry.invalid/none:1"
PULLS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")
LITTLE: Json = {"requests": {"cpu": "40m"}}
"""So that many services fit on a small node."""


def make(place: Place, spec: Json) -> None:
    """A RagService over the ConfigMap `docs`, with parts of the spec laid over the usual ones."""
    base = rag_service(place.name)["spec"]
    base["api"]["resources"] = LITTLE
    base["vectorStore"]["qdrant"]["resources"] = LITTLE
    base["index"]["resources"] = LITTLE
    body = rag_service(place.name)
    body["spec"] = laid(base, spec)
    place.put("ragservices", body)


def laid(base: Json, over: Json) -> Json:
    """Deep merge; None removes."""
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = laid(result[key], value)
        else:
            result[key] = value
    return result


def present(plural: str, body: Json) -> Act:
    """The object is there, as given."""

    def act(place: Place) -> None:
        place.put(plural, body)

    return act


def born(**spec: Any) -> Act:
    """The service comes with this fault."""
    return lambda place: make(place, spec)


def edit(**spec: Any) -> Act:
    """An edit of the service; None takes a field away."""
    return lambda place: place.edit(**spec)


def both(*acts: Act) -> Act:
    """One after the other."""

    def run(place: Place) -> None:
        for act in acts:
            act(place)

    return run


def secret(name: str, **data: str) -> Act:
    """Make or change a Secret; `_` in a key stands for `.`."""
    encoded = {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return present("secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded})


def config_map(name: str, **data: str) -> Act:
    """Make or change a ConfigMap; `_` in a key stands for `.`."""
    texts = {key.replace("_", "."): value for key, value in data.items()}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": texts}
    return present("configmaps", body)


def documents(name: str = "docs") -> Act:
    """The usual documents under a name."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": DOCUMENTS}
    return present("configmaps", body)


def gone(plural: str, name: str) -> Act:
    """Delete an object. `{}` in the name stands for the service's."""
    return lambda place: place.delete(plural, name.format(place.name))


def by_hand(plural: str, name: str, **change: Any) -> Act:
    """Somebody edits a child."""
    return lambda place: place.patch(plural, name.format(place.name), change)


def kill(component: str) -> Act:
    """Somebody deletes the pods of a component."""

    def act(place: Place) -> None:
        for pod in place.list("pods", component):
            place.delete("pods", pod["metadata"]["name"], grace=1)

    return act
