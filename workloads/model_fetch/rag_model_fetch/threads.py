"""Blocking calls beside the event loop, in threads that nobody waits for at the end."""

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like `asyncio.to_thread`, whose threads keep the process alive until a server that hangs has timed out."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # None is T's where work gives None

    def run() -> None:
        try:
            outcome: tuple[T | None, BaseException | None] = (work(*args, **kwargs), None)
        except BaseException as error:
            outcome = (None, error)
        try:
            loop.call_soon_threadsafe(tell, *outcome)
        except RuntimeError:
            return  # the loop is closed: the run has ended without us

    threading.Thread(target=run, daemon=True).start()
    return await done
