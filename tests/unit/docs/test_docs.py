"""What the documents say about the code is what the code says, and their links lead somewhere."""

import re
from pathlib import Path

import pytest
import yaml
from rag_operator.api.reasons import REMEDIES, Reason
from rag_operator.api.status import ConditionType
from rag_operator.settings import variables

from tests import docs

DOCUMENTS = [*docs.ROOT.glob("*.md"), *docs.ROOT.glob("docs/**/*.md"), *docs.ROOT.glob("tests/cluster/*.md")]
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def test_generated_references_are_current() -> None:
    assert docs.stale() == []


def test_every_reason_and_condition_is_explained() -> None:
    text = docs.status()
    assert [reason for reason in Reason if f"`{reason}`" not in text] == []
    assert [kind for kind in ConditionType if f"`{kind}`" not in text] == []
    assert set(Reason) == set(REMEDIES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(docs.ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    missing = [link for link in _LINK.findall(document.read_text()) if not (document.parent / link.strip()).exists()]
    assert missing == []


def test_installed_settings_are_known() -> None:
    known = {name for name, _, _ in variables()}
    texts = [p.read_text() for folder in ("config", "tests/demo") for p in (docs.ROOT / folder).rglob("*.yaml")]
    used = set(re.findall(r"\bRAG_OPERATOR_[A-Z_]+", "\n".join(texts)))
    assert used
    assert used - known == set()


def test_the_readmes_example_is_the_samples_shape() -> None:
    """The README shows fields that the CRD knows."""
    blocks = re.findall(r"```yaml\n(.*?)```", (docs.ROOT / "README.md").read_text(), re.S)
    service = next(d for b in blocks for d in yaml.safe_load_all(b) if d and d.get("kind") == "RagService")
    crd = yaml.safe_load((docs.ROOT / "crds" / "ragservices.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert unknown(service["spec"], schema, "spec") == []


def unknown(value: object, schema: dict[str, object], path: str) -> list[str]:
    """Paths in `value` that the schema does not have."""
    properties = schema.get("properties")
    if not isinstance(value, dict) or not isinstance(properties, dict):
        return []
    found = [f"{path}.{key}" for key in value if key not in properties]
    for key, inner in value.items():
        if key in properties:
            found += unknown(inner, properties[key], f"{path}.{key}")
    return found
