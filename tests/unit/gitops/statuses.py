"""Statuses as the operator itself writes them, one for each thing that a delivery tool tells apart."""

import asyncio
import copy
from typing import Any

from tests.unit.rag_operator.world import World, service

Json = dict[str, Any]


async def _ready() -> World:
    world = World()
    await world.until_ready()
    return world


async def _starting() -> World:
    world = World()
    await world.run()
    return world


async def _broken() -> World:
    world = await _ready()
    world.config_maps.clear()
    world.edit(index={"version": "docs-2", "documents": {"configMapRef": {"name": "nowhere"}}})
    await world.run()
    return world


async def _suspended() -> World:
    world = await _ready()
    world.edit(suspend=True)
    await world.run()
    return world


async def _edited() -> World:
    world = await _ready()
    world.edit(prompt={"version": "answer-v2", "system": "Be brief."})
    return world


async def _silent() -> World:
    world = await _ready()
    world.answers.clear()
    await world.run()
    return world


async def _all() -> dict[str, Json]:
    made = {
        "ready": _ready(),
        "starting": _starting(),
        "broken": _broken(),
        "suspended": _suspended(),
        "edited": _edited(),
        "silent": _silent(),
    }
    bodies = {name: copy.deepcopy((await world).body) for name, world in made.items()}
    return {"new": service(), **bodies}


def recorded() -> dict[str, Json]:
    """RagServices by what is the matter with them."""
    return asyncio.run(_all())
