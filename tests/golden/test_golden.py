"""Everything that the operator makes of some services, written out. `RAG_GOLDEN_WRITE=1` rewrites the files: review the diff."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from .rendering import CASES, SECOND_PASS, children

ROOT = Path(__file__).parent


def dumped(objects: list[dict[str, Any]]) -> str:
    """As files hold it."""
    return yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True, width=120)


@pytest.mark.parametrize("case", CASES)
def test_children_are_as_written(case: str) -> None:
    file = ROOT / case / "out.yaml"
    text = dumped(children(case))
    if os.environ.get("RAG_GOLDEN_WRITE"):
        file.write_text(text)
    assert file.read_text() == text


@pytest.mark.parametrize("case", CASES)
def test_rendering_twice_gives_the_same(case: str) -> None:
    assert children(case) == children(case)


def test_served_case_holds_a_record_and_a_table() -> None:
    kinds = [child["kind"] for child in children(SECOND_PASS)]
    assert kinds.count("RagRevision") == 1


@pytest.mark.parametrize("case", CASES)
def test_every_child_is_owned_named_and_labelled(case: str) -> None:
    seen = set()
    for child in children(case):
        metadata = child["metadata"]
        assert metadata["namespace"] == "team-a"
        (owner,) = metadata["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("RagService", "uid-service", True)
        assert metadata["labels"]["ragserving.dev/service"] == owner["name"]
        assert len(metadata["name"]) <= 63
        seen.add((child["kind"], metadata["name"]))
    assert len(seen) == len(children(case))


@pytest.mark.parametrize("case", CASES)
def test_every_pod_is_restricted_and_has_no_rights(case: str) -> None:
    specs = [c["spec"]["template"]["spec"] for c in children(case) if "template" in c.get("spec", {})]
    assert specs
    for spec in specs:
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
            assert container["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize("case", CASES)
def test_selectors_hold_immutable_identity_only(case: str) -> None:
    for child in children(case):
        selector = child.get("spec", {}).get("selector")
        if selector is None:
            continue
        labels = selector.get("matchLabels", selector)
        identity = {"ragserving.dev/service", "app.kubernetes.io/component"}
        if labels["app.kubernetes.io/component"] == "model":
            identity.add("ragserving.dev/model")  # two models live side by side while one is exchanged
        assert set(labels) == identity


def test_no_secret_content_is_in_any_child() -> None:
    for case in CASES:
        assert "Secret" not in {child["kind"] for child in children(case)}
