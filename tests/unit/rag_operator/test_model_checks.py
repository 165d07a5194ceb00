"""Model servers that cannot be, although their schema is right: each is refused before anything of it is applied."""

from typing import Any

import pytest
from rag_operator.api import Reason
from rag_operator.checks_model import model_problem
from rag_operator.errors import InvalidSpec
from rag_operator.releases import make_plan
from rag_operator.settings import Settings

from tests.unit.rag_operator.test_model_deployment import declared
from tests.unit.rag_operator.world import World, observed, service

Json = dict[str, Any]


def problem(vllm: Json, **settings: Any) -> InvalidSpec | None:
    world = observed(declared(vllm))
    return model_problem(world.service, make_plan(world), Settings(kubeconfig="", **settings))


def told(found: InvalidSpec | None) -> tuple[str, str]:
    assert found is not None
    return found.reason, found.message


def test_usual_model_has_no_problem() -> None:
    assert problem({}) is None


def test_image_of_an_old_engine_is_refused_with_the_version_to_use() -> None:
    reason, message = told(problem({"image": "vllm/vllm-openai:v0.12.0"}))

    assert reason == Reason.EngineNotSupported
    assert "vLLM 0.12" in message
    assert "0.18 or newer" in message


def test_setting_forbids_code_of_models() -> None:
    reason, message = told(problem({"trustRemoteCode": True}, allow_remote_code=False))

    assert reason == Reason.RemoteCodeForbidden
    assert "RAG_OPERATOR_ALLOW_REMOTE_CODE" in message
    assert problem({"trustRemoteCode": True}) is None


@pytest.mark.parametrize(
    "argument", ["--tool-parser-plugin=/var/lib/rag-model/x.py", "--reasoning_parser_pl", "--tool-parser-p"]
)
def test_setting_forbids_code_by_arguments_too(argument: str) -> None:
    reason, message = told(problem({"args": [argument]}, allow_remote_code=False))

    assert reason == Reason.RemoteCodeForbidden
    assert f"args has {argument}" in message
    assert problem({"args": [argument]}) is None


@pytest.mark.parametrize(
    ("argument", "meant", "way_out"),
    [
        ("--trust-rem", "--trust-remote-code", "spec.model.vllm.trustRemoteCode"),
        ("--tensor_par=4", "--tensor-parallel-size", "spec.model.vllm.gpu.count"),
        ("--served-model=other", "--served-model-name", "leave it out"),
        ("--api-k secret", "--api-key", "leave it out"),
    ],
)
def test_short_form_of_an_owned_flag_is_refused_as_the_flag(argument: str, meant: str, way_out: str) -> None:
    reason, message = told(problem({"args": ["--seed=1", argument]}))

    assert reason == Reason.InvalidEngineArgument
    assert f'"{argument}" of spec.model.vllm.args is short for {meant}' in message
    assert way_out in message


@pytest.mark.parametrize(
    "argument", ["--model-impl=vllm", "--trust-request-chat-template", "--hostile", "-O3", "64", "--", "--seed=1"]
)
def test_a_flag_of_its_own_is_short_for_nothing(argument: str) -> None:
    assert problem({"args": [argument]}) is None


@pytest.mark.parametrize(("allowed", "way_out"), [("", "leave it out"), ("kata, nvidia", "choose one of kata, nvidia")])
def test_runtime_classes_are_those_of_the_setting(allowed: str, way_out: str) -> None:
    reason, message = told(problem({"runtimeClassName": "runc"}, runtime_classes=allowed))

    assert reason == Reason.RuntimeClassForbidden
    assert way_out in message


def test_runtime_class_of_the_setting_is_taken() -> None:
    assert problem({"runtimeClassName": "nvidia"}, runtime_classes="kata, nvidia") is None


def test_context_must_hold_prompt_source_and_answer() -> None:
    reason, message = told(problem({"maxModelTokens": 1000}))

    assert reason == Reason.ContextTooShort
    assert "spec.model.vllm.maxModelTokens is 1000" in message
    assert problem({"maxModelTokens": 4096}) is None


def test_block_of_a_runtime_that_is_not_chosen_is_not_judged() -> None:
    world = observed(service(model={"runtime": "Extractive", "vllm": {"image": "vllm/vllm-openai:v0.12.0"}}))

    assert model_problem(world.service, make_plan(world), Settings(kubeconfig="")) is None


async def test_refused_model_is_told_in_status_and_nothing_of_it_is_applied() -> None:
    world = World(declared({"image": "vllm/vllm-openai:v0.12.0"}))
    await world.run()

    assert world.reason("SpecValid") == ("False", "EngineNotSupported")
    assert not [name for _, _, name in world.writes if "-model-" in name]
