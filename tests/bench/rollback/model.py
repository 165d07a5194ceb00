"""A double of a model server that says what it was given: it echoes the prompt's name and the name that the sources bear.

So an answer that was made from the prompt of one release and the sources of another shows itself. A question that begins
with `SLOWLY` is answered word by word over `SLOW_SECONDS`: an open stream.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.unit.openai_double import chunk, event

from .facts import words

SLOWLY = "Slowly: "
SLOW_SECONDS, SLOW_PIECES = 6.0, 12
_PROMPT = re.compile(r"This is prompt (\S+?)\.")
_INDEX = re.compile(r"This page is of (\S+?)\.")
_SOURCE = re.compile(r"^[0-9a-f]{16} \[S\d+\] ", re.MULTILINE)
_QUESTION = re.compile(r"^Question: (.*)", re.MULTILINE)


def system_prompt(version: str) -> str:
    """A prompt that the double recognises."""
    return f"This is prompt {version}. Answer from the sources."


def page(number: int, index: str) -> str:
    """A document that the double recognises. All of an index answer the same question."""
    return f"# Leave, part {number}\n\nThis page is of {index}. Employees of team {number} get days of annual leave.\n"


def said(messages: list[dict[str, str]]) -> str:
    """What the double says to a chat. Sources of two indexes are both named."""
    system, user = messages[0]["content"], messages[-1]["content"]
    indexes = sorted(set(_INDEX.findall(user)))
    return words("+".join(_PROMPT.findall(system)), "+".join(indexes), len(_SOURCE.findall(user)))


async def chat(request: web.Request) -> web.StreamResponse:
    """A streamed chat completion."""
    body = await request.json()
    text = said(body["messages"]) + " [S1] "
    question = _QUESTION.search(body["messages"][-1]["content"])
    slow = question is not None and question[1].startswith(SLOWLY)
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    with contextlib.suppress(ConnectionResetError):  # who asked has gone: the clients' side counts that
        await _say(text, request, response, slow=slow)
    return response


async def _say(text: str, request: web.Request, response: web.StreamResponse, *, slow: bool) -> None:
    await response.prepare(request)
    await response.write(chunk({"role": "assistant", "content": ""}))
    for _ in range(SLOW_PIECES if slow else 1):
        await response.write(chunk({"content": text}))
        if slow:
            await asyncio.sleep(SLOW_SECONDS / SLOW_PIECES)
    await response.write(chunk({}, "stop"))
    await response.write(event({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}))
    await response.write(b"data: [DONE]\n\n")


async def models(_: web.Request) -> web.Response:
    """The list by which the API looks whether the server is there."""
    return web.json_response({"object": "list", "data": [{"id": "echo"}]})


@asynccontextmanager
async def serving(address: str) -> AsyncIterator[str]:
    """The double on a free port of this address of the machine: its URL."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, 0).start()
        yield f"http://{address}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
