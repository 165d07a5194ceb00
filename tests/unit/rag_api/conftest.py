"""Fixtures: one stand-in of Qdrant for all tests here, and a folder of mounted files for each."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.qdrant_standin.fixture import start_standin

from . import corpus
from .harness import KEY, Folder, api_key

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
