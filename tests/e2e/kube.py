"""A small view of the bench for end-to-end tests: kubectl by subprocess, HTTP by urllib."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
Json = dict[str, Any]


def wait_for(what: str, probe: Callable[[], T | None], seconds: float, pause: float = 0.2) -> T:
    """Poll until the probe gives something true. Raises AssertionError naming `what` and the last answer."""
    deadline = time.monotonic() + seconds
    last: T | None = None
    while True:
        last = probe()
        if last:
            return last
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s; last seen: {last!r}")
        time.sleep(pause)


@dataclass(frozen=True)
class Kube:
    """kubectl bound to one kubeconfig and one namespace."""

    kubectl_path: str
    kubeconfig: str
    namespace: str

    def run(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl and return what it printed. Raises AssertionError with its error text."""
        command = [self.kubectl_path, "--kubeconfig", self.kubeconfig, "--namespace", self.namespace, *args]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *objects: Json) -> None:
        """Apply objects in this namespace by server-side apply, under strict validation."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.run("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", stdin=text)

    def get(self, kind: str, name: str) -> Json | None:
        """One object, or None when it is not there."""
        text = self.run("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def list(self, kinds: str, selector: str = "") -> list[Json]:
        """All objects of the kinds (comma separated) that match the label selector."""
        items: list[Json] = json.loads(self.run("get", kinds, "-o", "json", "-l", selector))["items"]
        return items

    def patch(self, kind: str, name: str, change: Json) -> None:
        """JSON merge patch."""
        self.run("patch", kind, name, "--type=merge", "-p", json.dumps(change))

    def condition(self, name: str, kind: str) -> tuple[str, str, str]:
        """(status, reason, message) of one condition of a RagService; empty texts when absent."""
        service = self.get("ragservice", name) or {}
        for condition in service.get("status", {}).get("conditions", []):
            if condition["type"] == kind:
                return condition["status"], condition["reason"], condition["message"]
        return "", "", ""

    def wait_condition(
        self, name: str, kind: str, status: str, seconds: float, reason: str | None = None
    ) -> tuple[str, str, str]:
        """Wait until a condition of the current generation has the status (and reason). Raises with all conditions."""

        def reached() -> tuple[str, str, str] | None:
            service = self.get("ragservice", name) or {}
            state = service.get("status", {})
            if state.get("observedGeneration") != service.get("metadata", {}).get("generation"):
                return None
            found = self.condition(name, kind)
            return found if found[0] == status and reason in (None, found[1]) else None

        try:
            return wait_for(f"{name} {kind}={status}/{reason or '*'}", reached, seconds)
        except AssertionError as error:
            service = self.get("ragservice", name) or {}
            rows = [
                f"  {c['type']}={c['status']} {c['reason']}: {c['message']}"
                for c in service.get("status", {}).get("conditions", [])
            ]
            pods = self.run("get", "pods", "-o", "wide", check=False)
            raise AssertionError("\n".join([str(error), *rows, pods])) from None

    def secret(self, name: str, key: str) -> str:
        """One value of a Secret, decoded."""
        return self.run(
            "get", "secret", name, "-o", f"go-template={{{{index .data {json.dumps(key)} | base64decode}}}}"
        )

    def stream(self, url: str, body: Json, key: str) -> str:
        """The whole text of a server-sent event stream."""
        request = urllib.request.Request(
            url,
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json", "authorization": f"Bearer {key}"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            text: str = response.read().decode()
            return text

    def service_address(self, name: str) -> str:
        """http://<cluster IP>:<port> of a Service; the bench's node is this machine, so it is reachable."""
        service = self.get("service", name)
        assert service, f"no Service {name}"
        return f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, headers in lower case, body parsed as JSON."""

    status: int
    headers: dict[str, str]
    body: Json


def http(
    url: str, *, body: Json | None = None, key: str | None = None, timeout: float = 10, method: str | None = None
) -> Answer:
    """One request; POST when there is a body and no method is given. HTTP errors are answers, connection errors raise OSError."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return _answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.headers, error.read())


def _answer(status: int, headers: Any, body: bytes) -> Answer:
    return Answer(status, {k.lower(): v for k, v in headers.items()}, json.loads(body or b"{}"))
