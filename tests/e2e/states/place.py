"""One service in one namespace, with requests quick enough to measure by."""

import http.client
import json
import ssl
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from tests.cluster.fixtures import Cluster

Json = dict[str, Any]

GROUPS = {
    "ragservices": "/apis/ragserving.dev/v1alpha1",
    "deployments": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "jobs": "/apis/batch/v1",
    "events": "/apis/events.k8s.io/v1",
    "storageclasses": "/apis/storage.k8s.io/v1",
    "validatingadmissionpolicies": "/apis/admissionregistration.k8s.io/v1",
    "validatingadmissionpolicybindings": "/apis/admissionregistration.k8s.io/v1",
}
CLUSTER_WIDE = frozenset(
    {"namespaces", "nodes", "storageclasses", "validatingadmissionpolicies", "validatingadmissionpolicybindings"}
)
MERGE, APPLY, STRATEGIC, PLAIN = (
    "application/merge-patch+json",
    "application/apply-patch+yaml",
    "application/strategic-merge-patch+json",
    "application/json",
)


class Server:
    """The API server as its administrator: one kept connection for each thread."""

    def __init__(self, cluster: Cluster) -> None:
        authority = cluster.control_plane.authority
        self._context = ssl.create_default_context(cafile=str(authority.certificate))
        self._context.load_cert_chain(*map(str, authority.issue("admin", "/O=system:masters/CN=admin")))
        self._host = urlsplit(cluster.server).netloc
        self._own = threading.local()

    def send(self, method: str, path: str, body: object | None = None, kind: str = PLAIN) -> tuple[int, Json]:
        """HTTP status and parsed answer; a broken connection is made anew once."""
        data = None if body is None else json.dumps(body)
        for attempt in (0, 1):
            if not hasattr(self._own, "connection"):
                self._own.connection = http.client.HTTPSConnection(self._host, context=self._context, timeout=30)
            try:
                self._own.connection.request(method, path, data, {"Content-Type": kind, "User-Agent": "states"})
                answer = self._own.connection.getresponse()
                return answer.status, json.loads(answer.read() or b"{}")
            except (http.client.HTTPException, OSError):
                self.close()
                if attempt:
                    raise
        raise AssertionError

    def close(self) -> None:
        """End this thread's connection."""
        if hasattr(self._own, "connection"):
            self._own.connection.close()
            del self._own.connection


class Place:
    """A RagService called `name` in `namespace`."""

    def __init__(self, server: Server, namespace: str, name: str) -> None:
        self.server = server
        self.namespace = namespace
        self.name = name

    def path(self, plural: str, name: str = "", query: str = "") -> str:
        """Path of a collection or an object."""
        scope = "" if plural in CLUSTER_WIDE else f"/namespaces/{self.namespace}"
        whole = f"{GROUPS.get(plural, '/api/v1')}{scope}/{plural}" + (f"/{name}" if name else "")
        return f"{whole}?{query}" if query else whole

    def get(self, plural: str, name: str) -> Json | None:
        """An object, or None."""
        status, body = self.server.send("GET", self.path(plural, name))
        return body if status == 200 else None

    def list(self, plural: str, component: str = "") -> list[Json]:
        """Objects of the service; events: all of the namespace."""
        selector = f"labelSelector=ragserving.dev/service%3D{self.name}" if plural != "events" else ""
        if component:
            selector += f",app.kubernetes.io/component%3D{component}"
        status, body = self.server.send("GET", self.path(plural, query=selector))
        assert status == 200, body
        return list(body["items"])

    def put(self, plural: str, body: Json) -> Json:
        """Server-side apply as the test."""
        name = body["metadata"]["name"]
        status, answer = self.server.send(
            "PATCH", self.path(plural, name, "fieldManager=states&force=true"), body, APPLY
        )
        assert status in {200, 201}, answer
        return answer

    def patch(self, plural: str, name: str, change: Json) -> None:
        """JSON merge patch, as by hand."""
        status, answer = self.server.send("PATCH", self.path(plural, name), change, MERGE)
        assert status == 200, answer

    def delete(self, plural: str, name: str, grace: int | None = None) -> None:
        """Delete; that it is gone already is as good."""
        options: Json = {"propagationPolicy": "Background"} | ({} if grace is None else {"gracePeriodSeconds": grace})
        status, answer = self.server.send("DELETE", self.path(plural, name), options)
        assert status in {200, 202, 404}, answer

    def edit(self, **spec: Any) -> None:
        """A user's edit of the service; None removes a field."""
        self.patch("ragservices", self.name, {"spec": spec})

    def service(self) -> Json:
        """The RagService."""
        return self.get("ragservices", self.name) or {}

    def conditions(self) -> dict[str, Json]:
        """All conditions of the current generation; none while the status is about another."""
        body = self.service()
        status = body.get("status") or {}
        if not body or status.get("observedGeneration") != body["metadata"]["generation"]:
            return {}
        return {condition["type"]: condition for condition in status["conditions"]}

    def is_ready(self) -> bool:
        """Ready is True for the current generation."""
        return self.conditions().get("Ready", {}).get("status") == "True"


def until(what: str, probe: Any, seconds: float, pause: float = 0.1) -> float:
    """Seconds until the probe gave something true. Raises AssertionError."""
    started = time.monotonic()
    while not probe():
        assert time.monotonic() - started < seconds, f"{what}: not within {seconds:.0f} s"
        time.sleep(pause)
    return time.monotonic() - started
