"""The bare client: the very children of a run, dumped and written back under new names by nobody but a client.

Names are replaced by others of the same length, so each object is as large as it was. Owners stay the services of the run.
"""

import asyncio
import time
from itertools import groupby
from typing import Any, NamedTuple

import orjson
from rag_operator.names import LABEL_SERVICE
from rag_operator.runtime import kinds
from rag_operator.runtime.client import Client

from .stage import MADE, SPACE

Json = dict[str, Any]
IN_FLIGHT = 16
GIVEN = {"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"}


async def dump(client: Client, old: str, new: str) -> list[Json]:
    """Every child of the services whose names begin with `old`, ready to be written as a child of `new`."""
    found: list[Json] = []
    for kind in (*MADE, kinds.SECRET):
        async for page in client.list_pages(kind, SPACE):
            named = (item for item in page["items"] if item["metadata"]["name"].startswith(old))
            found.extend(
                _renamed({**item, "apiVersion": kind.api_version, "kind": kind.kind}, old, new) for item in named
            )
    found.sort(key=lambda body: (body["metadata"]["name"].split("-")[0], body["kind"]))
    return found


def _renamed(body: Json, old: str, new: str) -> Json:
    owners = body["metadata"].get("ownerReferences")
    body = {key: value for key, value in body.items() if key != "status"}
    metadata = {key: value for key, value in body["metadata"].items() if key not in GIVEN}
    body = orjson.loads(orjson.dumps({**body, "metadata": metadata}).replace(old.encode(), new.encode()))
    if owners:
        body["metadata"]["ownerReferences"] = owners
    for given in ("clusterIP", "clusterIPs"):
        if body["kind"] == "Service" and body["spec"].get(given) not in ("None", ["None"]):
            body["spec"].pop(given, None)
    if body["kind"] == "Job":
        body["spec"].pop("selector", None)
        labels = body["spec"]["template"]["metadata"].get("labels", {})
        for label in [label for label in labels if "controller-uid" in label or label.endswith("job-name")]:
            del labels[label]
    body["metadata"].get("labels", {})[LABEL_SERVICE] = body["metadata"]["name"].split("-")[0]
    return dict(body)


class Written(NamedTuple):
    """What the API server made of the bodies, and writes per second."""

    bodies: list[Json]
    rate: float


class Alone(NamedTuple):
    """What a client alone needs at least: seconds for all children of one service at once, and for one of them."""

    service: list[float]
    child: list[float]
    bodies: list[Json]


async def alone(client: Client, bodies: list[Json], services: int) -> Alone:
    """The children of some services by server-side apply, one service after the other; then one child of each, changed."""
    groups = {
        key: list(group) for key, group in groupby(bodies, key=lambda body: body["metadata"]["name"].split("-")[0])
    }
    whole, single, made = [], [], list[Json]()
    for name in list(groups)[:services]:
        start = time.monotonic()
        written = await write_back(client, groups[name], apply=True)
        whole.append(time.monotonic() - start)
        made += written.bodies
        await asyncio.sleep(1)  # the controllers are done with it: the next one is alone
        child = next(body for body in groups[name] if body["kind"] == "Service")
        child["metadata"]["labels"]["bare"] = "changed"
        start = time.monotonic()
        await client.apply(child, field_manager="bare")
        single.append(time.monotonic() - start)
    return Alone(whole, single, made)


async def write_back(client: Client, bodies: list[Json], *, apply: bool) -> Written:
    """By server-side apply or by create."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(body: Json) -> Json:
        async with gate:
            if apply and body["kind"] != "Secret":  # the operator creates Secrets too
                return await client.apply(body, field_manager="bare")
            return await client.create(body, field_manager="bare")

    start = time.monotonic()
    made = await asyncio.gather(*(one(body) for body in bodies))
    return Written(made, len(bodies) / (time.monotonic() - start))
