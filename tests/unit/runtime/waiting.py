"""Wait for what should become true soon, and say what it was when it did not."""

import asyncio
from collections.abc import Callable
from typing import Any


async def eventually(expected: Any, actual: Callable[[], Any], seconds: float = 5.0) -> None:
    """Assert that `actual()` becomes `expected` within `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while actual() != expected and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 (polling is the point)
        await asyncio.sleep(0.005)
    assert expected == actual()
