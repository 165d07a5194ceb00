"""Fixtures: one stand-in of Qdrant for all tests here, and a folder of mounted files for each."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.qdrant_standin.fixture import start_standin

from . import corpus
from .doubles import answering, source
from .doubles import store as store_double
from .harness import KEY, Api, Folder, api_key, revision, serving

READ_KEY = "read-only-key-of-the-store"
WRITE_KEY = "write-key-of-the-store"


@dataclass(frozen=True)
class Store:
    """The stand-in with the sample handbook in it."""

    url: str
    chunks: int
    key: str = READ_KEY
    write_key: str = WRITE_KEY


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A stand-in with keys, shared; tests may add collections of their own."""
    folder = tmp_path_factory.mktemp("rag-api")
    documents = folder / "documents"
    documents.mkdir()
    points = corpus.handbook(documents)
    with start_standin(folder / "qdrant", api_key=WRITE_KEY, read_only_api_key=READ_KEY) as qdrant:
        asyncio.run(corpus.build(qdrant.url, "handbook", points, corpus.stamp(points), WRITE_KEY))
        yield Store(qdrant.url, len(points))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Mounted files with one key, and no release table yet."""
    made = Folder(tmp_path)
    made.allow(api_key("default", KEY))
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bodies(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One API for the many requests that are refused before any work; its store finds a text for everything."""
    path = tmp_path_factory.mktemp("bodies")
    made = Folder(path)
    made.allow(api_key("default", KEY))
    made.serve(revision())
    async with store_double(answering(source("text"))) as url, serving(path, url) as api:
        yield api
