"""The table that reads an engine's log: each line of it holds for its example, and the nearest cause wins."""

from typing import get_args

import pytest
from rag_contract.engine_flags import REMOVED_FLAGS, replacement
from rag_contract.engine_logs import QUOTE_LENGTH, SIGNATURES, Signature, bare, diagnose, last_error
from rag_contract.model_server import EngineFault

PREFIXES = (
    "",
    "(EngineCore pid=21487) ERROR 11-21 15:03:13 [core.py:1205] ",
    "(EngineCore DP0 pid=21487) ERROR 11-21 15:03:13 [v1/engine/core.py:1205] ",
    "(APIServer pid=20057) ",
    "INFO 11-21 15:03:13.123 [api_utils.py:286] ",
)
CRASH = """
(EngineCore pid=9) ERROR 11-21 15:03:13 [core.py:1205] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.
(APIServer pid=5)   File "/usr/lib/vllm/v1/engine/utils.py", line 1432, in wait
(APIServer pid=5) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda signature: f"{signature.reason}:{signature.pattern[:20]}")
def test_each_line_of_the_table_finds_its_example(signature: Signature, prefix: str) -> None:
    found = diagnose(f"Starting\n{prefix}{signature.example}\nmore")
    assert found is not None
    assert signature.reason == found.reason
    assert signature.example[:QUOTE_LENGTH] == found.quote


def test_every_reason_is_in_the_closed_list() -> None:
    assert {signature.reason for signature in SIGNATURES} <= set(get_args(EngineFault))


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda signature: signature.pattern[:20])
def test_a_remedy_is_a_sentence(signature: Signature) -> None:
    assert signature.cause.endswith(".")
    assert signature.remedy.endswith(".")


def test_the_cause_is_told_and_not_what_followed_from_it() -> None:
    found = diagnose(CRASH)
    assert found is not None
    assert found.reason == "GpuOutOfMemory"
    assert found.quote == "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB."


def test_what_the_configuration_says_is_told_by_its_own_sentence() -> None:
    head = "pydantic_core._pydantic_core.ValidationError: 1 validation error for VllmConfig\n"
    quantization = diagnose(
        head + "  Value error, Cannot find the config file for awq [type=value_error, input_type=ArgsKwargs]"
    )
    other = diagnose(head + "  Value error, tokens must be positive [type=value_error, input_type=ArgsKwargs]")
    assert quantization is not None
    assert other is not None
    assert ("UnsupportedQuantization", "InvalidEngineArgument") == (quantization.reason, other.reason)
    assert other.quote.startswith("Value error, tokens must be positive")


def test_an_ordinary_log_shows_no_fault() -> None:
    lines = [
        "(APIServer pid=1) INFO 11-21 15:03:13 [api_utils.py:286] non-default args: {'quantization': 'awq'}",
        "(EngineCore pid=2) WARNING 11-21 15:03:13 [x.py:1] CUDA memory is 90 % full",
        "INFO:     Application startup complete.",
    ]
    assert diagnose(lines) is None


@pytest.mark.parametrize("flag", ["--swap-space", "--swap_space=4", "--swap-space=4"])
def test_a_removed_flag_is_named_with_its_replacement(flag: str) -> None:
    found = diagnose(f"usage: vllm serve\nvllm serve: error: unrecognized arguments: {flag}")
    assert found is not None
    assert found.reason == "InvalidEngineArgument"
    assert "was removed in vLLM 0.18: write --kv-offloading-size" in found.message


def test_a_flag_that_never_was_is_named_with_the_parsers_own_words() -> None:
    found = diagnose("vllm: error: unrecognized arguments: --enable-metrics")
    assert found is not None
    assert "unrecognized arguments: --enable-metrics" in found.message


def test_every_removed_flag_has_a_replacement_under_each_spelling() -> None:
    for flag in REMOVED_FLAGS:
        for spelling in flag.spellings:
            assert replacement(f"--{spelling}=1") == f"was removed in vLLM {flag.version}: {flag.instead}"
    assert replacement("--max-num-seqs") is None


def test_an_unknown_crash_is_told_by_its_own_last_error() -> None:
    log = (
        "(EngineCore pid=2) ERROR 11-21 15:03:13 [core.py:1] ZeroDivisionError: division by zero\n"
        + CRASH.splitlines()[-1]
    )
    assert last_error(log) == "ZeroDivisionError: division by zero"


def test_a_log_without_an_error_is_told_by_its_last_line() -> None:
    assert last_error("loading\n(APIServer pid=1) INFO 11-21 15:03:13 [a.py:1] 40 %\n\n") == "40 %"
    assert last_error("") == ""


def test_a_prefix_is_cut_and_words_are_not() -> None:
    assert bare("(EngineCore pid=3) WARNING 11-21 15:03:13 [a.py:1] (one) word: [x]") == "(one) word: [x]"
