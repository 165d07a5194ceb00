"""Which fields of a RagService change nothing? Walks the CRD and compares what two values of each field lead to."""

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]
Outcome = Callable[[Json], Any]

PRETENDED = "Pretended"
QUANTITIES = ("1Gi", "2Gi")
# Parts that exclude each other: having the first means not having the second.
EXCLUSIVE = {
    "vectorStore.external": "vectorStore.qdrant",
    "prompt.configMapRef": "prompt.system",
    "index.documents.persistentVolumeClaim": "index.documents.configMapRef",
}
_INDEX: Json = {"version": "one", "documents": {"configMapRef": {"name": "one"}}}
_EMBEDDER: Json = {"url": "http://one.example.com", "model": "one", "dimension": 1}
# What a part needs around it to have an effect: the spec says so instead of its base.
CONTEXTS: dict[str, Json] = {
    "model.vllm": {"model": {"runtime": "VLLM", "name": "one", "vllm": {"cache": {"accessMode": "ReadWriteMany"}}}},
    "model.name": {"model": {"runtime": "VLLM", "vllm": {}}},
    "model.revision": {"model": {"runtime": "VLLM", "name": "one", "vllm": {}}},
    "model.external": {"model": {"runtime": "External"}},
    "model.runtime": {
        "model": {"name": "one", "vllm": {}, "external": {"url": "http://one.example.com", "model": "one"}},
    },
    "index.embedding.provider": {"index": {**_INDEX, "embedding": {"external": _EMBEDDER}}},
    "index.refresh.schedule": {
        "index": {"version": "one", "documents": {"persistentVolumeClaim": {"claimName": "one"}}}
    },
    "index.embedding.external": {"index": {**_INDEX, "embedding": {"provider": "External"}}},
}
# Fields whose plain example values would break a rule.
EXAMPLES: dict[str, tuple[Any, Any]] = {
    "index.refresh.schedule": ("0 3 * * *", "0 4 * * *"),
    "api.tracing.endpoint": ("http://one.example.com", "http://two.example.com"),
    "vectorStore.external.url": ("http://one.example.com", "http://two.example.com"),
    "index.chunking.maxCharacters": (1200, 1300),
    "model.external.url": ("http://one.example.com", "http://two.example.com"),
    "index.embedding.external.url": ("http://one.example.com", "http://two.example.com"),
    "model.fallback": ([], [{"extractive": {}}]),
    "model.prices.currency": ("USD", "VND"),
    # Auto is Surge where nobody may look at nodes.
    "model.vllm.strategy": ("Surge", "Replace"),
    "model.vllm.gpu.resourceName": ("nvidia.com/gpu", "amd.com/gpu"),
    "model.vllm.tolerations": ([], [{"key": "one"}]),
    "model.vllm.nodeAffinity.required": ([], [{"key": "one", "operator": "Exists"}]),
    "model.vllm.nodeAffinity.preferred": ([], [{"key": "one", "operator": "Exists"}]),
    "model.vllm.resourceClaims": ([], [{"name": "one", "resourceClaimTemplateName": "one"}]),
    "model.vllm.source.hub.endpoint": ("http://one.example.com", "http://two.example.com"),
    "model.vllm.source.s3.url": ("s3://one/model", "s3://two/model"),
    "model.vllm.source.s3.endpoint": ("http://one.example.com", "http://two.example.com"),
    "rollback.prompt": ("old-1", "old-2"),
    "rollback.index": ("old-1", "old-2"),
    "rollback.model": ("old-1", "old-2"),
    "model.vllm.nodeSelector": ({}, {"one": "two"}),
}


def without_effect(part: str, schema: Json, base: Json, outcome: Outcome) -> list[str]:
    """Paths of leaves below a part of the spec whose two values have the same outcome; `base` is a valid spec."""
    found = [(path, leaf) for path, leaf in leaves(schema) if path.startswith(f"{part}.")]
    return [path for path, leaf in found if not has_effect(path, leaf, schema, base, outcome)]


def leaves(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every field that holds a value, with its path below spec."""
    for name, field in schema["properties"].items():
        here = f"{path}.{name}".removeprefix(".")
        if "properties" in field:
            yield from leaves(field, here)
        else:
            yield here, field


def has_effect(path: str, leaf: Json, schema: Json, base: Json, outcome: Outcome) -> bool:
    """All values of an enumeration, or two values of anything else, lead to different outcomes."""
    outcomes = [outcome(with_value(base, schema, path, value)) for value in examples(path, leaf)]
    return all(first != second for first, second in itertools.pairwise(outcomes))


def examples(path: str, leaf: Json) -> tuple[Any, ...]:
    """Different values of a field. An enumeration of one value gets a second, which no user could write: `outcome` has to cope."""
    if path in EXAMPLES:
        return EXAMPLES[path]
    if "enum" in leaf:
        return tuple(leaf["enum"]) if len(leaf["enum"]) > 1 else (*leaf["enum"], PRETENDED)
    if leaf.get("x-kubernetes-int-or-string"):
        return QUANTITIES
    if leaf["type"] == "array":
        return ([], ["one"])
    if leaf["type"] == "boolean":
        return (False, True)
    if leaf["type"] in {"integer", "number"}:
        return (leaf["minimum"], leaf["minimum"] + 1)
    return ("one", "two")


def with_value(base: Json, schema: Json, path: str, value: Any) -> Json:
    """`base` with one field set: parts on the way are made with what they require, and what they exclude goes."""
    made = copy.deepcopy(base)
    for part, context in CONTEXTS.items():
        if path == part or path.startswith(f"{part}."):
            made |= copy.deepcopy(context)
    for part, other in EXCLUSIVE.items():
        if path == part or path.startswith(f"{part}."):
            _remove(made, other)
    node, folder, here = made, schema, ""
    *parents, last = path.split(".")
    for parent in parents:
        folder, here = folder["properties"][parent], f"{here}.{parent}".removeprefix(".")
        node = node.setdefault(parent, _required(folder, here))
    node[last] = value
    return made


def _required(schema: Json, path: str) -> Json:
    fields = {name: schema["properties"][name] for name in schema.get("required", ())}
    return {
        name: _required(field, f"{path}.{name}") if "properties" in field else examples(f"{path}.{name}", field)[0]
        for name, field in fields.items()
    }


def _remove(body: Json, path: str) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        body = body.get(parent, {})
    body.pop(last, None)
