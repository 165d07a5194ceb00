"""Snapshots of collections: create, list, fetch, remove, and recover from a file, an address or an upload."""

import asyncio
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp import BodyPartReader, web

from .call import Access, Call, Route
from .catalog import check_name
from .errors import bad_format, bad_request
from .snapshots import Snapshots

_PIECE_BYTES = 1 << 20


def _snapshots(call: Call) -> Snapshots:
    return Snapshots(call.settings.snapshots, call.catalog)


async def _create(call: Call) -> Any:
    return await asyncio.to_thread(_snapshots(call).create, call.collection)


async def _list(call: Call) -> Any:
    return _snapshots(call).listed(call.collection.path.name)


async def _fetch(call: Call) -> Any:
    return web.FileResponse(_snapshots(call).file(call.collection.path.name, call.request.match_info["snapshot"]))


async def _delete(call: Call) -> Any:
    _snapshots(call).delete(call.collection.path.name, call.request.match_info["snapshot"])
    return True


async def _recover(call: Call) -> Any:
    name, location = check_name(call.name), call.field("location", str)
    address = urlsplit(location)
    checksum = call.body.get("checksum")
    if address.scheme == "file":
        await asyncio.to_thread(_snapshots(call).recover, name, Path(unquote(address.path)), checksum)
    elif address.scheme in ("http", "https"):
        draft = call.catalog.workspace / f"{uuid.uuid4().hex}.download"
        try:
            await _download(location, call.body.get("api_key"), draft)
            await asyncio.to_thread(_snapshots(call).recover, name, draft, checksum)
        finally:
            draft.unlink(missing_ok=True)
    else:
        raise bad_format(f"location: relative URL without a base: {location}")
    return True


async def _download(location: str, key: str | None, target: Path) -> None:
    headers = {"api-key": key} if key else {}
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(location, headers=headers, raise_for_status=True) as answer:
                with target.open("wb") as file:
                    async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                        file.write(piece)
        except aiohttp.ClientError as error:
            raise bad_request(f"Failed to download snapshot from {location}: {error}") from error


async def _upload(call: Call) -> Any:
    name = check_name(call.name)
    draft = call.catalog.workspace / f"{uuid.uuid4().hex}.upload"
    reader = await call.request.multipart()
    try:
        async for part in reader:
            if isinstance(part, BodyPartReader) and part.name == "snapshot":
                with draft.open("wb") as file:
                    while piece := await part.read_chunk(_PIECE_BYTES):
                        file.write(piece)
        await asyncio.to_thread(_snapshots(call).recover, name, draft, call.request.query.get("checksum"))
    finally:
        draft.unlink(missing_ok=True)
    return True


_S = "/collections/{name}/snapshots"
ROUTES = [
    Route("POST", _S, Access.WRITE, _create),
    Route("GET", _S, Access.READ, _list),
    Route("PUT", f"{_S}/recover", Access.WRITE, _recover),
    Route("POST", f"{_S}/upload", Access.WRITE, _upload),
    Route("GET", _S + "/{snapshot}", Access.READ, _fetch),
    Route("DELETE", _S + "/{snapshot}", Access.WRITE, _delete),
]
