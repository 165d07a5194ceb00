"""The launcher's pure parts: figures, hang watch, tail of the log, GPUs, endings."""

from ctypes import c_int
from pathlib import Path
from typing import Any

import pytest
from rag_contract.model_server import ModelServerResult
from rag_model_server import ending, gpus
from rag_model_server.tail import LINES, Tail
from rag_model_server.vitals import HangWatch, Vitals, read

TEXT = """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="rag"} 2.0
vllm:num_requests_running{engine="1",model_name="rag"} 1.0
vllm:num_requests_waiting{engine="0",model_name="rag"} 4.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="rag",reason="capacity"} 9.0
vllm:iteration_tokens_total_count{engine="0",model_name="rag"} 1.2e+03
"""


class Driver:
    """A double of a driver's library."""

    def __init__(self, code: int = 0, devices: int = 0) -> None:
        self._code, self._devices = code, devices

    def cuInit(self, _flags: int) -> int:
        return self._code

    def cuDeviceGetCount(self, found: Any) -> int:
        found._obj.value = self._devices
        assert isinstance(found._obj, c_int)
        return 0


def _only_nvidia(driver: Driver) -> gpus.Load:
    def load(file: str) -> Driver:
        if file != "libcuda.so.1":
            raise OSError(file)
        return driver

    return load


def _nothing(file: str) -> Any:
    raise OSError(file)


def test_figures_are_summed_over_the_engines_of_a_server() -> None:
    assert Vitals(running=3, waiting=4, steps=1200) == read(TEXT)


def test_a_missing_figure_is_named() -> None:
    with pytest.raises(ValueError, match="no vllm:iteration_tokens_total_count"):
        read(TEXT.replace("iteration_tokens_total_count", "steps"))


def test_steps_that_stand_still_while_requests_wait_are_a_hang() -> None:
    watch = HangWatch(now=0)
    assert 0 == watch.saw(Vitals(1, 0, 5), now=10)
    assert 5 == watch.saw(Vitals(1, 0, 5), now=15)
    assert 20 == watch.saw(Vitals(0, 3, 5), now=30)
    assert 0 == watch.saw(Vitals(1, 0, 6), now=31)


def test_an_idle_engine_need_not_step() -> None:
    watch = HangWatch(now=0)
    watch.saw(Vitals(1, 0, 5), now=0)
    assert 0 == watch.saw(Vitals(0, 0, 5), now=100)
    assert 50 == watch.saw(Vitals(1, 0, 5), now=150)


def test_a_question_of_our_own_that_waits_is_a_request_that_the_figures_do_not_show() -> None:
    watch = HangWatch(now=0)
    watch.saw(Vitals(0, 0, 5), now=0)
    assert 0 == watch.saw(Vitals(0, 0, 5), now=60)
    assert 60 == watch.still(now=60)
    assert 30 == watch.saw(Vitals(0, 0, 5), now=90, asked=True)
    assert 0 == watch.saw(Vitals(0, 0, 6), now=100, asked=True)
    assert 0 == watch.still(now=100)


def test_an_engine_that_does_not_answer_counts_as_still() -> None:
    watch = HangWatch(now=0)
    watch.saw(Vitals(0, 0, 5), now=10)
    assert 30 == watch.saw(None, now=40)


def test_a_restarted_count_is_a_movement() -> None:
    watch = HangWatch(now=0)
    watch.saw(Vitals(1, 0, 500), now=0)
    assert 0 == watch.saw(Vitals(1, 0, 3), now=60)


def test_the_tail_keeps_whole_lines_whatever_the_pieces() -> None:
    tail = Tail()
    for piece in (b"one\ntw", b"o\n\n 10 %\r 20", b" %\rrest"):
        tail.add(piece)
    assert ["one", "two", " 10 %", " 20 %", "rest"] == tail.lines()
    assert " 20 %" == tail.last()


def test_the_tail_is_bounded() -> None:
    tail = Tail()
    tail.add(b"x\n" * (LINES + 10) + b"y" * 1_000_000)
    assert LINES + 1 == len(tail.lines())
    assert len(tail.lines()[-1]) < 10_000


@pytest.mark.parametrize(
    ("load", "devices", "problem", "driver_at_fault"),
    [
        (_only_nvidia(Driver(devices=2)), 2, "", False),
        (_only_nvidia(Driver(devices=0)), 0, "the driver shows none", False),
        (_only_nvidia(Driver(code=100)), 0, "the NVIDIA driver shows none to this container", False),
        (_only_nvidia(Driver(code=803)), 0, "does not fit the libraries of the image (error 803)", True),
        (_only_nvidia(Driver(code=999)), 0, "does not start (error 999)", False),
        (_nothing, 0, "has no libcuda.so.1 or libamdhip64.so", False),
    ],
)
def test_gpus_are_counted_by_the_driver(load: gpus.Load, devices: int, problem: str, driver_at_fault: bool) -> None:
    seen = gpus.visible(load)
    assert (devices, driver_at_fault) == (seen.devices, seen.driver_at_fault)
    assert problem in seen.problem


def test_too_few_gpus_are_told_with_both_numbers() -> None:
    error = ending.too_few_gpus(4, gpus.Seen(2))
    assert "GpuNotVisible" == error.reason
    assert error.message.startswith("The pod asked for 4 GPUs and sees 2.")


def test_a_driver_at_fault_is_told_as_such() -> None:
    assert "UnsupportedDriver" == ending.too_few_gpus(1, gpus.Seen(0, "error 803", driver_at_fault=True)).reason


def test_a_kill_nobody_ordered_is_memory() -> None:
    error = ending.crashed(-9, ["loading"])
    assert ("OutOfMemory", "loading") == (error.reason, error.detail)


def test_a_signal_is_named() -> None:
    assert "by signal SIGSEGV" in ending.crashed(-11, []).message


def test_a_termination_message_fits_the_kubelets_bound(tmp_path: Path) -> None:
    long = ModelServerResult(outcome="Failed", reason="EngineCrashed", message="é" * 9000, detail="ü" * 9000)
    ending.write(long, str(tmp_path / "termination"))
    text = (tmp_path / "termination").read_bytes()
    assert len(text) <= ending.MAX_BYTES
    assert "EngineCrashed" == ModelServerResult.model_validate_json(text).reason
