"""The command `sweep`: after a switch, move the alias of outside readers, then drop the collections that nothing needs.

    alias -> the collection that serves (verified to be ours and complete), by compare-and-set, read back
    then each collection under the service's prefix:
        kept                     -> stays
        stamped by an indexer    -> dropped: an old index, or what a failed or abandoned build left
        anything else            -> stays, and is told

Safe to run again at any point: what is done already is found done.
"""

import logging

from rag_contract.environment import SweepEnvironment
from rag_contract.reports import SweepResult

from .catalog import Catalog, Found
from .connection import Connection
from .errors import IndexFailure
from .progress import Progress

log = logging.getLogger("rag_indexer")

NAMED = 10


async def sweep(settings: SweepEnvironment, connection: Connection, progress: Progress) -> SweepResult:
    """Raises IndexFailure; then nothing was dropped that is kept, and running again continues."""
    await connection.connect(lambda: progress.enter("Waiting"))
    catalog = Catalog(connection, settings.alias)
    found = await catalog.collections()
    if settings.target is not None:
        _servable(settings.target, found)
        await catalog.promote(settings.target)
    kept = settings.kept()
    dropped, strangers = [], []
    for one in found:
        if one.name in kept:
            continue
        if not one.ours:
            strangers.append(one.name)
            continue
        await catalog.drop(one.name)
        dropped.append(one.name)
        log.info("collection dropped", extra={"collection": one.name})
    progress.enter("Done")
    return SweepResult(
        outcome="Succeeded",
        alias=settings.target or await catalog.named(),
        dropped=len(dropped),
        seconds=progress.seconds(),
        message=_words("dropped", dropped) + _words("left, as no indexer made it", strangers),
    )


def _servable(target: str, found: list[Found]) -> None:
    """Outside readers never get a collection that the API would refuse."""
    stamp = next((one.stamp for one in found if one.name == target and one.ours), None)
    if stamp is None or not stamp.complete:
        raise IndexFailure(
            "CollectionLost",
            f"The collection {target} is not there, or not complete, so the alias was not moved to it and nothing was dropped.",
            retryable=True,
        )


def _words(what: str, names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{what}: {', '.join(names[:NAMED])}{more}. " if names else ""
