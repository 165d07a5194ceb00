"""A pass that ends in an error that nobody foresaw: this one service says so, and the others go on."""

import json
import re
import time

import pytest

from tests.control_plane.reconcile.harness import config_map, rag_service, until

from .life import World

pytestmark = pytest.mark.control_plane
BAD, GOOD = "bad", "good"


def test_only_the_service_that_meets_the_bug_is_unknown(stage: World) -> None:
    """The answer to a read is an object that no API server gives, on which the code fails."""
    kube, proxy = stage.kube, stage.proxy
    kube.create("ConfigMap", config_map("odd"))
    path = f"/api/v1/namespaces/{kube.namespace}/configmaps/odd"
    proxy.garbled.add(path)
    body = rag_service(BAD)
    body["spec"]["index"]["documents"]["configMapRef"]["name"] = "odd"
    kube.create("RagService", body)
    until(lambda: kube.condition(BAD) == ("Unknown", "InternalError"))
    started = time.monotonic()
    stage.create(GOOD)
    stage.served([GOOD], 1)

    message = next(c for c in kube.get("RagService", BAD)["status"]["conditions"] if c["type"] == "Ready")["message"]  # type: ignore[index]
    found = re.search(r"fault ([0-9a-f]{8})", message)
    assert found is not None
    lines = [json.loads(line) for line in stage.process.log.read_bytes().splitlines() if line.startswith(b"{")]
    logged = [line for line in lines if line.get("fault") == found[1]]
    assert logged[0]["object"] == f"{kube.namespace}/{BAD}"
    assert "Traceback" in logged[0]["error"]
    assert len(logged[0]["reconcile"]) == 8

    time.sleep(max(0.0, 4.0 - (time.monotonic() - started)))
    tries = proxy.requests["get configmaps"]
    reports = [write for write in proxy.sent(BAD) if write.what == "apply ragservices/status"]
    assert 3 <= tries <= 12, "it backs off"
    assert len(reports) == 1, "and says it once"
    assert stage.process.runs

    proxy.garbled.clear()
    stage.served([BAD], 1)
