"""The requests whose answers a real vLLM gave are recorded, and how two answers are compared.

python -m tests.contract.vllm.exchanges http://127.0.0.1:8000 generate    # writes recorded/generate.json
"""

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[3]
RECORDED = Path(__file__).parent / "recorded"
HELLO = [{"role": "user", "content": "hello"}]
WORDS = {"type", "object", "code", "param", "role", "finish_reason", "owned_by", "detail"}
"""Values that callers read: they must be the same. Of all others only the JSON type."""


class Exchange(NamedTuple):
    """One request. A body that is text is sent as it is."""

    name: str
    method: str
    path: str
    body: dict[str, Any] | str | None = None


def _chat(**more: Any) -> dict[str, Any]:
    return {"model": "rag", "messages": HELLO, "temperature": 0, **more}


CHAT = "/v1/chat/completions"
COMMON = (
    Exchange("health", "GET", "/health"),
    Exchange("ping", "GET", "/ping"),
    Exchange("version", "GET", "/version"),
    Exchange("models", "GET", "/v1/models"),
    Exchange("load", "GET", "/load"),
    Exchange("unknown path", "GET", "/nowhere"),
    Exchange("metrics", "GET", "/metrics"),
)
EXCHANGES: dict[str, tuple[Exchange, ...]] = {
    "generate": (
        *COMMON,
        Exchange("chat", "POST", CHAT, _chat(max_tokens=4)),
        Exchange("chat to its end", "POST", CHAT, _chat(max_tokens=50)),
        Exchange("chat stream", "POST", CHAT, _chat(max_tokens=3, stream=True)),
        Exchange(
            "chat stream with usage",
            "POST",
            CHAT,
            _chat(max_tokens=50, stream=True, stream_options={"include_usage": True}),
        ),
        Exchange("completion", "POST", "/v1/completions", {"model": "rag", "prompt": "hello", "max_tokens": 1}),
        Exchange("unknown model", "POST", CHAT, {"model": "nope", "messages": HELLO}),
        Exchange("too many tokens", "POST", CHAT, _chat(max_tokens=40000)),
        Exchange("no messages", "POST", CHAT, {"model": "rag"}),
        Exchange("no JSON", "POST", CHAT, "{bad"),
        Exchange("wrong method", "GET", CHAT),
        Exchange("embeddings of a generating model", "POST", "/v1/embeddings", {"model": "rag", "input": "hello"}),
    ),
    "pooling": (
        *COMMON,
        Exchange("embeddings", "POST", "/v1/embeddings", {"model": "rag", "input": ["hello", "the quick fox"]}),
        Exchange(
            "embeddings in base64",
            "POST",
            "/v1/embeddings",
            {"model": "rag", "input": "hello", "encoding_format": "base64"},
        ),
        Exchange("embeddings of an unknown model", "POST", "/v1/embeddings", {"model": "nope", "input": "hello"}),
        Exchange("chat with an embedding model", "POST", CHAT, _chat(max_tokens=4)),
    ),
}


def ask(base: str, exchange: Exchange) -> dict[str, Any]:
    """Status, content type and body; events of a stream as a list."""
    body = exchange.body
    data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if data is not None else {}
    request = Request(base + exchange.path, data=data, headers=headers, method=exchange.method)
    try:
        with urlopen(request, timeout=120) as answer:
            return _answer(answer.status, answer.headers.get("Content-Type", ""), answer.read().decode())
    except HTTPError as error:
        with error:
            return _answer(error.code, error.headers.get("Content-Type", ""), error.read().decode())


def _answer(status: int, kind: str, text: str) -> dict[str, Any]:
    short = kind.partition(";")[0]
    body: Any = text
    if short == "application/json":
        body = json.loads(text)
    elif short == "text/event-stream":
        lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
        body = [line if line == "[DONE]" else json.loads(line) for line in lines]
    return {"status": status, "type": short, "body": body}


def shape(value: Any, key: str = "") -> Any:
    """Keys and JSON types, and the values of `WORDS`. Of a list the shape of its first and last element, and of the third
    kind of events none: how an answer is cut into events is the engine's.
    """
    if isinstance(value, dict):
        return {name: shape(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(shape(inner), sort_keys=True) for inner in value})
    if key in WORDS or value is None or value == "[DONE]":
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def recorded(runner: str) -> dict[str, Any]:
    """Name of the exchange -> answer of the real server."""
    found: dict[str, Any] = json.loads((RECORDED / f"{runner}.json").read_text(encoding="utf-8"))
    return found


def samples(metrics: str) -> dict[str, set[str]]:
    """Name of each sample of vLLM's -> names of its labels, of a /metrics answer."""
    found: dict[str, set[str]] = {}
    for line in metrics.splitlines():
        if line.startswith("vllm:"):
            name, _, rest = line.partition("{")
            labels = {part.partition("=")[0] for part in rest.partition("}")[0].split(",")}
            found.setdefault(name, set()).update(labels)
    return found


def names_in_use() -> dict[str, list[str]]:
    """vLLM's metrics that programs, alerts, dashboards and documents of the project name -> the files that do."""
    found: dict[str, list[str]] = {}
    for folder in ("operator/rag_operator", "workloads", "config", "docs"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in {".py", ".yaml", ".json", ".md"}:
                for name in re.findall(r"\bvllm:[a-z][a-z_]+", file.read_text(encoding="utf-8")):
                    found.setdefault(name, []).append(str(file.relative_to(ROOT)))
    return found


def with_families(found: Iterable[str]) -> set[str]:
    """The names of samples and of the histograms that they belong to."""
    found = set(found)
    return found | {name.removesuffix(end) for name in found for end in ("_bucket", "_sum", "_count")}


def record(base: str, runner: str) -> None:
    """Asks a real server and writes what it answers."""
    answers = {exchange.name: ask(base, exchange) for exchange in EXCHANGES[runner]}
    text = json.dumps(answers, indent=1, ensure_ascii=False)
    (RECORDED / f"{runner}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(sys.argv[1], sys.argv[2])
