"""The table of engine arguments: what the operator writes is known to vLLM, what it refuses is refused with a way out."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from rag_contract.engine_flags import REMOVED_FLAGS
from rag_operator.api import RagService, Vllm
from rag_operator.api.engine import (
    CODE_FLAGS,
    LOGGING_FLAGS,
    OLDEST_VERSION,
    OWNED,
    RECORDED_VERSION,
    engine_version,
    unknown_flags,
)
from rag_operator.api.engine_flags import KNOWN_FLAGS
from rag_operator.releases.model import wanted_model
from rag_operator.resources import engine

from tests.unit.rag_operator.test_model_deployment import COMMIT, declared

RECORDED = Path(__file__).parents[2] / "contract" / "vllm" / "recorded" / "flags.txt"


def recorded() -> set[str]:
    """Long flags as the recorded help lists them; those of its own example are left out."""
    words = {word.strip() for line in RECORDED.read_text(encoding="utf-8").splitlines() for word in line.split(",")}
    return {word.rstrip(".") for word in words if word.startswith("--") and not word.startswith("--json-arg")}


def test_known_flags_are_those_of_the_recorded_help() -> None:
    assert recorded() == set(KNOWN_FLAGS)


def test_what_the_operator_writes_is_known_to_that_version() -> None:
    body = declared({"gpu": {"count": 2}, "maxModelTokens": 4096, "trustRemoteCode": True}, revision=COMMIT)
    service = RagService.model_validate(body)
    assert service.spec.model.vllm is not None
    written = engine.arguments(wanted_model(service), service.spec.model.vllm)

    assert len(written) >= 10
    assert {flag.partition("=")[0] for flag in written[1:]} <= recorded()


def test_flags_that_are_forbidden_or_warned_of_exist() -> None:
    assert recorded() >= CODE_FLAGS | LOGGING_FLAGS


def test_owned_flags_exist_and_removed_ones_do_not() -> None:
    owned = {f"--{spelling}" for flag in OWNED for spelling in flag.spellings if len(spelling) > 2}

    assert owned - {"--version", "--help"} <= recorded()
    assert not {f"--{spelling}" for flag in REMOVED_FLAGS for spelling in flag.spellings} & recorded()


@pytest.mark.parametrize(
    ("argument", "way_out"),
    [
        ("--host", "leave it out"),
        ("--port=9000", "leave it out"),
        ("--model=other", "spec.model.name"),
        ("--served_model_name=other", "leave it out"),
        ("--api-key", "leave it out"),
        ("--shutdown-timeout=5", "spec.model.vllm.drainSeconds"),
        ("-tp", "spec.model.vllm.gpu.count"),
        ("--tensor_parallel_size=2", "spec.model.vllm.gpu.count"),
        ("--trust-remote-code", "spec.model.vllm.trustRemoteCode"),
        ("--max-model-len 4096", "spec.model.vllm.maxModelTokens"),
        ("--swap-space=4", "--kv-offloading-size"),
        ("--disable-log-requests", "--enable-log-requests"),
        ("--task=embed", "--runner"),
        ("--help", "leave it out"),
    ],
)
def test_argument_is_refused_with_a_way_out(argument: str, way_out: str) -> None:
    with pytest.raises(ValidationError, match=way_out):
        Vllm.model_validate({"args": ["--seed=1", argument]})


@pytest.mark.parametrize(
    "argument", ["--max-num-seqs=64", "--hostile", "--task-force", "-O3", "64", "--model-impl=vllm"]
)
def test_other_arguments_are_taken(argument: str) -> None:
    assert Vllm.model_validate({"args": [argument]}).args == (argument,)


def test_unknown_flags_are_told_and_their_values_are_not() -> None:
    arguments = ["--max_num_seqs=8", "--enable-metrics", "--hf-overrides.a.b=1", "-O3", "8", "--invented=--seed"]

    assert unknown_flags(arguments) == ["--enable-metrics", "--invented"]


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("vllm/vllm-openai:v0.32.0", (0, 32)),
        ("registry.example.com:5000/mirror/vllm-openai:0.9.1-cu128", (0, 9)),
        ("vllm/vllm-openai:v0.18.0@sha256:" + "0" * 64, (0, 18)),
        ("vllm/vllm-openai:latest", None),
        ("vllm/vllm-openai", None),
        ("registry.example.com:5000/vllm", None),
        ("rag-operator/model-server:0.2.0", None),
    ],
)
def test_version_is_read_from_the_tag_of_vllms_own_images(image: str, version: tuple[int, int] | None) -> None:
    assert engine_version(image) == version


def test_the_oldest_version_is_not_newer_than_the_recorded_one() -> None:
    assert OLDEST_VERSION < RECORDED_VERSION
