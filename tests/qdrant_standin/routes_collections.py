"""Collections, payload indexes and aliases."""

import asyncio
from typing import Any

from .call import Access, Call, Route


async def _list(call: Call) -> Any:
    return {"collections": [{"name": name} for name in sorted(call.catalog.collections)]}


async def _create(call: Call) -> Any:
    await asyncio.to_thread(call.catalog.create, call.name, call.body)
    return True


async def _patch(call: Call) -> Any:
    await asyncio.to_thread(call.collection.patch, call.body)
    return True


async def _delete(call: Call) -> Any:
    return await asyncio.to_thread(call.catalog.delete, call.name)


async def _info(call: Call) -> Any:
    return call.collection.info()


async def _exists(call: Call) -> Any:
    return {"exists": call.name in call.catalog.collections or call.name in call.catalog.aliases}


async def _create_index(call: Call) -> Any:
    field, shape = call.field("field_name", str), call.body.get("field_schema")
    number = await asyncio.to_thread(call.collection.create_index, field, shape)
    return operation(call, number)


async def _delete_index(call: Call) -> Any:
    number = await asyncio.to_thread(call.collection.delete_index, call.request.match_info["field"])
    return operation(call, number)


async def _change_aliases(call: Call) -> Any:
    await asyncio.to_thread(call.catalog.change_aliases, call.field("actions", list))
    return True


async def _aliases(call: Call) -> Any:
    pairs = sorted(call.catalog.aliases.items())
    return {"aliases": [{"alias_name": alias, "collection_name": name} for alias, name in pairs]}


async def _aliases_of(call: Call) -> Any:
    name = call.collection.path.name
    return {"aliases": [row for row in (await _aliases(call))["aliases"] if row["collection_name"] == name]}


def operation(call: Call, number: int) -> dict[str, Any]:
    """What a write answers; it was applied in any case, but Qdrant says so only to those who wait."""
    done = call.request.query.get("wait") == "true"
    return {"operation_id": number, "status": "completed" if done else "acknowledged"}


ROUTES = [
    Route("GET", "/collections", Access.READ, _list),
    Route("POST", "/collections/aliases", Access.WRITE, _change_aliases),
    Route("GET", "/aliases", Access.READ, _aliases),
    Route("PUT", "/collections/{name}", Access.WRITE, _create),
    Route("PATCH", "/collections/{name}", Access.WRITE, _patch),
    Route("DELETE", "/collections/{name}", Access.WRITE, _delete),
    Route("GET", "/collections/{name}", Access.READ, _info),
    Route("GET", "/collections/{name}/exists", Access.READ, _exists),
    Route("GET", "/collections/{name}/aliases", Access.READ, _aliases_of),
    Route("PUT", "/collections/{name}/index", Access.WRITE, _create_index),
    Route("DELETE", "/collections/{name}/index/{field}", Access.WRITE, _delete_index),
]
