"""The whole story of one index: connect, look, fill, verify, stamp.

What lies under the collection's name decides:

    nothing                        -> create, fill
    ours, not complete             -> continue: equal points are kept, others are written or removed
    ours, complete                 -> verify; fill again only when chunks were lost
    anything else                  -> CollectionConflict; it is never touched
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from rag_contract.environment import IndexerEnvironment
from rag_contract.identity import CollectionStamp
from rag_contract.reports import IndexResult

from . import corpus, space, verify
from .catalog import Catalog
from .corpus import Corpus, Point
from .errors import IndexFailure
from .files import Skipped
from .progress import Progress
from .servers import Servers
from .store import Collection

log = logging.getLogger("rag_indexer")

BATCH_CHUNKS = 128
SKIPPED_NAMED = 10


async def build(settings: IndexerEnvironment, servers: Servers, progress: Progress) -> IndexResult:
    """Leaves a verified collection, stamped complete. Raises IndexFailure. Safe to run again at any point."""
    check_sizes(settings)
    store = servers.store
    await store.connect(lambda: progress.enter("Waiting"))
    found = await store.inspect()
    stamp = own_stamp(settings, found)
    if stamp is not None and stamp.complete and await store.count() == stamp.chunks:
        return await named(settings, servers, await verified(settings, servers, progress, stamp))
    progress.enter("Loading")
    documents = await asyncio.to_thread(corpus.scan, settings)
    progress.documents_total = len(documents.paths)
    await space.check(settings, store.connection, documents)
    chunks = await _fill(documents, servers, progress, new_stamp(settings), exists=found is not None)
    if stamp is not None and stamp.complete and chunks != stamp.chunks:
        raise IndexFailure(
            "CollectionDamaged",
            f"The finished collection lost chunks and the documents are no longer the same ({chunks} chunks instead "
            f"of {stamp.chunks}): set a new spec.index.version.",
        )
    progress.enter("Verifying")
    await verify.contents(servers, chunks)
    await store.write_stamp(new_stamp(settings, documents.documents, chunks, complete=True))
    progress.enter("Done")
    return await named(settings, servers, succeeded(settings, progress, documents.documents, chunks, documents.skipped))


async def named(settings: IndexerEnvironment, servers: Servers, result: IndexResult) -> IndexResult:
    """The result with the collection's size, and with the alias for outside readers set where nothing serves yet; later
    the sweep does that.

    An alias that cannot be set is told and fails no build: the API asks collections by their own names.
    """
    connection = servers.store.connection
    result = result.model_copy(update={"disk_bytes": await space.estimated(connection, settings.collection)})
    if settings.alias is None:
        return result
    try:
        await Catalog(connection, settings.alias).promote(settings.collection)
    except IndexFailure as failure:
        log.warning("alias not set", extra={"reason": failure.reason, "alias": settings.alias})
        return result.model_copy(update={"message": f"{failure.message} {result.message}".strip()})
    return result.model_copy(update={"alias": settings.collection})


async def verified(
    settings: IndexerEnvironment, servers: Servers, progress: Progress, stamp: CollectionStamp
) -> IndexResult:
    """Checks a finished collection without its documents. Raises IndexFailure."""
    progress.enter("Verifying")
    await verify.contents(servers, stamp.chunks)
    progress.enter("Done")
    return succeeded(settings, progress, stamp.documents, stamp.chunks, [])


async def check(settings: IndexerEnvironment, servers: Servers, progress: Progress) -> IndexResult:
    """The command `verify`: a finished collection of ours must be there. Raises IndexFailure."""
    await servers.store.connect(lambda: progress.enter("Waiting"))
    stamp = own_stamp(settings, await servers.store.inspect())
    if stamp is None or not stamp.complete:
        raise IndexFailure("NotBuilt", f"The collection {settings.collection} is not finished: build it.")
    return await verified(settings, servers, progress, stamp)


async def drop(settings: IndexerEnvironment, servers: Servers, progress: Progress) -> IndexResult:
    """The command `drop`: removes the collection if it is ours; one that is gone is fine. Raises IndexFailure."""
    store = servers.store
    await store.connect(lambda: progress.enter("Waiting"))
    if own_stamp(settings, await store.inspect()) is not None:
        await store.drop()
    progress.enter("Done")
    return succeeded(settings, progress, 0, 0, [])


def check_sizes(settings: IndexerEnvironment) -> None:
    if settings.overlap_characters * 2 > settings.max_characters:
        raise IndexFailure(
            "InvalidSettings", "The overlap must be at most half of the chunk size: correct spec.index.chunking."
        )


def new_stamp(
    settings: IndexerEnvironment, documents: int = 0, chunks: int = 0, *, complete: bool = False
) -> CollectionStamp:
    return CollectionStamp(
        version=settings.version,
        content_hash=settings.content_hash,
        identity=settings.identity(),
        documents=documents,
        chunks=chunks,
        complete=complete,
    )


def own_stamp(settings: IndexerEnvironment, found: Collection | None) -> CollectionStamp | None:
    """The stamp of our own collection, None when there is no collection. Raises IndexFailure for somebody else's."""
    if found is None:
        return None
    ours, theirs = new_stamp(settings), found.stamp
    if theirs is None:
        what = "has no stamp of an indexer"
    elif theirs.identity != ours.identity:
        what = "was built for another analysis or embedding"
    elif (theirs.version, theirs.content_hash) != (ours.version, ours.content_hash):
        what = f"holds other content (version {theirs.version})"
    else:
        return theirs
    raise IndexFailure(
        "CollectionConflict",
        f"A collection {settings.collection} exists and {what}. It was left as it is: "
        "remove it, or set a new spec.index.version.",
    )


async def _fill(
    documents: Corpus, servers: Servers, progress: Progress, stamp: CollectionStamp, *, exists: bool
) -> int:
    """Makes the points of the collection equal to those of the documents; returns how many there are."""
    store = servers.store
    points = documents.points()
    first = await asyncio.to_thread(next, points, None)
    if first is None:
        raise IndexFailure("NoDocuments", _no_documents(documents.skipped))
    if not exists:
        if servers.embedder:
            await servers.embedder.embed([first.text])  # one that cannot be used leaves no collection behind
        await store.create(stamp)
    else:
        await store.index_payload()
    present = await store.ids() if exists else set()
    progress.enter("Indexing")
    wanted = await _write(chain([first], points), documents, servers, progress, present)
    if stale := present - wanted:
        log.info("removing chunks that the documents no longer hold", extra={"chunks": len(stale)})
        await store.delete(sorted(stale))
    return len(wanted)


async def _write(
    points: Iterator[Point], documents: Corpus, servers: Servers, progress: Progress, present: set[str]
) -> set[str]:
    """Writes what is not present, some batches on the wire while the next is made; returns the ids of all points.

    A batch that is embedded and one that is written keep both servers at work; what is present is not embedded again.
    """
    wanted: set[str] = set()
    writing: deque[asyncio.Task[None]] = deque()
    try:
        while batch := await asyncio.to_thread(_take, points):
            wanted.update(point.id for point in batch)
            while len(writing) >= servers.at_once:
                await writing.popleft()
            if missing := [point for point in batch if point.id not in present]:
                writing.append(asyncio.create_task(_put(missing, servers)))
            progress.documents_done, progress.chunks_done = documents.read, len(wanted)
        while writing:
            await writing.popleft()
        progress.documents_done = documents.read
    finally:
        for left in writing:
            left.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
    return wanted


async def _put(points: Sequence[Point], servers: Servers) -> None:
    dense = await servers.embedder.embed([point.text for point in points]) if servers.embedder else None
    await servers.store.upsert(points, dense)


def _take(points: Iterator[Point]) -> Sequence[Point]:
    return list(islice(points, BATCH_CHUNKS))


def succeeded(
    settings: IndexerEnvironment, progress: Progress, documents: int, chunks: int, skipped: list[Skipped]
) -> IndexResult:
    return IndexResult(
        outcome="Succeeded",
        version=settings.version,
        collection=settings.collection,
        content_hash=settings.content_hash,
        documents=documents,
        chunks=chunks,
        skipped=len(skipped),
        seconds=progress.seconds(),
        message=f"skipped: {_named(skipped)}" if skipped else "",
    )


def _no_documents(skipped: list[Skipped]) -> str:
    what = f"all were skipped: {_named(skipped)}" if skipped else "the folder is empty"
    return f"There is no document to index; {what}. Put Markdown, text or HTML files in spec.index.documents."


def _named(skipped: list[Skipped]) -> str:
    more = f"; and {len(skipped) - SKIPPED_NAMED} more" if len(skipped) > SKIPPED_NAMED else ""
    return "; ".join(f"{one.path}: {one.reason}" for one in skipped[:SKIPPED_NAMED]) + more
