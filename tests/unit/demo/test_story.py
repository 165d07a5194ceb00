"""What an interrupted demonstration takes back: what it began, and nothing that was there before."""

import dataclasses
import io
from collections.abc import Callable

import pytest

from tests.demo.kubectl import Json, Kubectl
from tests.demo.place import Place
from tests.demo.screen import DemoError, Screen
from tests.demo.story import Story, created_to_ready


@dataclasses.dataclass(frozen=True)
class KubectlDouble(Kubectl):
    """Records what it is asked to run; objects named in `existing` are there."""

    existing: frozenset[str] = frozenset()
    ran: list[str] = dataclasses.field(default_factory=list)
    interrupt_at: str = "never"

    def run(self, *args: str, stdin: str | None = None, seconds: float = 60) -> str:
        line = " ".join(args)
        self.ran.append(line)
        if line.startswith(self.interrupt_at):
            raise KeyboardInterrupt
        return ""

    def works(self, *args: str, seconds: float = 5) -> bool:
        return True

    def get(self, *args: str) -> Json | None:
        name = args[1]
        return {"metadata": {"name": name}} if name in self.existing else None


@dataclasses.dataclass(frozen=True)
class PlaceDouble(Place):
    """A cluster that answers after `up`; its commands are recorded."""

    called: list[str] = dataclasses.field(default_factory=list)
    running: bool = False
    interrupt_at: str = "never"
    tool: KubectlDouble = dataclasses.field(default_factory=lambda: KubectlDouble({}, "."))

    def bench(self, *args: str) -> None:
        self.called.append(args[0])
        if args[0] == self.interrupt_at:
            raise KeyboardInterrupt

    def answers(self) -> bool:
        return self.running or "up" in self.called

    def kubectl(self) -> Kubectl:
        return self.tool

    def manifest(self) -> str:
        return "kind: Deployment\nspec: {template: {metadata: {}}}\n"


def tell(place: PlaceDouble) -> Callable[[], None]:
    return lambda: Story(place, Screen(io.StringIO())).tell(deploy_only=False)


def test_a_cluster_that_this_run_started_is_stopped_again() -> None:
    place = PlaceDouble("bench", {}, interrupt_at="images")
    with pytest.raises(KeyboardInterrupt):
        tell(place)()
    assert place.called == ["up", "images", "down"]


def test_a_cluster_that_ran_before_goes_on() -> None:
    place = PlaceDouble("bench", {}, interrupt_at="images", running=True)
    with pytest.raises(KeyboardInterrupt):
        tell(place)()
    assert place.called == ["up", "images"]


def test_an_operator_that_this_run_installed_is_removed_again() -> None:
    tool = KubectlDouble({}, ".", interrupt_at="rollout")
    place = PlaceDouble("bench", {}, running=True, tool=tool)
    with pytest.raises(KeyboardInterrupt):
        tell(place)()
    assert any(line.startswith("delete --ignore-not-found") for line in tool.ran)


def test_an_operator_that_was_there_stays() -> None:
    tool = KubectlDouble({}, ".", existing=frozenset({"rag-operator-system"}), interrupt_at="rollout")
    place = PlaceDouble("bench", {}, running=True, tool=tool)
    with pytest.raises(KeyboardInterrupt):
        tell(place)()
    assert [line for line in tool.ran if line.startswith("delete")] == []


def test_no_cluster_is_a_clear_failure() -> None:
    @dataclasses.dataclass(frozen=True)
    class Silent(PlaceDouble):
        def answers(self) -> bool:
            return False

    with pytest.raises(DemoError, match="no API server answers"):
        tell(Silent("current", {}))()


def test_the_time_to_ready_comes_from_the_api_servers_own_times() -> None:
    ready = {"type": "Ready", "lastTransitionTime": "2026-01-02T03:04:25Z"}
    service = {"metadata": {"creationTimestamp": "2026-01-02T03:04:05Z"}, "status": {"conditions": [ready]}}
    assert created_to_ready(service) == "created to Ready: 20 s"
