"""Collections for tests: the sample handbook cut as the indexer cuts it, or a few texts written in the test."""

import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from rag_api.releases import SPOKEN
from rag_contract import payload
from rag_contract.analysis import encode_document
from rag_contract.environment import IndexerEnvironment
from rag_contract.identity import METADATA_KEY, SPARSE_VECTOR, CollectionStamp
from rag_indexer.corpus import scan

SAMPLE = Path(__file__).resolve().parents[3] / "config/samples/handbook.yaml"

Point = dict[str, Any]


def handbook(folder: Path) -> list[Point]:
    """The points of the sample's documents."""
    documents, sample = yaml.safe_load_all(SAMPLE.read_text(encoding="utf-8"))
    for name, text in documents["data"].items():
        (folder / name).write_text(text, encoding="utf-8")
    chunking = sample["spec"]["index"]["chunking"]
    settings = IndexerEnvironment(
        service="handbook",
        version="v1",
        collection="unused",
        content_hash="unused",
        qdrant_url="http://unused",
        documents_path=str(folder),
        max_characters=chunking["maxCharacters"],
        overlap_characters=chunking["overlapCharacters"],
    )
    return [_point(found.id, found.fields, found.vector) for found in scan(settings).points()]


def chunk(text: str, *, tenant: str = "default", roles: Iterable[str] = ("*",), **fields: object) -> Point:
    """One point. Its document is its own unless the fields say otherwise."""
    identifier = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{tenant} {text}"))
    values: dict[str, object] = {
        payload.DOCUMENT_ID: f"doc-{identifier[:8]}",
        payload.CHUNK_ID: f"chunk-{identifier[:8]}",
        payload.ORDINAL: 0,
        payload.TITLE: "",
        payload.HEADING: "",
        payload.URL: None,
        payload.PAGE: None,
        payload.LINE_START: 1,
        payload.LINE_END: 1,
        payload.TENANT: tenant,
        payload.ROLES: list(roles),
        payload.TEXT: text,
        **fields,
    }
    return _point(identifier, values, encode_document(f"{values[payload.TITLE]}\n{values[payload.HEADING]}\n{text}"))


def stamp(points: list[Point], **changes: object) -> CollectionStamp:
    """The stamp that an indexer leaves on a finished collection of these points."""
    documents = {point["payload"][payload.DOCUMENT_ID] for point in points}
    made = CollectionStamp(
        version="v1",
        content_hash="content",
        identity=SPOKEN,
        documents=len(documents),
        chunks=len(points),
        complete=True,
    )
    return made.model_copy(update=changes)


async def build(url: str, collection: str, points: list[Point], mark: CollectionStamp | None, key: str = "") -> None:
    """Make the collection as the indexer makes it, with its stamp when there is one."""
    headers = {"api-key": key} if key else {}
    async with aiohttp.ClientSession(url, headers=headers, raise_for_status=True) as session:
        body = {
            "vectors": {},
            "sparse_vectors": {SPARSE_VECTOR: {"modifier": "idf"}},
            "strict_mode_config": {"enabled": True, "unindexed_filtering_retrieve": False},
            "metadata": {METADATA_KEY: mark.model_dump(by_alias=True)} if mark else {},
        }
        path = f"/collections/{collection}"
        async with session.put(path, json=body):
            pass
        for field in payload.INDEXED_KEYWORDS:
            schema = {"type": "keyword", "is_tenant": field == payload.TENANT}
            async with session.put(f"{path}/index?wait=true", json={"field_name": field, "field_schema": schema}):
                pass
        async with session.put(f"{path}/points?wait=true", json={"points": points}):
            pass


def _point(identifier: str, fields: dict[str, object], vector: Any) -> Point:
    indices, values = vector
    return {
        "id": identifier,
        "vector": {SPARSE_VECTOR: {"indices": list(indices), "values": list(values)}},
        "payload": fields,
    }
