"""Stopping: nobody is cut off without a last word."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from rag_api.app import Seams
from rag_api.drain import LAST_WORDS_SECONDS
from rag_api.generator import Piece
from rag_contract.environment import ApiEnvironment

from .doubles import Script, answering, found, source
from .doubles import store as store_double
from .harness import KEY, Folder, events, names, revision, serving, until


def _playing(*steps: Any) -> Seams:
    return Seams(generators={"Extractive": Script(*steps)})


async def test_a_stream_that_ends_in_time_is_finished(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision())
    may_end = asyncio.Event()
    seams = _playing("first ", may_end, "last", Piece("", "stop"))
    async with (
        store_double(answering(source("x"))) as url,
        serving(tmp_path, url, seams=seams, drain_seconds=60) as api,
    ):
        async with api.stream("Anything?") as response:
            await response.content.readuntil(b"first")
            api.host.handle_exit(signal.SIGTERM, None)
            ready = await api.send("GET", "/ready")
            asked = asyncio.create_task(api.ask("Anything?"))
            await until(lambda: len(api.application.drain.active) == 2)
            may_end.set()
            late = await asked
            rest = (await response.content.read()).decode()
        assert (503, "close") == (ready.status, ready.headers["connection"])
        assert ["draining"] == [check["name"] for check in ready.json["checks"] if not check["ok"]]
        assert (200, "close") == (late.status, late.headers["connection"])
        assert ["token", "done"] == names(events(rest.split("\n\n", 1)[1]))


async def test_at_the_deadline_a_stream_ends_with_an_error_that_says_ask_again(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision())
    seams = _playing("first ", ...)
    async with store_double(answering(source("x"))) as url, serving(tmp_path, url, seams=seams, drain_seconds=0) as api:
        query = asyncio.create_task(api.ask("Anything?"))
        async with api.stream("Anything?") as response:
            await response.content.readuntil(b"first")
            api.host.handle_exit(signal.SIGTERM, None)
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                told = events((await response.content.read()).decode().split("\n\n", 1)[1])
        answer = await query
    assert names(told) == ["error"]
    assert (told[0][1]["code"], told[0][1]["retryable"]) == ("DRAINING", True)
    assert (503, "DRAINING", "1") == (answer.status, answer.code, answer.headers["retry-after"])


@pytest.mark.parametrize("force", [False, True])
async def test_the_process_stops_by_signal(folder: Folder, tmp_path: Path, force: bool) -> None:
    """The real program: a request that is at work at SIGTERM is answered; a second SIGTERM waits for nothing."""
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        asked.set()
        await asyncio.wait_for(may_answer.wait(), 30)
        return web.json_response(found(source("Anything goes here.")))

    folder.serve(revision())
    async with store_double(slow) as url:
        environment = ApiEnvironment(
            service="handbook",
            qdrant_url=url,
            releases_path=str(folder.releases),
            keys_path=str(folder.keys),
            host="127.0.0.1",
            port=0,
            drain_seconds=20,
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rag_api", env=os.environ | environment.to_env(), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            port = await _port(process.stdout)
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
                headers = {"x-api-key": KEY}
                request = asyncio.create_task(_status(client, headers))
                await asyncio.wait_for(asked.wait(), 20)
                process.send_signal(signal.SIGTERM)
                if force:
                    await _draining(client)
                    process.send_signal(signal.SIGTERM)
                    await asyncio.wait_for(
                        process.wait(), 15
                    )  # the store would answer after 30 s, the drain end after 20
                    request.cancel()
                else:
                    await _draining(client)
                    may_answer.set()
                    assert await asyncio.wait_for(request, 15) == 200
                    assert await asyncio.wait_for(process.wait(), 15) == 0
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def test_settings_that_cannot_be_used_are_named() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rag_api",
        env=env | {"RAG_API_SERVICE": "x", "RAG_API_PROT": "1"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"RAG_API_QDRANT_URL" in errors
    assert b"RAG_API_PROT" in errors


async def _status(client: aiohttp.ClientSession, headers: dict[str, str]) -> int:
    async with client.post("/query", json={"question": "Anything?"}, headers=headers) as response:
        return response.status


async def _draining(client: aiohttp.ClientSession) -> None:
    """Returns when the process says that it is going: only then it has taken the first signal."""
    while True:
        async with client.get("/ready") as response:
            if any(c["name"] == "draining" and not c["ok"] for c in (await response.json()).get("checks", ())):
                return
        await asyncio.sleep(0.01)


async def _port(output: asyncio.StreamReader) -> int:
    while line := await asyncio.wait_for(output.readline(), 30):
        if b"running on" in line:
            return int(line.split(b"127.0.0.1:")[1].split(b" ")[0])
    raise AssertionError("the API did not start")
