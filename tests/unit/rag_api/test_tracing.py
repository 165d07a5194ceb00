"""Traces as a collector gets them: which spans, with which provenance, without any text; and what a bad collector may do to answers."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rag_api.app import Seams
from rag_api.errors import UpstreamError
from rag_api.generator import Piece
from rag_api.releases import SPOKEN
from rag_api.spans import Sending
from rag_contract.release_table import Fallback, Policy, Retrieval

from tests.unit.openai_double import DIMENSION, ModelServer, model_server

from .collector_double import Collector, collector
from .doubles import Script, answering, source
from .doubles import store as store_double
from .harness import NOWHERE, Answer, Api, Folder, revision, served_by, serving, until

QUESTION = "When does the canary office open?"
TEXT = "The canary office opens at nine o'clock."
END = Piece("", "stop", 1, 1)
LOST = 'rag_trace_spans_total{result="lost"'
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PROVENANCE = {
    "rag.revision": 7,
    "rag.prompt.version": "prompt-7",
    "rag.index.version": "index-7",
}

WHOSE = {"rag.service": "handbook", "rag.namespace": "team-a"}


def tracing(endpoint: str, ratio: float = 1.0, trust: bool = False) -> dict[str, Any]:
    """The settings of an API with a collector."""
    return {
        "tracing_endpoint": endpoint,
        "tracing_namespace": "team-a",
        "tracing_sample_ratio": ratio,
        "tracing_trust_parent": trust,
    }


@asynccontextmanager
async def api(
    folder: Path, endpoint: str, *steps: Any, ratio: float = 1.0, trust: bool = False, most: int = 32, **seams: Any
) -> AsyncIterator[Api]:
    """The API with a collector; steps are what its extractive generator plays instead of answering."""
    if steps:
        seams["generators"] = {"Extractive": Script(*steps)}
    seams.setdefault("sending", Sending(pause=0.02))
    async with (
        store_double(answering(source(TEXT))) as url,
        serving(
            folder, url, seams=Seams(**seams), max_concurrent_requests=most, **tracing(endpoint, ratio, trust)
        ) as running,
    ):
        yield running


def parents(found: Collector) -> dict[str, str]:
    """The name of each span's parent by its own name."""
    by_id = {span.id: span.name for span in found.spans}
    return {span.name: by_id.get(span.parent, "") for span in found.spans}


@dataclass(frozen=True)
class Traced:
    """One question with vectors and a model server: the answer, and what the collector and the server were told."""

    answer: Answer
    found: Collector
    server: ModelServer


async def one_question(folder: Folder, path: Path) -> Traced:
    """Asked, answered, and the API stopped."""
    identity = SPOKEN.model_copy(update={"provider": "OpenAI", "model": "org/embed", "dimension": DIMENSION})
    found_text = answering(source(TEXT))
    async with (
        model_server() as server,
        collector() as found,
        store_double(found_text, identity=identity) as store,
    ):
        made = revision(7, model=served_by(server.endpoint("served")), retrieval=Retrieval(mode="Hybrid", top_k=6))
        index = made.index.model_copy(update={"identity": identity, "embedder": server.endpoint("org/embed")})
        folder.serve(made.model_copy(update={"index": index}))
        async with serving(path, store, seams=Seams(sending=Sending(pause=0.02)), **tracing(found.url)) as running:
            answer = await running.ask(QUESTION)
        assert answer.status == 200
        return Traced(answer, found, server)


async def test_a_question_is_one_trace_with_its_stages_and_the_servers_that_were_asked(
    folder: Folder, tmp_path: Path
) -> None:
    traced = await one_question(folder, tmp_path)
    found, trace_id = traced.found, traced.answer.headers["x-trace-id"]
    assert parents(found) == {
        "POST /query": "",
        "retrieval": "POST /query",
        "embeddings org/embed": "retrieval",
        "query handbook": "retrieval",
        "generation": "POST /query",
        "chat served": "generation",
    }
    kinds = {span.name: span.kind for span in found.spans}
    assert {"retrieval", "generation"} == {name for name, kind in kinds.items() if kind == "internal"}
    assert kinds["POST /query"] == "server"
    assert {span.trace for span in found.spans} == {trace_id}
    assert all(0 < span.end - span.start < 20e9 for span in found.spans)
    assert found.paths == {"/v1/traces"}
    onward = {each["traceparent"] for each in traced.server.headers}
    assert onward == {f"00-{trace_id}-{found.named(name).id}-01" for name in ("chat", "embeddings")}


async def test_each_span_says_which_release_it_was_and_the_requests_own_says_the_rest(
    folder: Folder, tmp_path: Path
) -> None:
    traced = await one_question(folder, tmp_path)
    found, answer = traced.found, traced.answer
    for span in found.spans:
        assert (PROVENANCE | {"rag.model.version": "org/model@abc"}).items() <= span.attributes.items()
    assert found.named("POST /query").attributes == {
        **WHOSE,
        **PROVENANCE,
        "rag.model.version": "org/model@abc",
        "rag.prompt.hash": "0" * 8,
        "rag.index.hash": "0" * 8,
        "rag.model.hash": "1" * 16,
        "http.request.method": "POST",
        "http.route": "/query",
        "http.response.status_code": 200,
        "rag.trace_id": answer.headers["x-trace-id"],
        "rag.tenant": "default",
        "rag.key_id": "default",
        "rag.question.characters": len(QUESTION),
        "rag.answer.id": answer.json["answer_id"],
        "rag.finish_reason": "stop",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
    }
    assert (WHOSE | {"service.name": "handbook", "service.namespace": "team-a"}).items() <= found.resource.items()


async def test_calls_are_told_in_the_words_of_the_conventions(folder: Folder, tmp_path: Path) -> None:
    traced = await one_question(folder, tmp_path)
    chat = traced.found.named("chat").attributes
    assert chat["gen_ai.operation.name"] == "chat"
    assert (chat["gen_ai.request.model"], chat["gen_ai.response.finish_reasons"]) == ("served", ("stop",))
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (100, 20)
    assert 0 < chat["gen_ai.response.time_to_first_chunk"] < 20
    assert f"http://{chat['server.address']}:{chat['server.port']}" == traced.server.url
    embedding = traced.found.named("embeddings").attributes
    assert (embedding["gen_ai.operation.name"], embedding["gen_ai.request.model"]) == ("embeddings", "org/embed")
    query = traced.found.named("query").attributes
    assert (query["db.system.name"], query["db.operation.name"]) == ("qdrant", "query")
    assert (query["db.collection.name"], query["db.response.returned_rows"]) == ("handbook", 1)


async def test_waiting_for_a_place_is_a_span(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(7))
    async with (
        collector() as found,
        api(tmp_path, found.url, 0.1, "It opens at nine [S1].", END, most=1) as running,
    ):
        await asyncio.gather(running.ask(QUESTION), running.ask(QUESTION))
    assert found.named("queue").end - found.named("queue").start > 0.01e9
    assert len([span for span in found.spans if span.name == "POST /query"]) == 2


async def test_a_stream_is_a_trace_until_its_last_event(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(7))
    async with collector() as found, api(tmp_path, found.url, "It opens ", 0.2, "at nine [S1].", END) as running:
        told = await running.events(QUESTION)
        await until(lambda: bool(found.spans))  # while it runs: nobody waits for the end of the process
    root = found.named("POST /query/stream")
    assert told[0][1]["trace_id"] == root.trace
    assert (
        PROVENANCE | {"rag.finish_reason": "stop", "http.response.status_code": 200}
    ).items() <= root.attributes.items()
    assert root.end - root.start > 0.2e9
    assert found.named("generation").end - found.named("generation").start > 0.2e9
    assert not root.failed


async def test_a_fallback_and_why_it_stepped_in_are_seen(folder: Folder, tmp_path: Path) -> None:
    policy = Policy(fallbacks=(Fallback(),))
    async with collector() as found, api(tmp_path, found.url) as running:
        await running.take(folder.serve(revision(7, model=served_by(NOWHERE)), policy=policy))
        assert (await running.ask(QUESTION)).json["degraded"] == "extractive"
    assert found.named("POST /query").attributes["rag.degraded"] == "extractive"
    chat = found.named("chat")
    assert (chat.failed, chat.attributes["error.type"]) == (True, "unreachable")
    assert not found.named("generation").failed


async def test_an_error_is_its_code_on_every_span_that_it_went_through(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(7))
    broken = UpstreamError("The canary model broke off.")
    async with collector() as found, api(tmp_path, found.url, broken) as running:
        assert (await running.ask(QUESTION)).status == 502
    for name in ("POST /query", "generation"):
        span = found.named(name)
        assert (span.failed, span.attributes["error.type"], span.description) == (True, "UPSTREAM_ERROR", "")
        assert PROVENANCE.items() <= span.attributes.items()
    assert found.named("POST /query").attributes["http.response.status_code"] == 502


async def test_a_stream_that_breaks_is_an_error_although_it_said_200(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(7))
    async with collector() as found, api(tmp_path, found.url, "It opens ", RuntimeError("canary")) as running:
        assert (await running.events(QUESTION))[-1][1]["code"] == "INTERNAL_ERROR"
    root = found.named("POST /query/stream")
    assert (root.failed, root.attributes["error.type"]) == (True, "INTERNAL_ERROR")
    assert found.named("generation").attributes["error.type"] == "RuntimeError"


async def test_a_refused_client_is_no_error_of_the_service(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(7))
    async with collector() as found, api(tmp_path, found.url) as running:
        await running.ask(QUESTION, key="canary-key")
        await running.send("GET", "/health")
    (root,) = found.spans
    assert (root.failed, root.attributes["error.type"]) == (False, "UNAUTHORIZED")
    assert root.attributes["http.response.status_code"] == 401
    assert root.attributes["rag.service"] == "handbook"


async def test_a_client_that_leaves_is_seen(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(7))
    async with collector() as found, api(tmp_path, found.url, "first ", ...) as running:
        async with running.stream(QUESTION) as response:
            await response.content.readuntil(b"event: token")
            response.close()
        assert await running.until_idle()
    root = found.named("POST /query/stream")
    assert root.attributes["error.type"] == "CLIENT_GONE"
    assert PROVENANCE.items() <= root.attributes.items()
    assert not root.failed
    assert found.named("generation").attributes["error.type"] == "cancelled"


async def test_no_span_holds_a_text(folder: Folder, tmp_path: Path) -> None:
    made = revision(7)
    folder.serve(made.model_copy(update={"prompt": made.prompt.model_copy(update={"system": "canary-prompt"})}))
    async with collector() as found, api(tmp_path, found.url) as running:
        answer = await running.ask(QUESTION)
        await running.events(QUESTION)
        await running.ask(QUESTION, key="canary-key")
        await running.ask(QUESTION, tenant_id="canary-tenant")
        await running.ask({"canary": "type"})
        await running.send("POST", "/query?q=canary-query", data=b"canary-body", headers={"tracestate": "canary=1"})
        await running.send("CANARY", "/query")
    assert "canary" in answer.json["answer"]
    assert len(found.spans) > 10
    for body in found.bodies:
        assert b"canary" not in body.lower()
    assert {span.events for span in found.spans} == {0}


async def test_a_bug_is_a_class_name_and_no_text(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(7))
    async with collector() as found, api(tmp_path, found.url, ValueError(f"canary {QUESTION}")) as running:
        assert (await running.ask(QUESTION)).status == 500
    assert found.named("generation").attributes["error.type"] == "ValueError"
    for body in found.bodies:
        assert b"canary" not in body


async def test_the_clients_own_trace_id_stands_beside_the_traces(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder.serve(revision(7))
    parent = {"x-trace-id": "mine-and-no-other", "traceparent": f"00-{TRACE}-{PARENT}-00"}
    async with collector() as found, api(tmp_path, found.url) as running:
        answer = await running.ask(QUESTION, headers=parent)
    assert answer.headers["x-trace-id"] == "mine-and-no-other"
    root = found.named("POST /query")
    assert root.attributes["rag.trace_id"] == "mine-and-no-other"
    assert (len(root.trace), root.parent) == (32, "")
    assert root.trace != TRACE
    (line,) = [record.msg for record in caplog.records if record.name == "rag_api.request"]
    assert isinstance(line, dict)
    assert (line["trace_id"], line["otel_trace_id"]) == ("mine-and-no-other", root.trace)


async def test_a_trusted_callers_trace_goes_on(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(7))
    bad = f"00-{'0' * 32}-{PARENT}-01"
    async with collector() as found, api(tmp_path, found.url, ratio=0.0, trust=True) as running:
        for value in (f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00", bad, "canary"):
            answer = await running.ask(QUESTION, headers={"traceparent": value})
            assert (answer.headers["x-trace-id"] == TRACE) is (TRACE in value)
    root = found.named("POST /query")
    assert (root.trace, root.parent) == (TRACE, PARENT)


async def test_what_is_not_sampled_is_not_sent_and_the_model_server_is_told_so(folder: Folder, tmp_path: Path) -> None:
    async with model_server() as server, collector() as found:
        folder.serve(revision(7, model=served_by(server.endpoint())))
        async with api(tmp_path, found.url, ratio=0.0) as running:
            answer = await running.ask(QUESTION)
    assert (found.asked, answer.status) == (0, 200)
    sent = server.headers[-1]["traceparent"]
    assert (sent[:36], sent[-3:]) == (f"00-{answer.headers['x-trace-id']}-", "-00")


async def test_without_a_collector_nothing_is_made_or_sent(folder: Folder, tmp_path: Path) -> None:
    async with model_server() as server, store_double(answering(source(TEXT))) as url:
        folder.serve(revision(7, model=served_by(server.endpoint())))
        async with serving(tmp_path, url) as running:
            assert (await running.ask(QUESTION, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})).status == 200
    assert "traceparent" not in server.headers[-1]


@pytest.mark.parametrize("status", [0, 400, 503], ids=["away", "refuses", "busy"])
async def test_a_bad_collector_fails_no_answer_and_is_told_once(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.INFO)
    folder.serve(revision(7))
    async with collector(status=status) as found:
        endpoint = found.url if status else NOWHERE.url
        async with api(tmp_path, endpoint, sending=Sending(0.02, 0.2, 0.5)) as running:
            for _ in range(3):
                lost = await running.metric(LOST)
                assert (await running.ask(QUESTION)).status == 200
                await _until_more_are_lost(running, lost)
    told = [record for record in caplog.records if record.name == "rag_api.tracing"]
    assert [record.levelname for record in told] == ["WARNING"]
    assert [record.name for record in caplog.records if record.name.startswith("opentelemetry")] == []


async def test_a_slow_collector_slows_neither_an_answer_nor_the_stop(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(7))
    async with collector(slow=60) as found:
        async with api(tmp_path, found.url, sending=Sending(0.02, 20, 0.2)) as running:
            for _ in range(3):
                started = time.perf_counter()
                assert (await running.ask(QUESTION)).status == 200
                assert time.perf_counter() - started < 5
                await until(lambda: bool(found.asked))
            stopping = time.perf_counter()
        assert time.perf_counter() - stopping < 10


async def test_the_last_spans_are_sent_when_the_process_stops(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(7))
    async with collector() as found, api(tmp_path, found.url, sending=Sending(pause=60)) as running:
        assert (await running.ask(QUESTION)).status == 200
        assert not found.asked
    assert found.named("POST /query").attributes["rag.revision"] == 7


async def test_a_collector_that_comes_back_is_used_again(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder.serve(revision(7))
    async with collector(status=400) as found, api(tmp_path, found.url) as running:
        await running.ask(QUESTION)
        await _until_more_are_lost(running, 0)
        found.status = 200
        await running.ask(QUESTION)
        await until(lambda: bool(found.spans))
        assert await running.metric('rag_trace_spans_total{result="sent"') > 0
    told = [record.levelname for record in caplog.records if record.name == "rag_api.tracing"]
    assert told == ["WARNING", "INFO"]


async def test_spans_that_nobody_takes_are_lost_and_not_kept(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(7))
    sending = Sending(pause=0.02, timeout=20, flush=0.2, queue=100)
    async with collector(slow=60) as found, api(tmp_path, found.url, sending=sending) as running:
        await asyncio.gather(*(running.ask(QUESTION) for _ in range(30)))
        assert await running.metric(LOST) == 30 * 4 - sending.queue


async def _until_more_are_lost(running: Api, than: float) -> None:
    async with asyncio.timeout(20):
        while await running.metric(LOST) <= than:  # noqa: ASYNC110 - a metric has no event
            await asyncio.sleep(0.02)
