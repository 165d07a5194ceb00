"""What each field of the spec does: docs/releases.md says it in a table, and this measures it for every field of the CRD.

Two or more values of a field are rendered. Another revision: the field is part of a release. Another template of a component that
runs: its pods are exchanged. A field that no row names, or that a row tells wrongly, fails.
"""

import fnmatch
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import ValidationError
from rag_operator import names
from rag_operator.observed import Observed, component_of
from rag_operator.releases import make_plan
from rag_operator.releases.identity import revision_hash
from rag_operator.resources import build_all

from tests.unit.api.effects import examples, leaves, with_value
from tests.unit.api.test_every_field_has_effect import (
    BASE,
    METADATA,
    REFERENCES,
    SETTINGS,
    SPEC,
    current,
    parsed,
    with_model,
    with_old_revisions,
    with_result,
    with_weights,
)

Json = dict[str, Any]
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "releases.md"
RELEASE, PLACEMENT, POLICY = "release", "placement", "scale and policy"
EXCHANGED = {names.COMPONENT_API: "API", names.COMPONENT_QDRANT: "Qdrant", names.COMPONENT_MODEL: "model server"}
ANOTHER = "another model server"
VALUES: dict[str, tuple[Any, ...]] = {"api.replicas": (0, 1, 2, 3), "model.vllm.replicas": (0, 1, 2, 3)}
"""Where what matters happens between other values than the smallest two."""

# Of the pretended values: no user can bring the models to hold them.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")


class Effect(NamedTuple):
    """What an edit of a field does. `exchanged` are the components whose pods are made anew, in alphabetical order."""

    kind: str
    exchanged: tuple[str, ...]


class Row(NamedTuple):
    """A row of the table in docs/releases.md."""

    effect: Effect
    patterns: tuple[str, ...]


class World(NamedTuple):
    """What a spec leads to: the hash of its revision, what runs, and the records and settings that stay beside it."""

    revision: str
    running: list[Json]
    beside: list[Json]

    @property
    def templates(self) -> dict[tuple[str, str], Json]:
        """Pod templates by component and name."""
        return {(component_of(body), body["metadata"]["name"]): body["spec"]["template"] for body in self.running}


def world(spec: Json, before: World | None) -> World | None:
    """What an edit to this spec leads to where `before` runs; None when the contract does not know such a value: then it is
    part of a revision."""
    service = parsed(spec)
    observed = Observed(service=service, body={"metadata": METADATA, "spec": spec}, references=REFERENCES)
    observed = observed.with_children([*before.running, *before.beside] if before is not None else ())
    try:
        built = with_result(observed)
        serving = with_old_revisions(with_model(with_weights(built, current(built))))
        plan = make_plan(serving)
        assert plan.desired is not None
        children = build_all(service, serving, plan, SETTINGS)
    except ValidationError:
        return None
    running = [child for child in children if child["kind"] in {"Deployment", "StatefulSet"}]
    beside = [
        child for child in children if component_of(child) in {names.COMPONENT_REVISION, names.COMPONENT_SETTINGS}
    ]
    return World(revision_hash(plan.desired, plan.image), running, beside)


def measured(path: str, leaf: Json) -> Effect:
    """What edits between the example values of a field do."""
    first, *more = (with_value(BASE, SPEC, path, value) for value in VALUES.get(path, examples(path, leaf)))
    start = world(first, None)
    found = [start, *(world(spec, start) for spec in more)]
    worlds = [one for one in found if one is not None]
    released = len(worlds) < len(found) or len({one.revision for one in worlds}) > 1
    exchanged = set()
    for one in worlds:
        for key in one.templates.keys() | worlds[0].templates.keys():
            if key not in one.templates or key not in worlds[0].templates:
                exchanged.add(ANOTHER)
            elif one.templates[key] != worlds[0].templates[key]:
                exchanged.add(EXCHANGED[key[0]])
    kind = RELEASE if released else PLACEMENT if exchanged else POLICY
    return Effect(kind, tuple(sorted(exchanged)))


def rows(text: str) -> list[Row]:
    """The rows of the table: class, fields in backquotes, whose pods are exchanged."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0] in {RELEASE, PLACEMENT, POLICY}:
            exchanged = () if cells[2] == "none" else tuple(sorted(cells[2].split(", ")))
            found.append(Row(Effect(cells[0], exchanged), tuple(re.findall(r"`([^`]+)`", cells[1]))))
    return found


def said(path: str, table: list[Row]) -> Effect:
    """What the most exact row says of a field."""
    fitting = [
        (len(pattern), row.effect) for row in table for pattern in row.patterns if fnmatch.fnmatchcase(path, pattern)
    ]
    assert fitting, f"docs/releases.md does not say whether spec.{path} is {RELEASE}, {PLACEMENT}, or {POLICY}"
    return max(fitting)[1]


@pytest.mark.parametrize(("path", "leaf"), list(leaves(SPEC)), ids=[path for path, _ in leaves(SPEC)])
def test_field_does_what_the_table_says(path: str, leaf: Json) -> None:
    assert said(path, rows(DOCUMENT.read_text())) == measured(path, leaf)


def test_every_row_is_about_a_field_that_there_is() -> None:
    paths = [path for path, _ in leaves(SPEC)]
    patterns = [pattern for row in rows(DOCUMENT.read_text()) for pattern in row.patterns]

    assert [pattern for pattern in patterns if not fnmatch.filter(paths, pattern)] == []


def test_a_field_that_no_row_names_is_found() -> None:
    table = rows(DOCUMENT.read_text().replace("`retrieval.topK`", "it"))

    with pytest.raises(AssertionError, match=r"does not say whether spec\.retrieval\.topK"):
        said("retrieval.topK", table)
