"""An API server of these tests' own, with the CRDs and no operator: what is refused is refused by the server alone."""

import http.client
import json
import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.cluster.fixtures import PrivateControlPlane, new_control_plane
from tests.cluster.settings import from_environment

ROOT = Path(__file__).parents[3]
SERVICES = "/apis/ragserving.dev/v1alpha1/namespaces/default/ragservices"
REVISIONS = "/apis/ragserving.dev/v1alpha1/namespaces/default/ragrevisions"


class Answer(NamedTuple):
    """HTTP status and parsed body."""

    status: int
    body: dict[str, Any]

    @property
    def message(self) -> str:
        """What the server says; empty when it took the object."""
        return str(self.body.get("message", "")) if self.status >= 400 else ""


class Server:
    """One kept connection to the API server, as its administrator."""

    def __init__(self, plane: PrivateControlPlane) -> None:
        authority = plane.control_plane.authority
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.load_cert_chain(*map(str, authority.issue("admin", "/O=system:masters/CN=admin")))
        self._connection = http.client.HTTPSConnection(urlsplit(plane.server).netloc, context=context, timeout=30)
        self._lock = threading.Lock()

    def send(self, method: str, path: str, body: object | None = None, kind: str = "application/json") -> Answer:
        """One request; unknown fields are refused, as kubectl asks for by default."""
        mark = "&" if "?" in path else "?"
        strict = f"{path}{mark}fieldValidation=Strict"
        with self._lock:
            self._connection.request(method, strict, None if body is None else json.dumps(body), {"Content-Type": kind})
            answer = self._connection.getresponse()
            return Answer(answer.status, json.loads(answer.read()))

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def try_create(self, body: dict[str, Any], path: str = SERVICES) -> Answer:
        """Create without storing anything."""
        return self.send("POST", f"{path}?dryRun=All", body)


@pytest.fixture(scope="package")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateControlPlane]:
    """etcd and API server, with the CRDs of the checkout."""
    settings = from_environment(os.environ)
    with new_control_plane(settings, tmp_path_factory.mktemp("crd")) as plane:
        plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield plane


@pytest.fixture(scope="package")
def server(plane: PrivateControlPlane) -> Iterator[Server]:
    """The API server."""
    server = Server(plane)
    yield server
    server.close()
