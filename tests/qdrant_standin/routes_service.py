"""What the process says of itself: version, health, metrics, cluster."""

from typing import Any

from aiohttp import web

from .call import Access, Call, Route
from .collection import engine
from .settings import NAME, VERSION


async def _root(_call: Call) -> Any:
    return web.json_response(
        {"title": f"{NAME} - Qdrant's engine, not its server", "version": VERSION, "commit": "none"}
    )


async def _healthy(_call: Call) -> Any:
    return web.Response(text="healthz check passed")


async def _ready(_call: Call) -> Any:
    return web.Response(text="all shards are ready")


async def _cluster(_call: Call) -> Any:
    return {"status": "disabled"}


async def _metrics(call: Call) -> Any:
    collections = call.catalog.collections
    vectors = {name: engine(found.shard.info).points_count for name, found in list(collections.items())}
    lines: list[str] = []

    def gauge(name: str, help_: str, *samples: tuple[str, float]) -> None:
        lines.extend((f"# HELP {name} {help_}", f"# TYPE {name} gauge"))
        lines.extend(f"{name}{labels} {value}" for labels, value in samples)

    gauge("app_info", "information about the server", (f'{{name="{NAME}",version="{VERSION}"}}', 1))
    gauge("app_status_recovery_mode", "is the recovery mode on", ("", 0))
    gauge("audit_log_dir_size_bytes", "size of the audit log", ("", 0))
    gauge("collections_total", "number of collections", ("", len(collections)))
    gauge("collections_vector_total", "number of vectors in all collections", ("", sum(vectors.values())))
    gauge(
        "collection_vectors",
        "number of vectors of a collection",
        *((f'{{collection="{name}"}}', count) for name, count in sorted(vectors.items())),
    )
    gauge("collection_active_replicas_min", "fewest active replicas of a shard", ("", 1))
    gauge("collection_indexed_only_excluded_points", "points left out of indexed-only searches", ("", 0))
    return web.Response(text="\n".join(lines) + "\n")


ROUTES = [
    Route("GET", "/", Access.OPEN, _root),
    Route("GET", "/healthz", Access.OPEN, _healthy),
    Route("GET", "/livez", Access.OPEN, _healthy),
    Route("GET", "/readyz", Access.OPEN, _ready),
    Route("GET", "/cluster", Access.READ, _cluster),
    Route("GET", "/metrics", Access.READ, _metrics),
]
