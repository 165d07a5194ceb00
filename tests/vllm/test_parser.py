"""vLLM's own parser: takes what the operator renders, knows every flag of its table, refuses every one that was removed."""

import json
import subprocess
from functools import cache

import pytest
from rag_contract.engine_flags import REMOVED_FLAGS
from rag_contract.engine_logs import diagnose
from rag_contract.release_table import Endpoint, Engine, ModelRelease
from rag_operator.api import Vllm
from rag_operator.api.engine import abbreviated
from rag_operator.api.engine_flags import KNOWN_FLAGS
from rag_operator.resources import engine

from . import environment
from .conftest import Figures

pytestmark = pytest.mark.vllm

SHORT = ["--trust-rem", "--api-k=secret", "--tensor_par=1", "--served-model=other"]
REMOVED = [f"--{spelling}" for removed in REMOVED_FLAGS for spelling in removed.spellings]


def rendered(weights: str | None) -> list[str]:
    """With every field that has an effect on the arguments."""
    model = ModelRelease(
        runtime="VLLM",
        name="org/model",
        revision="0123456789abcdef0123456789abcdef01234567",
        hash="0" * 16,
        endpoints=(Endpoint(url="http://model", model="rag"),),
        context_tokens=8192,
        engine=Engine(gpus=2, gpu_memory_percent=85, trust_remote_code=True, arguments=("--dtype=half", "--seed=1")),
    )
    return engine.arguments(model, Vllm(), weights)


@cache
def answers() -> dict[str, list[str]]:
    """Of one process for all tests."""
    environment.install()
    lines = [rendered(None), rendered("/var/lib/rag-model"), *(["org/model", f"{flag}=1"] for flag in REMOVED)]
    lines += [["org/model", flag] for flag in SHORT]
    python = environment.folder() / "bin" / "python"
    done = subprocess.run(
        [python, environment.HERE / "parse.py"],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")] or [done.stderr]
    found: dict[str, list[str]] = json.loads(line.removeprefix("RESULT "))
    return found


def test_what_the_operator_renders_is_taken() -> None:
    assert ["", ""] == answers()["said"][:2]


@pytest.mark.parametrize("flag", REMOVED)
def test_a_removed_flag_is_refused_and_its_replacement_named(flag: str) -> None:
    complaint = answers()["said"][2:][REMOVED.index(flag)]
    found = diagnose(complaint)
    assert found is not None, complaint
    assert "InvalidEngineArgument" == found.reason
    assert f"vLLM's parser refuses {flag}: it was removed" in found.message


def test_the_parser_takes_short_forms_which_the_operator_therefore_refuses() -> None:
    assert [""] * len(SHORT) == answers()["said"][-len(SHORT) :]
    assert all(abbreviated([flag]) for flag in SHORT)


def test_the_table_of_flags_is_the_parsers(figures: Figures) -> None:
    flags = answers()["flags"]
    assert [] == sorted(KNOWN_FLAGS - set(flags))
    figures.add(
        "flags of the operator's table, all known to the parser; removed ones refused",
        f"{len(KNOWN_FLAGS)}; {len(REMOVED)}",
    )
