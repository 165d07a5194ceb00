"""Connections that never get to a question."""

import asyncio
from pathlib import Path

import pytest
from rag_api.protocol import MAX_HEAD_BYTES, BoundedProtocol

from .doubles import answering, source
from .doubles import store as store_double
from .harness import KEY, Api, Folder, revision, serving

NOWHERE = "http://127.0.0.1:9"


class Hurried(BoundedProtocol):
    """The same with less patience."""

    head_seconds = 0.2


async def _connect(api: Api) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(api.url.rsplit(":", 1)[1]))


async def test_an_endless_head_is_refused(folder: Folder, tmp_path: Path) -> None:
    async with serving(tmp_path, NOWHERE) as api:
        for filler in (b"x-a: " + b"b" * 1000 + b"\r\n", b"c" * 1000):
            reader, writer = await _connect(api)
            writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\nx: ")
            for _ in range(MAX_HEAD_BYTES // 1000 + 1):
                writer.write(filler)
                await asyncio.sleep(0)
            answer = await asyncio.wait_for(reader.read(), 5)
            assert answer.startswith(b"HTTP/1.1 431 ")
            writer.close()


async def test_a_head_that_does_not_arrive_is_not_waited_for(folder: Folder, tmp_path: Path) -> None:
    async with serving(tmp_path, NOWHERE, protocol=Hurried) as api:
        for begin in (b"", b"GET /hea"):
            reader, writer = await _connect(api)
            writer.write(begin)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()


async def test_a_kept_connection_may_rest_and_a_second_head_is_bounded_too(folder: Folder, tmp_path: Path) -> None:
    async with serving(tmp_path, NOWHERE, protocol=Hurried) as api:
        reader, writer = await _connect(api)
        for _ in range(2):
            writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert head.startswith(b"HTTP/1.1 200 ")
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            await asyncio.sleep(0.4)
        writer.write(b"GET /hea")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


@pytest.mark.parametrize("crumb", [b"\r\n", b"the rest of a body"])
async def test_crumbs_do_not_keep_a_connection_for_ever(folder: Folder, tmp_path: Path, crumb: bytes) -> None:
    async with serving(tmp_path, NOWHERE, protocol=Hurried) as api:
        reader, writer = await _connect(api)
        length = b"content-length: 1000\r\n" if crumb.strip() else b""
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n" + length + b"\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.write(crumb)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_client_that_would_rather_speak_another_protocol_is_answered_in_this_one(
    folder: Folder, tmp_path: Path
) -> None:
    folder.serve(revision())
    body = b'{"question": "Is text here?\\r\\nUpgrade: x"}'
    head = (
        b"POST /query HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nhttp2-settings: AAA\r\n"
        b"content-type: application/json\r\nx-api-key: " + KEY.encode() + b"\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    async with store_double(answering(source("text"))) as url, serving(tmp_path, url) as api:
        reader, writer = await _connect(api)
        for _ in range(2):
            writer.write(head + body)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert answer.startswith(b"HTTP/1.1 200 ")
            await reader.readexactly(int(answer.split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.close()


async def test_what_is_not_http_is_told_so(folder: Folder, tmp_path: Path) -> None:
    async with serving(tmp_path, NOWHERE) as api:
        reader, writer = await _connect(api)
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400 ")
        writer.close()
