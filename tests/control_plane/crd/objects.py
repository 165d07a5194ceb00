"""A valid RagService, and the tables of changes that make it good or bad."""

import copy
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

Json = dict[str, Any]
FOLDER = Path(__file__).parent


class Case(NamedTuple):
    """One change of the valid object, and what the API server must say of it."""

    name: str
    change: Json
    says: tuple[str, ...] = ()
    before: Mapping[str, Any] = MappingProxyType({})

    @property
    def object(self) -> Json:
        """The whole object after the change."""
        return changed(changed(minimal(), self.before), self.change)


def minimal() -> Json:
    """The least that is valid: everything else has a default."""
    return {
        "apiVersion": "ragserving.dev/v1alpha1",
        "kind": "RagService",
        "metadata": {"name": "faq"},
        "spec": {
            "prompt": {"version": "answer-v1", "system": "Answer from the numbered sources alone."},
            "index": {"version": "docs-v1", "documents": {"configMapRef": {"name": "docs"}}},
        },
    }


def revision(name: str) -> Json:
    """A RagRevision as the operator writes it."""
    return {
        "apiVersion": "ragserving.dev/v1alpha1",
        "kind": "RagRevision",
        "metadata": {"name": name},
        "spec": {
            "number": 1,
            "hash": "0123456789abcdef",
            "prompt": {"version": "answer-v1", "hash": "0123456789abcdef", "system": "Answer.", "refusal": "No."},
            "index": {
                "version": "docs-v1",
                "hash": "0123456789abcdef",
                "collection": "default.faq.docs-v1.0123456789abcdef",
                "identity": {"provider": "BM25", "model": "m", "analyzer": "a", "normalisation": "n", "chunker": "c"},
                "documents": 1,
                "chunks": 2,
            },
            "model": {"runtime": "Extractive", "name": "extractive", "hash": "0123456789abcdef", "maxSentences": 3},
            "retrieval": {"mode": "Sparse", "topK": 6},
            "image": "api:1",
            "renderVersion": "1",
        },
    }


def changed(body: Json, change: Mapping[str, Any]) -> Json:
    """`body` with the values at dotted paths replaced; None removes the field."""
    made = copy.deepcopy(body)
    for path, value in change.items():
        *folders, last = path.split(".")
        node = made
        for folder in folders:
            node = node.setdefault(folder, {})
        if value is None:
            node.pop(last, None)
        else:
            node[last] = _long(value)
    return made


def _long(value: Any) -> Any:
    """Write out what the tables abbreviate: long texts, huge lists, an explicit null."""
    if not isinstance(value, dict):
        return value
    if value.keys() == {"repeat", "times"}:
        return value["repeat"] * value["times"]
    if value.keys() == {"list", "times"}:
        return [value["list"]] * value["times"]
    if value.keys() == {"value"}:
        return value["value"]
    return {key: _long(inner) for key, inner in value.items()}


def cases(*names: str) -> list[Case]:
    """The cases of some tables, in order."""
    rows = [row for name in names for row in yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))]
    return [Case(row["case"], row.get("change", {}), tuple(row.get("says", ())), row.get("before", {})) for row in rows]
