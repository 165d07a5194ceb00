"""What the spans of a question cost the API: CPU of one question's calls, without a collector, unsampled, and sampled.

    python -m tests.bench.api.spans [--questions N]

The same calls as for an extractive answer, four spans when sampled. Sampled spans are sent to a process that only says 200; the CPU
of the thread that sends is counted, that process is not.
"""

import argparse
import asyncio
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rag_api import provenance
from rag_api.context import open_context
from rag_api.spans import UNTRACED, Sending, Tracer, store_call
from rag_api.telemetry import trace_request
from rag_api.tracing import Collector, Otlp
from rag_contract.release_table import Revision

from tests.unit.rag_api.harness import revision

RUNS = 5
SPANS = 4
SCOPE = {"headers": [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"x-api-key", b"k" * 40)]}


class Taker(BaseHTTPRequestHandler):
    """A double of a collector that takes everything."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read it and say 200."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Nothing."""


def question(tracer: Tracer, released: Revision) -> None:
    """What the API calls for one extractive answer."""
    span = tracer.request("POST", "/query", SCOPE["headers"])
    context = open_context("/query", SCOPE, 0.0, span)
    provenance.tell(context, released)
    with context.span.stage("retrieval") as stage, store_call(stage, "http://qdrant:6333", "team.faq.v1.abc") as call:
        call.set({"db.response.returned_rows": 6})
    with context.span.stage("generation"):
        pass
    context.status = 200
    context.facts |= {"finish_reason": "stop", "prompt_tokens": 100, "tokens": 20, "answer_id": "ans_1"}
    trace_request(context)


async def cost(tracer: Tracer, questions: int) -> float:
    """CPU of one question in microseconds, the thread's included. Spans are made no faster than the queue takes them."""
    released = revision()
    tracer.open()
    before = time.process_time()
    for number in range(questions):
        question(tracer, released)
        if tracer is not UNTRACED and number % (Sending().queue // SPANS // 4) == 0:
            await asyncio.sleep(0.2)
    await tracer.close()
    return (time.process_time() - before) / questions * 1e6


@contextmanager
def taker() -> Iterator[str]:
    """A process with a `Taker`, and its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    process = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        process.terminate()
        process.join()
        server.server_close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.api.spans", description=__doc__)
    parser.add_argument("--questions", type=int, default=4000, help="questions per run, of five runs each")
    questions = parser.parse_args().questions
    counted: dict[str, int] = {}

    def report(result: str, count: int) -> None:
        counted[result] = counted.get(result, 0) + count

    with taker() as url:
        none = statistics.median(asyncio.run(cost(UNTRACED, questions)) for _ in range(RUNS))
        print(f"{os.cpu_count()} cores, medians of {RUNS} runs with {questions} questions")
        for name, ratio in (("unsampled", 0.0), ("sampled, four spans", 1.0)):
            collector = Collector(url, ratio, resource={"service.name": "faq"}, on_request={"rag.service": "faq"})
            took = statistics.median(asyncio.run(cost(Otlp(collector, report), questions)) for _ in range(RUNS))
            print(f"added by a collector, {name:<24} {took - none:>8.1f} us")
        print(f"spans sent {counted.get('sent', 0)}, lost {counted.get('lost', 0)}")


if __name__ == "__main__":
    main()
