"""Doubles of nodes and of API pods for thousands of services: every pod runs, every index Job ends well, every API answers.

Named as doubles because nothing runs: the status of pods is written by hand, and each API pod is one listening socket of
loopback that answers as the API does once the release table lies in its volume.
"""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator
from typing import Any

from rag_contract.environment import API_PORT
from rag_contract.release_table import FILE_NAME, ReleaseTable
from rag_operator import names
from rag_operator.runtime import kinds
from rag_operator.runtime.client import Client
from rag_operator.runtime.errors import ApiError
from rag_operator.runtime.informer import Informer

from tests.control_plane.reconcile.harness import result_of
from tests.unit.rag_operator.world import report

from .stage import SPACE

Json = dict[str, Any]
FIRST = ipaddress.IPv4Address("127.90.0.1")


class NodesDouble:
    """Follows pods and release tables of the namespace; `run` until cancelled."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tables: dict[str, ReleaseTable] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._todo: asyncio.Queue[Json] = asyncio.Queue()
        self._next = FIRST
        self.running = asyncio.Event()
        """Clear: pods that are made meanwhile begin to run later."""
        self.running.set()
        self._pods = Informer(
            client, kinds.POD, namespace=SPACE, label_selector=names.LABEL_SERVICE, on_change=self._pod
        )
        self._maps = Informer(
            client, kinds.CONFIG_MAP, namespace=SPACE, label_selector=names.LABEL_SERVICE, on_change=self._map
        )

    async def run(self) -> None:
        """Play the node."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pods.run())
            group.create_task(self._maps.run())
            for _ in range(8):
                group.create_task(self._work())

    def _pod(self, old: Json | None, new: Json | None) -> None:
        if new is None and old is not None:
            server = self._servers.pop(old["metadata"]["name"], None)
            if server is not None:
                server.close()
        elif new is not None and old is None and new["status"].get("phase") == "Pending":
            self._todo.put_nowait(new)

    def _map(self, old: Json | None, new: Json | None) -> None:
        if new is not None and FILE_NAME in new.get("data", {}):
            service = new["metadata"]["labels"][names.LABEL_SERVICE]
            self._tables[service] = ReleaseTable.model_validate_json(new["data"][FILE_NAME])

    async def _work(self) -> None:
        while True:
            pod = await self._todo.get()
            await self.running.wait()
            with contextlib.suppress(ApiError):
                await self._run_pod(pod)

    async def _run_pod(self, pod: Json) -> None:
        metadata, container = pod["metadata"], pod["spec"]["containers"][0]
        state = {"name": container["name"], "image": "double", "imageID": "double", "restartCount": 0}
        state["containerID"] = f"double://{metadata['name']}"
        component, address = metadata["labels"][names.LABEL_COMPONENT], "127.0.0.1"
        if component in {names.COMPONENT_INDEX, names.COMPONENT_SWEEP}:
            ended = {"exitCode": 0, "reason": "Completed", "message": result_of(pod).to_json()}
            await self._write(
                metadata["name"], "Succeeded", {**state, "ready": False, "state": {"terminated": ended}}, ""
            )
            return
        if component == names.COMPONENT_API:
            address = str(self._next)
            self._next += 1
            service = metadata["labels"][names.LABEL_SERVICE]
            self._servers[metadata["name"]] = await asyncio.start_server(
                lambda reader, writer: self._answer(service, reader, writer), address, API_PORT
            )
        await self._write(metadata["name"], "Running", {**state, "ready": True, "state": {"running": {}}}, address)

    async def _write(self, name: str, phase: str, container: Json, address: str) -> None:
        ready = "True" if phase == "Running" else "False"
        conditions = [{"type": kind, "status": ready} for kind in ("Ready", "ContainersReady")]
        status: Json = {"phase": phase, "conditions": conditions, "containerStatuses": [container]}
        if address:
            status |= {"podIP": address, "podIPs": [{"ip": address}]}
        await self._client.merge_patch(kinds.POD, SPACE, name, {"status": status}, subresource="status")

    async def _answer(self, service: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                table = self._tables.get(service) or ReleaseTable(service=service)
                body = b'{"ready":true,"checks":[]}' if b" /ready " in request else report(table).to_json().encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        writer.close()

    def close(self) -> None:
        """Stop answering."""
        for server in self._servers.values():
            server.close()


@contextlib.asynccontextmanager
async def nodes(client: Client) -> AsyncIterator[NodesDouble]:
    """Running, until the end."""
    double = NodesDouble(client)
    task = asyncio.create_task(double.run())
    try:
        yield double
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        double.close()
