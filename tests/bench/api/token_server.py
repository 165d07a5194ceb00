"""A double of a model server that stamps each token with the time at which it was sent, for the bench of the RAG API.

    python -m tests.bench.api.token_server TOKENS MILLISECONDS

It prints its address. A token is `<microseconds of the monotonic clock> `, so that who reads it knows how old it is.
"""

import asyncio
import sys
import time

from aiohttp import web

from tests.unit.openai_double import chunk, event


def application(tokens: int, seconds: float) -> web.Application:
    """Streams `tokens` tokens, one every `seconds`, on the clock and not after the last one."""

    async def chat(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(chunk({"role": "assistant", "content": ""}))
        due = time.monotonic()
        for _ in range(tokens):
            due += seconds
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await response.write(chunk({"content": f"{time.monotonic_ns() // 1000} "}))
        await response.write(chunk({}, "stop"))
        await response.write(event({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": tokens}}))
        await response.write(b"data: [DONE]\n\n")
        return response

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    return app


async def _main(tokens: int, seconds: float) -> None:
    runner = web.AppRunner(application(tokens, seconds), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2]) / 1000))
