"""The table cannot rot: each old text is in the code, each broken file still parses, each test exists."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from .copy import ROOT, Copy, CopyError, first_failure
from .mutant import Mutant, broken
from .table import MUTANTS


def test_names_are_unique() -> None:
    assert {} == {name: n for name, n in Counter(mutant.name for mutant in MUTANTS).items() if n > 1}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_code_can_be_broken_so(mutant: Mutant) -> None:
    text = mutant.file(ROOT).read_text()
    assert text != broken(text, mutant)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_test_exists(mutant: Mutant) -> None:
    path, _, name = mutant.test.partition("::")
    functions = [
        node
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert name.partition("[")[0] in {function.name for function in functions}


@pytest.mark.parametrize("path", ["code/a.py", "code/"])
@pytest.mark.parametrize("old", ["one = 1", "two = 2"])
def test_a_text_that_is_not_there_once_is_refused(tmp_path: Path, path: str, old: str) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("one = 1\none = 1\n")
    with pytest.raises(ValueError, match="times, not once"):
        Mutant("x", "", path, old, "", "tests/x.py::test_x").file(tmp_path)


def test_a_copy_that_is_not_what_runs_is_refused(tmp_path: Path) -> None:
    """An empty folder: the packages of the checkout would be imported."""
    with pytest.raises(CopyError, match="would be tested instead"):
        Copy(tmp_path).prove()


def test_the_first_failure_is_told() -> None:
    said = "x\nFAILED tests/a.py::test_b - assert 1 == 2\nFAILED tests/a.py::test_c\n2 failed\n"
    assert "FAILED tests/a.py::test_b - assert 1 == 2" == first_failure(said)
    assert "no tests ran" == first_failure("\nno tests ran\n")
    assert "" == first_failure("")
