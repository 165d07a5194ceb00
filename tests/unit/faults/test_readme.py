"""The tables of `tests/faults/README.md` cannot rot: each hazard and each rule has a test, and what is named exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
README = (ROOT / "tests/faults/README.md").read_text()
ROWS = {row[0]: row[2] for row in re.findall(r"^\| (H?\d+) \| (.+?) \| (.+) \|$", README, re.MULTILINE)}
"""By hazard or rule, the cell that names its tests."""
FILES = re.findall(r"^\| `(test_\w+\.py)` \|", README, re.MULTILINE)


def functions() -> set[str]:
    """Names of all tests."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("test_*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


FUNCTIONS = functions()


def test_every_hazard_and_every_rule_is_there() -> None:
    assert {*(f"H{number}" for number in range(1, 15)), *map(str, range(1, 11))} == set(ROWS)


def test_every_file_is_told_of() -> None:
    assert sorted(path.name for path in (ROOT / "tests/faults").glob("test_*.py")) == sorted(FILES)


@pytest.mark.parametrize("about", ROWS)
def test_what_is_named_exists(about: str) -> None:
    named = re.findall(r"`([^`]+)`", ROWS[about])
    tests = [name for name in named if "/" not in name and name.startswith("test_") and not name.endswith(".py")]
    paths = [name for name in named if "/" in name]
    files = [name for name in named if "/" not in name and name.endswith(".py")]
    assert tests or paths or files
    assert [] == [name for name in tests if name not in FUNCTIONS]
    assert [] == [name for name in paths if not (ROOT / name).exists()]
    assert [] == [name for name in files if not (ROOT / "tests/faults" / name).exists()]
