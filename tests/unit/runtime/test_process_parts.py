"""Log lines, metrics, probes and supervision of the process."""

import asyncio
import io
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from rag_operator.runtime import metrics as meters
from rag_operator.runtime.logs import JsonFormatter, TextFormatter, about
from rag_operator.runtime.metrics import Metrics
from rag_operator.runtime.probes import serving
from rag_operator.runtime.supervise import RestartBudget, Supervisor


def logged(formatter: logging.Formatter, *, error: bool = False) -> str:
    """One line, as it is written."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    log = logging.Logger("test")
    log.addHandler(handler)
    with about(object="team/handbook", reconcile="ab12"):
        try:
            raise ValueError("boom")
        except ValueError:
            log.warning("it %s", "failed", exc_info=error, extra={"pause": 1.5, "library": object()})
    return stream.getvalue()


def test_a_json_line_carries_object_pass_and_fields() -> None:
    line = orjson.loads(logged(JsonFormatter(), error=True))
    assert ("WARNING", "it failed", "team/handbook", "ab12", 1.5) == tuple(
        line[key] for key in ("level", "message", "object", "reconcile", "pause")
    )
    assert line["time"].endswith("+00:00")
    assert "ValueError: boom" in line["error"]
    assert "library" not in line


def test_a_text_line_is_one_line() -> None:
    line = logged(TextFormatter())
    assert 1 == line.count("\n")
    assert "it failed  object=team/handbook reconcile=ab12 pause=1.5" in line


async def test_contexts_of_tasks_do_not_mix() -> None:
    async def task(name: str) -> Any:
        with about(object=name):
            await asyncio.sleep(0.01)
            return orjson.loads(JsonFormatter().format(logging.makeLogRecord({"msg": "x"})))["object"]

    assert ["a", "b"] == list(await asyncio.gather(task("a"), task("b")))


class Cache:
    """Stands for an informer."""

    lists = 3
    last_contact = 90.0

    def __len__(self) -> int:
        return 7


def test_a_scrape_shows_counters_and_what_is_asked_then() -> None:
    made = Metrics("1.2.3")
    made.request("apply", "ConfigMap", 200)
    made.observe(lambda: meters.of_caches({"Pod": Cache()}, now=100.0))
    made.observe(lambda: meters.of_values({"queue_depth": ("Depth.", 4)}))
    made.observe(lambda: meters.of_conditions("ragservices", "Ready.", {"True": 2, "False": 1}))
    found = {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(made.scrape().decode())
        for sample in family.samples
    }
    expected = {
        ("rag_operator_api_requests_total", "200", "ConfigMap", "apply"): 1,
        ("rag_operator_cache_objects", "Pod"): 7,
        ("rag_operator_cache_silent_seconds", "Pod"): 10,
        ("rag_operator_cache_lists_total", "Pod"): 3,
        ("rag_operator_queue_depth",): 4,
        ("rag_operator_ragservices", "True"): 2,
        ("rag_operator_ragservices", "False"): 1,
        ("rag_operator_build_info", "1.2.3"): 1,
    }
    assert expected == {key: found.get(key) for key in expected}
    assert found["process_resident_memory_bytes",] > 1e6


def test_two_registries_do_not_meet() -> None:
    Metrics("1")
    Metrics("1")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def probed() -> AsyncIterator[tuple[list[str], str, str]]:
    """Faults to set, and the addresses of both ports."""
    faults: list[str] = []
    metrics, health = free_port(), free_port()
    async with serving(
        "127.0.0.1",
        metrics_port=metrics,
        health_port=health,
        scrape=lambda: b"up 1\n",
        faults=lambda: faults,
        state=lambda: {"queue": {}},
    ):
        yield faults, f"http://127.0.0.1:{metrics}", f"http://127.0.0.1:{health}"


async def test_probes(probed: tuple[list[str], str, str]) -> None:
    faults, metrics, health = probed
    async with aiohttp.ClientSession() as session:

        async def get(url: str) -> tuple[int, str]:
            async with session.get(url) as response:
                return response.status, await response.text()

        assert (200, "up 1\n") == await get(f"{metrics}/metrics")
        assert 404 == (await get(f"{metrics}/debug/state"))[0]
        assert (200, '{"ok": true, "faults": []}') == await get(f"{health}/healthz")
        faults.append("the cache of Pod does nothing")
        code, body = await get(f"{health}/healthz")
        assert 503 == code
        assert "the cache of Pod does nothing" in body
        assert {"queue": {}} == orjson.loads((await get(f"{health}/debug/state"))[1])


async def test_a_task_that_dies_ends_everything() -> None:
    supervisor = Supervisor()

    async def die() -> None:
        raise ValueError("bug")

    supervisor.start("sleeper", asyncio.sleep(60))
    supervisor.start("mayfly", die())
    await asyncio.wait_for(supervisor.wait(), 2)
    assert "mayfly ended" == supervisor.fault
    assert ["mayfly"] == supervisor.dead
    await supervisor.cancel()
    assert ["sleeper", "mayfly"] == supervisor.dead


async def test_an_orderly_stop_is_no_fault() -> None:
    supervisor = Supervisor()
    supervisor.start("sleeper", asyncio.sleep(60))
    supervisor.stop()
    supervisor.stop("too late")
    await supervisor.wait()
    await supervisor.cancel()
    assert supervisor.fault is None


async def test_cancelling_does_not_wait_for_ever() -> None:
    supervisor = Supervisor()
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    supervisor.start("stubborn", stubborn())
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    await supervisor.cancel(seconds=0.1)
    assert asyncio.get_running_loop().time() - began < 1
    release.set()


def test_a_budget_forgets_what_is_long_ago() -> None:
    now = 0.0
    budget = RestartBudget(3, 60, lambda: now)
    assert [True, True, False] == [budget.spend() for _ in range(3)]
    now = 100.0
    assert budget.spend()
