"""Models to CustomResourceDefinitions. Pure but for `write` and `stale`, which touch the folder they are given.

api models --(pydantic JSON schema)--> inline $ref, collapse Optional, drop titles --> structural schema --> YAML
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from .api import RagRevision, RagService

Json = dict[str, Any]

GROUP = "ragserving.dev"
VERSION = "v1alpha1"
DROPPED = frozenset({"title", "additionalProperties", "$defs"})
HEADER = "# Generated from the models in operator/rag_operator/api by `make manifests`: edit those.\n"

READY = '.status.conditions[?(@.type=="Ready")]'
SERVICE_COLUMNS = (
    ("Ready", "string", f"{READY}.status"),
    ("Reason", "string", f"{READY}.reason"),
    ("Revision", "integer", ".status.revision"),
    ("Prompt", "string", ".status.prompt"),
    ("Index", "string", ".status.index"),
    ("Model", "string", ".status.model"),
    ("Age", "date", ".metadata.creationTimestamp"),
)
SERVICE_WIDE_COLUMNS = (
    ("URL", "string", ".status.url"),
    ("API", "string", ".status.api"),
    ("Qdrant", "string", ".status.qdrant"),
    ("GPU", "string", ".status.gpu"),
)
REVISION_COLUMNS = (
    ("Number", "integer", ".spec.number"),
    ("Prompt", "string", ".spec.prompt.version"),
    ("Index", "string", ".spec.index.version"),
    ("Model", "string", ".spec.model.name"),
    ("Image", "string", ".spec.image"),
    ("Weight", "integer", ".status.weight"),
    ("State", "string", ".status.state"),
    ("Age", "date", ".metadata.creationTimestamp"),
)


class _Generator(GenerateJsonSchema):
    """Defaults written out whole: the API server tests the rules on a default before it fills in those below it."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, BaseModel):
            return dft.model_dump(mode="json", by_alias=True, exclude_none=True)
        return super().encode_default(dft)


def schema(model: type[BaseModel]) -> Json:
    """Structural schema of a whole object."""
    made = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    root: Json = _structural(made, made.get("$defs", {}))
    root["properties"] = {
        "apiVersion": {"type": "string", "description": "Group and version of this kind of object."},
        "kind": {"type": "string", "description": "Kind of this object."},
        **root["properties"],
        "metadata": {"type": "object"},
    }
    root["required"] = ["spec"]
    return root


def _structural(node: Any, definitions: Mapping[str, Json]) -> Any:
    """A JSON schema of pydantic's as the API server wants it."""
    if isinstance(node, list):
        return [_structural(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return _structural({**target, **_without(node, "$ref")}, definitions)
    if "anyOf" in node and {"type": "null"} in node["anyOf"]:
        (only,) = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
        return _structural({**only, **_without(node, "anyOf")}, definitions)
    made: Json = {}
    for key, value in node.items():
        if key == "properties":
            fields = {name: _structural(field, definitions) for name, field in value.items()}
            made |= {key: fields} if fields else {"maxProperties": 0}  # an empty list of fields is not stored
        elif key == "additionalProperties" and isinstance(value, dict):
            made[key] = _structural(value, definitions)
        elif key == "const":
            made["enum"] = [value]
        elif key == "default":
            made.update({} if value is None else {key: value})
        elif key not in DROPPED:
            made[key] = _structural(value, definitions)
    return made


def _without(node: Json, key: str) -> Json:
    return {name: value for name, value in node.items() if name != key}


def documents() -> dict[str, str]:
    """File name to content of everything in crds/."""
    definitions = {"ragservices.yaml": rag_services(), "ragrevisions.yaml": rag_revisions()}
    files = {name: HEADER + _yaml(body) for name, body in definitions.items()}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(definitions),
    }
    return {**files, "kustomization.yaml": HEADER + _yaml(kustomization)}


def rag_services() -> Json:
    """The CustomResourceDefinition of RagService."""
    subresources = {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.api.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    columns = [*map(_column, SERVICE_COLUMNS), *({**_column(c), "priority": 1} for c in SERVICE_WIDE_COLUMNS)]
    return _definition(RagService, "ragservices", ["ragsvc", "rags"], columns, subresources)


def rag_revisions() -> Json:
    """The CustomResourceDefinition of RagRevision."""
    return _definition(RagRevision, "ragrevisions", ["ragrev"], [*map(_column, REVISION_COLUMNS)], {"status": {}})


def _definition(
    model: type[BaseModel], plural: str, short: list[str], columns: list[Json], subresources: Json | None
) -> Json:
    kind = model.__name__
    version: Json = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": columns,
        **({} if subresources is None else {"subresources": subresources}),
        "schema": {"openAPIV3Schema": schema(model)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "rag-operator"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": short,
            },
            "versions": [version],
        },
    }


def _column(column: tuple[str, str, str]) -> Json:
    name, kind, path = column
    return {"name": name, "type": kind, "jsonPath": path}


class _Dumper(yaml.SafeDumper):
    """Every value written out: aliases would be hard to read in a diff."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(body: Json) -> str:
    return yaml.dump(body, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def write(directory: Path) -> None:
    """Write the generated files into `directory`, which is made when it is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (directory / name).write_text(text, encoding="utf-8")


def stale(directory: Path) -> list[str]:
    """Names of files in `directory` that are missing, differ from what the models say, or belong to no model."""
    wanted = documents()
    present = {path.name: path.read_text(encoding="utf-8") for path in directory.glob("*.yaml")}
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
