"""Canaries: what must not leave is put in everywhere, and then looked for in everything that came out."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from rag_api.app import Seams
from rag_api.telemetry import JsonFormatter

from .doubles import Script, answering, source
from .doubles import store as store_double
from .harness import Answer, Folder, api_key, revision, serving

QUESTION = "Where is the canary parking lot?"
CHUNK = "The parking lot of the canary is behind the house."
KEY = "canary-client-key"
STORE_KEY = "canary-store-key"
PROMPT = "canary-system-prompt"
BUG = "canary-bug"


async def test_no_route_tells_what_is_not_the_callers(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    folder.allow(api_key("canary-free-id", KEY))
    made = revision()
    folder.serve(made.model_copy(update={"prompt": made.prompt.model_copy(update={"system": PROMPT})}))
    async with (
        store_double(answering(source(CHUNK))) as url,
        serving(tmp_path, url, qdrant_key=STORE_KEY) as api,
    ):
        answered = await api.ask(QUESTION, key=KEY)
        streamed = str(await api.events(QUESTION, key=KEY))
        refused: list[Answer] = [
            await api.ask(QUESTION, key="canary-wrong-key"),
            await api.ask(QUESTION, key=KEY, tenant_id="canary-tenant"),
            await api.ask(QUESTION, key=KEY, top_k=99),
            await api.send("POST", "/query?q=canary-query", data=QUESTION.encode()),
        ]
        slow = ["/health", "/ready", "/models/current", "/version", "/metrics", "/docs", "/openapi.json", "/canary"]
        others = [await api.send("GET", path) for path in slow]
    assert CHUNK in answered.json["answer"]
    for text in (answered.body.decode(), streamed):
        _has_none(text, KEY, STORE_KEY, PROMPT, QUESTION)
    for answer in (*refused, *others):
        _has_none(answer.body.decode(), "canary")
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert any('"event":"request"' in line for line in lines)
    for line in lines:
        _has_none(line.replace("canary-free-id", ""), "canary")


async def test_a_bug_is_logged_under_its_trace_id_without_question_or_chunk(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.allow(api_key("default", KEY))
    folder.serve(revision())
    seams = Seams(generators={"Extractive": Script("text", RuntimeError(BUG))})
    async with store_double(answering(source(CHUNK))) as url, serving(tmp_path, url, seams=seams) as api:
        answer = await api.ask(QUESTION, key=KEY)
        told = await api.events(QUESTION, key=KEY)
    _has_none(str(told), BUG)
    bugs = [JsonFormatter().format(record) for record in caplog.records if record.levelno == logging.ERROR]
    assert answer.json["error"]["trace_id"] in bugs[0]
    assert BUG in bugs[0]
    for line in bugs:
        _has_none(line, QUESTION, CHUNK, KEY)


async def test_one_line_per_request_says_what_happened(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder.allow(api_key("default", KEY))
    folder.serve(revision(5))
    async with store_double(answering(source("Parking is free."))) as url, serving(tmp_path, url) as api:
        await asyncio.gather(*(api.ask("Is parking free?", key=KEY) for _ in range(5)))
        await api.events("Is parking free?", key=KEY)
        await api.send("GET", "/health")
    lines: list[Any] = [record.msg for record in caplog.records if record.name == "rag_api.request"]
    assert ["/query"] * 5 + ["/query/stream"] == [line["route"] for line in lines]
    for line in lines:
        assert {"status": 200, "tenant": "default", "key_id": "default", "error_code": None}.items() <= line.items()
        assert {"revision": 5, "finish_reason": "stop", "input_chars": 16, "tokens": 6}.items() <= line.items()
        assert {
            "prompt_version": "prompt-5",
            "prompt_hash": "0" * 8,
            "model_version": "extractive",
        }.items() <= line.items()
        assert {"index_version": "index-5", "index_hash": "0" * 8}.items() <= line.items()
        assert line["model_hash"]
        assert line["latency_ms"]["total"] >= line["latency_ms"]["retrieval"] > 0


def _has_none(text: str, *canaries: str) -> None:
    for canary in canaries:
        assert canary not in text
