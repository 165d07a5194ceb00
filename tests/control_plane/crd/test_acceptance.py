"""What the API server takes, fills in and explains."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rag_operator import crd
from rag_operator.api import RagService, RagServiceSpec

from tests.cluster.fixtures import PrivateControlPlane
from tests.control_plane.crd.conftest import REVISIONS, ROOT, SERVICES, Server
from tests.control_plane.crd.objects import Case, cases, changed, minimal, revision

pytestmark = pytest.mark.control_plane

GOOD = cases("good.yaml")
SAMPLES = sorted(path for path in (ROOT / "config" / "samples").glob("*.yaml") if path.name != "kustomization.yaml")


def name_of(case: Case) -> str:
    return re.sub(r"\W+", "-", case.name)


@pytest.mark.parametrize("case", GOOD, ids=name_of)
def test_unusual_but_right_is_taken_by_server_and_models(server: Server, case: Case) -> None:
    answer = server.try_create(case.object)

    assert answer.status == 201, answer.message
    RagService.model_validate(answer.body)


@pytest.mark.parametrize("change", [{}, *(case.change for case in GOOD)], ids=",".join)
def test_server_and_models_fill_in_the_same_defaults(server: Server, change: dict[str, Any]) -> None:
    body = changed(minimal(), change)

    stored = server.try_create(body).body["spec"]

    assert dumped(RagServiceSpec.model_validate(body["spec"])) == dumped(RagServiceSpec.model_validate(stored))
    assert defaults_missing(dumped(RagServiceSpec.model_validate(stored)), stored) == []


def dumped(spec: RagServiceSpec) -> Any:
    return json.loads(spec.model_dump_json(by_alias=True, exclude_none=True))


def defaults_missing(wanted: Any, stored: Any, path: str = "spec") -> list[str]:
    """Paths of fields that the models know and the server did not store."""
    if not isinstance(wanted, dict):
        return []
    missing = [f"{path}.{key}" for key in wanted if key not in stored]
    shared = wanted.keys() & stored.keys()
    return missing + [found for key in shared for found in defaults_missing(wanted[key], stored[key], f"{path}.{key}")]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_sample_is_valid(plane: PrivateControlPlane, sample: Path) -> None:
    plane.kubectl("create", "--validate=strict", "--dry-run=server", "-f", str(sample))


def test_samples_hold_rag_services() -> None:
    kinds = [body["kind"] for path in SAMPLES for body in yaml.safe_load_all(path.read_text(encoding="utf-8"))]

    assert kinds.count("RagService") >= 5


@pytest.mark.parametrize(
    "definition", [crd.rag_services(), crd.rag_revisions()], ids=lambda d: d["spec"]["names"]["kind"]
)
def test_definition_has_no_warning_and_holds_every_field(server: Server, definition: dict[str, Any]) -> None:
    name = definition["metadata"]["name"]

    stored = server.send("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}").body

    states = {condition["type"]: condition["status"] for condition in stored["status"]["conditions"]}
    assert {"Established": "True", "NamesAccepted": "True"}.items() <= states.items()
    assert "NonStructuralSchema" not in states
    assert stored["spec"]["versions"][0]["schema"] == definition["spec"]["versions"][0]["schema"]


def test_explain_tells_every_field(plane: PrivateControlPlane) -> None:
    told = plane.kubectl("explain", "ragservice", "--recursive")
    names = set(re.findall(r"^ +(\S+)\t", told, re.MULTILINE))

    assert field_names(crd.rag_services()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]) <= names
    assert "Empty" not in plane.kubectl("explain", "ragservice.spec.index.chunking.overlapCharacters")
    assert "in characters" in plane.kubectl("explain", "ragservice.spec.index.chunking.overlapCharacters")


def field_names(schema: dict[str, Any]) -> set[str]:
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return set(schema.get("properties", {})).union(*map(field_names, inner))


def test_short_names_and_columns(plane: PrivateControlPlane, server: Server) -> None:
    assert server.send("POST", SERVICES, changed(minimal(), {"metadata.name": "shown"})).status == 201
    ready = {
        "type": "Ready",
        "status": "False",
        "reason": "IndexBuilding",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"conditions": [ready], "revision": 3, "prompt": "answer-v1", "index": "docs-v1", "model": "extractive"}
    wide = {"url": "http://shown-api.default.svc", "api": "0/1", "qdrant": "1/1", "gpu": "0/2"}
    patch = {"status": {**status, **wide}}
    assert server.send("PATCH", f"{SERVICES}/shown/status", patch, "application/merge-patch+json").status == 200

    head, row = plane.kubectl("get", "rags", "shown").splitlines()
    wide_head, wide_row = plane.kubectl("get", "ragsvc", "shown", "-o", "wide").splitlines()

    assert head.split() == ["NAME", "READY", "REASON", "REVISION", "PROMPT", "INDEX", "MODEL", "AGE"]
    assert row.split()[:-1] == ["shown", "False", "IndexBuilding", "3", "answer-v1", "docs-v1", "extractive"]
    assert wide_head.split()[-4:] == ["URL", "API", "QDRANT", "GPU"]
    assert wide_row.split()[-4:] == ["http://shown-api.default.svc", "0/1", "1/1", "0/2"]


def test_revision_columns(plane: PrivateControlPlane, server: Server) -> None:
    assert server.send("POST", REVISIONS, revision("shown-r1")).status == 201
    status = {"status": {"state": "Serving", "weight": 100, "since": "2026-01-01T00:00:00Z"}}
    assert server.send("PATCH", f"{REVISIONS}/shown-r1/status", status, "application/merge-patch+json").status == 200

    head, row = plane.kubectl("get", "ragrev", "shown-r1").splitlines()

    assert head.split() == ["NAME", "NUMBER", "PROMPT", "INDEX", "MODEL", "IMAGE", "WEIGHT", "STATE", "AGE"]
    assert row.split()[:-1] == ["shown-r1", "1", "answer-v1", "docs-v1", "extractive", "api:1", "100", "Serving"]
