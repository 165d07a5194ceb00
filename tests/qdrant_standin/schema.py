"""What a collection is made of: the configuration as Qdrant shows it, and the engine's objects made from it."""

import copy
from typing import Any

import qdrant_edge as edge

from .errors import bad_format, unsupported, wrong_input

Body = dict[str, Any]

PLACEHOLDER = "stand-in-without-vectors"  # the engine wants a vector; a collection without one gets this, never shown

_HNSW: Body = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000, "max_indexing_threads": 0, "on_disk": False}
_OPTIMIZER: Body = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 2,
    "max_segment_size": None,
    "memmap_threshold": None,
    "indexing_threshold": 10000,
    "flush_interval_sec": 5,
    "max_optimization_threads": None,
    "prevent_unoptimized": None,
}
_WAL: Body = {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1}
_DISTANCES = {
    "Cosine": edge.Distance.Cosine,
    "Euclid": edge.Distance.Euclid,
    "Dot": edge.Distance.Dot,
    "Manhattan": edge.Distance.Manhattan,
}
_DATATYPES = {
    "float32": edge.VectorStorageDatatype.Float32,
    "float16": edge.VectorStorageDatatype.Float16,
    "uint8": edge.VectorStorageDatatype.Uint8,
}
_INDEXES: dict[str, tuple[Any, Any]] = {
    "keyword": (edge.PayloadSchemaType.Keyword, edge.KeywordIndexParams),
    "integer": (edge.PayloadSchemaType.Integer, edge.IntegerIndexParams),
    "float": (edge.PayloadSchemaType.Float, edge.FloatIndexParams),
    "geo": (edge.PayloadSchemaType.Geo, edge.GeoIndexParams),
    "text": (edge.PayloadSchemaType.Text, edge.TextIndexParams),
    "bool": (edge.PayloadSchemaType.Bool, edge.BoolIndexParams),
    "datetime": (edge.PayloadSchemaType.Datetime, edge.DatetimeIndexParams),
    "uuid": (edge.PayloadSchemaType.Uuid, edge.UuidIndexParams),
}
_TOKENIZERS = {
    "prefix": edge.TokenizerType.Prefix,
    "whitespace": edge.TokenizerType.Whitespace,
    "word": edge.TokenizerType.Word,
    "multilingual": edge.TokenizerType.Multilingual,
}


def _given(body: Body, name: str) -> Body:
    """The settings of a group that were given: absent and null both mean the default."""
    return {key: value for key, value in (body.get(name) or {}).items() if value is not None}


def config_from(body: Body) -> Body:
    """The configuration of a new collection, shaped as GET /collections/{name} shows it."""
    if body.get("quantization_config"):
        raise unsupported("quantization_config")
    if (body.get("shard_number") or 1) != 1 or body.get("sharding_method"):
        raise unsupported("more than one shard")
    params: Body = {
        "vectors": _vectors_shown(body.get("vectors") or {}),
        "shard_number": 1,
        "replication_factor": body.get("replication_factor") or 1,
        "write_consistency_factor": body.get("write_consistency_factor") or 1,
        "on_disk_payload": body.get("on_disk_payload") is not False,
    }
    if body.get("sparse_vectors"):
        params["sparse_vectors"] = body["sparse_vectors"]
    config: Body = {
        "params": params,
        "hnsw_config": _HNSW | _given(body, "hnsw_config"),
        "optimizer_config": _OPTIMIZER | _given(body, "optimizers_config"),
        "wal_config": _WAL | _given(body, "wal_config"),
        "quantization_config": None,
        "strict_mode_config": {"enabled": False} | _given(body, "strict_mode_config"),
    }
    if body.get("metadata"):
        config["metadata"] = body["metadata"]
    return config


def patched(config: Body, body: Body) -> Body:
    """The configuration after PATCH /collections/{name}: groups and metadata are merged key by key."""
    if body.get("quantization_config") or body.get("vectors") or body.get("sparse_vectors"):
        raise unsupported("changing the parameters of a vector")
    new = copy.deepcopy(config)
    groups = {"hnsw_config": "hnsw_config", "optimizers_config": "optimizer_config"}
    groups |= {"strict_mode_config": "strict_mode_config", "params": "params"}
    for given, shown in groups.items():
        new[shown] |= _given(body, given)
    if body.get("metadata"):
        merged = new.get("metadata", {}) | body["metadata"]
        new["metadata"] = {key: value for key, value in merged.items() if value is not None}
    return new


def _vectors_shown(vectors: Any) -> Body:
    """The dense vectors as given, without nulls; 400 when they are not of Qdrant's shape."""
    if not isinstance(vectors, dict):
        raise _no_vectors_config()
    rows = {"": vectors} if "size" in vectors else vectors
    shown = {}
    for name, row in rows.items():
        if not isinstance(row, dict) or not isinstance(row.get("size"), int) or row.get("distance") not in _DISTANCES:
            raise _no_vectors_config()
        if not 1 <= row["size"] <= 65536:
            raise wrong_input(f"Vector size {row['size']} is not between 1 and 65536", 422)
        shown[name] = {key: value for key, value in row.items() if value is not None}
    return shown[""] if "size" in vectors else shown


def _no_vectors_config() -> Exception:
    return bad_format("data did not match any variant of untagged enum VectorsConfig")


def dimensions(config: Body) -> dict[str, int]:
    """The size of every dense vector by name; the unnamed one is ''."""
    vectors = config["params"]["vectors"]
    rows = {"": vectors} if "size" in vectors else vectors
    return {name: row["size"] for name, row in rows.items()}


def sparse_names(config: Body) -> set[str]:
    """The names of the sparse vectors."""
    return set(config["params"].get("sparse_vectors") or {})


def engine_config(config: Body) -> Any:
    """The engine's configuration of a collection."""
    vectors = config["params"]["vectors"]
    rows = {"": vectors} if "size" in vectors else vectors
    sparse = {name: _sparse(row or {}) for name, row in (config["params"].get("sparse_vectors") or {}).items()}
    if not rows and not sparse:
        sparse = {PLACEHOLDER: edge.EdgeSparseVectorParams()}
    hnsw = config["hnsw_config"]
    return edge.EdgeConfig(
        vectors={name: _dense(row) for name, row in rows.items()},
        sparse_vectors=sparse,
        on_disk_payload=config["params"]["on_disk_payload"],
        hnsw_config=edge.HnswIndexConfig(
            hnsw["m"], hnsw["ef_construct"], hnsw["full_scan_threshold"], payload_m=hnsw.get("payload_m")
        ),
        max_search_threads=1,
    )


def _dense(row: Body) -> Any:
    if row.get("quantization_config"):
        raise unsupported("quantization_config")
    multi = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim) if row.get("multivector_config") else None
    return edge.EdgeVectorParams(
        row["size"],
        _DISTANCES[row["distance"]],
        on_disk=row.get("on_disk"),
        multivector_config=multi,
        datatype=_DATATYPES[row["datatype"]] if row.get("datatype") else None,
    )


def _sparse(row: Body) -> Any:
    modifier = row.get("modifier")
    if modifier not in (None, "none", "idf"):
        raise bad_format(f"unknown variant `{modifier}`, expected `none` or `idf`")
    index = row.get("index") or {}
    return edge.EdgeSparseVectorParams(
        full_scan_threshold=index.get("full_scan_threshold"),
        on_disk=index.get("on_disk"),
        modifier=edge.Modifier.Idf if modifier == "idf" else None,
    )


def index_shown(field_schema: Any) -> Body:
    """A payload index as `payload_schema` shows it (without the number of points)."""
    if isinstance(field_schema, str):
        shown: Body = {"data_type": field_schema}
    elif isinstance(field_schema, dict):
        shown = {"data_type": field_schema.get("type"), "params": field_schema}
    else:
        raise bad_format("missing field `field_schema`")
    if shown["data_type"] not in _INDEXES:
        raise bad_format("data did not match any variant of untagged enum PayloadFieldSchema")
    return shown


def engine_index(shown: Body) -> Any:
    """The engine's schema of a payload index."""
    plain, parameters = _INDEXES[shown["data_type"]]
    if "params" not in shown:
        return plain
    given = {key: value for key, value in shown["params"].items() if key != "type" and value is not None}
    if "tokenizer" in given:
        given["tokenizer"] = _TOKENIZERS[given["tokenizer"]]
    try:
        return parameters(**given)
    except TypeError as error:
        raise unsupported(f"an index parameter ({error})") from error
