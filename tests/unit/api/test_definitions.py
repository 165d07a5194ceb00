"""The generated CRDs and their reference: bounded, explained to the last field, and current."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rag_operator import crd, names, reference

Json = dict[str, Any]
ROOT = Path(__file__).parents[3]
SCHEMAS = {
    body["spec"]["names"]["kind"]: body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for body in (crd.rag_services(), crd.rag_revisions())
}
KUBERNETES_OWN = {"apiVersion", "kind", "metadata"}


def fields(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """All fields below a schema, with their paths."""
    for name, field in schema.get("properties", {}).items():
        if path or name not in KUBERNETES_OWN:
            yield f"{path}.{name}", field
            yield from fields(field, f"{path}.{name}")
    if "items" in schema:
        yield f"{path}[]", schema["items"]
        yield from fields(schema["items"], f"{path}[]")


ALL = [(kind, path, field) for kind, schema in SCHEMAS.items() for path, field in fields(schema)]


def places(wrong: list[tuple[str, str]]) -> list[str]:
    return [f"{kind}{path}" for kind, path in wrong]


def test_the_walk_sees_the_deepest_fields() -> None:
    paths = {path for _, path, _ in ALL}

    assert {
        ".spec.vectorStore.qdrant.resources.requests.ephemeral-storage",
        ".status.conditions[].reason",
        ".spec.index.identity.chunker",
    } <= paths


def test_every_string_list_and_map_is_bounded() -> None:
    unbounded = [(kind, path) for kind, path, field in ALL if not bounded(field)]

    assert places(unbounded) == []


def bounded(field: Json) -> bool:
    if field.get("x-kubernetes-int-or-string") or "enum" in field:
        return True
    if "anyOf" in field:
        return False
    if field["type"] == "string":
        return "maxLength" in field
    if field["type"] == "array":
        return "maxItems" in field
    if "additionalProperties" in field:
        return "maxProperties" in field and bounded(field["additionalProperties"])
    return field["type"] != "object" or "properties" in field or "maxProperties" in field


def test_every_number_of_a_service_has_bounds() -> None:
    numbers = [(kind, path, field) for kind, path, field in ALL if field.get("type") in {"integer", "number"}]
    spec = [(kind, path, field) for kind, path, field in numbers if kind == "RagService" and path.startswith(".spec")]

    assert len(spec) >= 14
    assert places([(kind, path) for kind, path, field in spec if not {"minimum", "maximum"} <= field.keys()]) == []


def test_every_field_is_described_with_its_unit() -> None:
    described = [(kind, path, field) for kind, path, field in ALL if not path.endswith("[]")]
    silent = [(kind, path) for kind, path, field in described if len(field.get("description", "")) < 8]
    without_unit = [
        (kind, path)
        for kind, path, field in described
        if (path.endswith("Seconds") and "in seconds" not in field["description"])
        or (path.endswith("Milliseconds") and "in milliseconds" not in field["description"])
        or (path.endswith("Characters") and "in characters" not in field["description"])
    ]

    assert places(silent) == []
    assert places(without_unit) == []


def test_every_rule_says_what_to_do() -> None:
    rules = [(path, rule) for _, path, field in ALL for rule in field.get("x-kubernetes-validations", ())]

    assert len(rules) > 40
    assert [path for path, rule in rules if len(rule["message"]) < 15 or "\n" in rule["message"]] == []


def test_nothing_of_json_schema_is_left_that_kubernetes_does_not_know() -> None:
    text = "\n".join(crd.documents().values())

    assert (
        re.findall(
            r"^ *(?:- )?(title|\$ref|\$defs|const|propertyNames|exclusiveMinimum|additionalProperties: \S+):?",
            text,
            re.M,
        )
        == []
    )
    assert "type: 'null'" not in text


def test_group_and_version_are_those_of_the_operator() -> None:
    assert (names.GROUP, names.VERSION) == (crd.GROUP, crd.VERSION)


def test_checked_in_definitions_are_current() -> None:
    assert crd.stale(ROOT / "crds") == []


def test_checked_in_reference_is_current() -> None:
    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == reference.markdown()


def test_reference_names_every_field_of_a_service() -> None:
    page = reference.markdown()
    leaves = {path.rpartition(".")[2].removesuffix("[]") for _, path, _ in ALL if path.count(".") > 1}

    assert {leaf for leaf in leaves if f"| `{leaf}` |" not in page} == set()


def test_stale_tells_missing_changed_and_foreign_files(tmp_path: Path) -> None:
    crd.write(tmp_path)
    assert crd.stale(tmp_path) == []

    (tmp_path / "ragservices.yaml").unlink()
    (tmp_path / "ragrevisions.yaml").write_text("changed")
    (tmp_path / "other.yaml").write_text("foreign")

    assert crd.stale(tmp_path) == ["other.yaml", "ragrevisions.yaml", "ragservices.yaml"]


def test_reference_check_tells_a_changed_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "api.md"
    assert reference.main([str(page)]) == 0
    assert reference.main([str(page), "--check"]) == 0

    page.write_text("changed")

    assert reference.main([str(page), "--check"]) == 1
    assert "is not current" in capsys.readouterr().err


def test_every_file_is_yaml_and_says_where_it_comes_from() -> None:
    for text in crd.documents().values():
        assert text.startswith("# Generated from")
        assert isinstance(yaml.safe_load(text), dict)
