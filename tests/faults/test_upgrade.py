"""Two builds of the operator take turns with one service: neither restarts what the other started, and nothing is released.

    this checkout --> another build (`builds.py`) --> a rollback, an edit by the user --> this checkout again --> an edit by the user

Each is a process of its own against a real API server; every write goes through a proxy that remembers it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rag_operator import names
from rag_operator.settings import PACKAGE_VERSION

from tests.cluster.fixtures import PrivateControlPlane
from tests.control_plane.reconcile.harness import Json, Kube, until

from .builds import NEW_VARIABLE, ROOT, Build, make
from .life import Process, World, ended

pytestmark = pytest.mark.control_plane
SERVICE = "kept"
NEWER = "99.0.0"
STATUS = "apply ragservices/status"
"""That a component would be rendered otherwise now is told in the status: the one write that an upgrade makes."""
READY_PERIOD, NEWER_READY_PERIOD = 2, 3


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The next release."""
    return make(tmp_path_factory.mktemp("newer"), NEWER, "example.com/api:99")


@pytest.fixture(scope="module")
def older() -> Build:
    """This checkout."""
    return Build(ROOT / "operator", f"rag-operator/api:{PACKAGE_VERSION}")


@pytest.fixture
def lived(stage: World, plane: PrivateControlPlane) -> Iterator[World]:
    """A service with two revisions that has settled."""
    stage.create(SERVICE)
    stage.served([SERVICE], 1)
    stage.change(SERVICE)
    stage.served([SERVICE], 2)
    settle(stage)
    yield stage
    stage.process.stop()
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "crds"))


def settle(stage: World) -> None:
    """Its Jobs have ended and nothing is written any more."""
    until(lambda: all(ended(job) for job in stage.kube.list("Job", SERVICE)), 60)
    stage.quiet()


class Turn:
    """One build's time at the service. What it wrote, and which statuses it told, from its start on."""

    def __init__(self, stage: World, plane: PrivateControlPlane, build: Build, folder: Path) -> None:
        self._stage = stage
        stage.process.stop()
        folder.mkdir()
        crds = build.crds(folder / "crds")
        plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=crds)
        self._before = len(stage.proxy.sent(SERVICE))
        stage.process = Process(
            stage.proxy, stage.kube.namespace, folder, build=str(build.folder), api_image=build.image
        )
        stage.process.start()

    def told(self, outdated: list[str]) -> None:
        """Wait until the status lists these components, and all is quiet."""
        until(lambda: told(self._stage.kube).get("outdated", []) == outdated, 60)
        settle(self._stage)

    @property
    def writes(self) -> list[str]:
        """What it wrote, events apart: they are counted up as they come."""
        sent = self._stage.proxy.sent(SERVICE)[self._before :]
        return [write.what for write in sent if not write.what.endswith("events")]

    @property
    def readiness(self) -> set[str]:
        """Every Ready that it told."""
        sent = [write for write in self._stage.proxy.sent(SERVICE)[self._before :] if write.what == STATUS]
        statuses = [json.loads(write.body)["status"] for write in sent]
        return {c["status"] for status in statuses for c in status["conditions"] if c["type"] == "Ready"}


def told(kube: Kube) -> Json:
    """`status.release`."""
    found: Json = ((kube.get("RagService", SERVICE) or {}).get("status") or {}).get("release") or {}
    return found


def running(kube: Kube) -> dict[str, Any]:
    """Children, their generations and templates, the pods, and the revisions as they were released."""
    found: dict[str, Any] = {"pods": {pod["metadata"]["uid"] for pod in kube.list("Pod", SERVICE)}}
    for (kind, name), child in kube.children(SERVICE).items():
        spec, metadata = child.get("spec") or {}, child["metadata"]
        content = spec if kind == "RagRevision" else spec.get("template", child.get("data"))
        found[f"{kind} {name}"] = metadata["uid"], metadata.get("generation"), content
    return found


def template(kube: Kube, kind: str, name: str) -> Json:
    """The pod template of a child."""
    body = kube.get(kind, name)
    assert body is not None
    found: Json = body["spec"]["template"]
    return found


def container(kube: Kube, kind: str = "Deployment", name: str = names.api(SERVICE)) -> Json:
    """The container of a child's pods."""
    (found,) = template(kube, kind, name)["spec"]["containers"]
    return dict(found)


def settings(kube: Kube) -> Json:
    """What the API pods are told."""
    name = container(kube)["envFrom"][0]["configMapRef"]["name"]
    body = kube.get("ConfigMap", name)
    assert body is not None
    return dict(body["data"])


def limit(stage: World, requests: int) -> None:
    """The user edits what the API's template is made of, and waits for it."""
    edit = {"spec": {"api": {"limits": {"maxConcurrentRequests": requests}}}}
    generation = stage.kube.patch("RagService", SERVICE, edit)["metadata"]["generation"]

    def seen() -> bool:
        status = (stage.kube.get("RagService", SERVICE) or {})["status"]
        return bool(status["observedGeneration"] == generation)

    until(seen, 60)
    stage.served([SERVICE], 2)
    settle(stage)


def test_two_builds_of_the_operator_restart_and_release_nothing_of_each_other(
    lived: World, plane: PrivateControlPlane, older: Build, newer: Build, tmp_path: Path
) -> None:
    kube = lived.kube
    before = running(kube)

    upgraded = Turn(lived, plane, newer, tmp_path / "newer")
    upgraded.told(["api", "qdrant"])
    assert [STATUS] == upgraded.writes
    assert {"True"} == upgraded.readiness
    assert before == running(kube)

    back_and_forward(lived)
    store = template(kube, "StatefulSet", names.qdrant(SERVICE))
    released = of_kind(running(kube), "RagRevision")
    limit(lived, 8)
    assert NEWER_READY_PERIOD == container(kube)["readinessProbe"]["periodSeconds"]
    assert (newer.image, True) == (container(kube)["image"], NEW_VARIABLE in settings(kube)), "they belong together"
    assert store == template(kube, "StatefulSet", names.qdrant(SERVICE))
    assert ["qdrant"] == told(kube)["outdated"]
    after_edit = running(kube)
    assert released == of_kind(after_edit, "RagRevision")

    back = Turn(lived, plane, older, tmp_path / "older")
    back.told(["api"])
    assert [STATUS] == back.writes
    assert {"True"} == back.readiness
    assert after_edit == running(kube)

    limit(lived, 16)
    assert READY_PERIOD == container(kube)["readinessProbe"]["periodSeconds"]
    assert (older.image, False) == (container(kube)["image"], NEW_VARIABLE in settings(kube))
    assert "outdated" not in told(kube)
    assert released == of_kind(running(kube), "RagRevision")


def back_and_forward(stage: World) -> None:
    """To a prompt that was never released with this index, and forward again: by the pods that run, as they are."""
    before, kube = running(stage.kube), stage.kube
    kube.patch("RagService", SERVICE, {"spec": {"rollback": {"prompt": "answer-v1"}}})
    stage.served([SERVICE], 3)
    settle(stage)
    gone_back = running(kube)
    unmoved = before.keys() - {f"ConfigMap {names.releases(SERVICE)}"}
    assert {name: before[name] for name in unmoved} == {name: gone_back[name] for name in unmoved}
    assert ["api", "qdrant"] == told(kube)["outdated"]
    assert [PACKAGE_VERSION, PACKAGE_VERSION, NEWER] == [made(kube, number)["renderVersion"] for number in (1, 2, 3)]
    assert made(kube, 2)["image"] == made(kube, 3)["image"], "it is asked of the pods of before"
    kube.patch("RagService", SERVICE, {"spec": {"rollback": None}})
    stage.served([SERVICE], 2)
    settle(stage)
    assert gone_back.keys() == running(kube).keys()
    assert {name: before[name] for name in unmoved} == {name: running(kube)[name] for name in unmoved}


def made(kube: Kube, number: int) -> Json:
    """The record of that number."""
    body = kube.get("RagRevision", names.revision(SERVICE, number))
    assert body is not None
    return dict(body["spec"])


def of_kind(state: dict[str, Any], kind: str) -> dict[str, Any]:
    """Those children of a state."""
    return {name: what for name, what in state.items() if name.startswith(f"{kind} ")}
