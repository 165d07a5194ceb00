"""While a service is edited and broken at random, every Ready=True is put to the test: POST /query through the Service must answer
200 from exactly the revision, prompt and index that the status names.

A sample is (status before, answer, status after). It counts when both statuses are the same Ready=True of the current
generation. A status cannot know a fact sooner than Kubernetes tells it, so a bad answer is held against it only when it still
says the same a second later; how late it was is printed.
"""

import contextlib
import json
import random
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import pytest

from tests.cluster.fixtures import Cluster

from .kube import Kube
from .objects import QUESTION, REFUSAL
from .states.parts import documents, make
from .states.place import Place, Server

pytestmark = pytest.mark.node

SECONDS = 40.0
SEED = 20261121
LAG = 1.0
NAME = "honest"


class Claims(Protocol):
    """Where claims are read."""

    def service(self) -> dict[str, Any]:
        """The RagService as stored."""


class Claim(NamedTuple):
    """What a status says of the current generation when it says True."""

    generation: int
    revision: int
    prompt: str
    documents: str


@dataclass
class Tally:
    """What was seen. `lies` are the claims that a request refuted; `lags` the seconds by which one was late."""

    claims: int = 0
    right: int = 0
    moved: int = 0
    denied: int = 0
    lies: list[str] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    answers: set[Claim] = field(default_factory=set)


def claim_of(place: Claims) -> Claim | None:
    """The claim, or None while Ready is not True for the current generation."""
    body = place.service()
    status, generation = body.get("status") or {}, body["metadata"]["generation"]
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    if not ready or status["observedGeneration"] != generation:
        return None
    return Claim(generation, status["revision"], status["prompt"], status["index"])


def ask(url: str, key: str) -> tuple[int, dict[str, Any]]:
    """One question; a connection that fails is status 0."""
    body = json.dumps({"question": QUESTION}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {"error": error.read().decode()[:200]}
    except OSError as error:
        return 0, {"error": str(error)}


def agrees(claim: Claim, status: int, body: dict[str, Any]) -> bool:
    """The answer is the one that was claimed."""
    said = (body.get("revision"), body.get("prompt_version"), body.get("index_version"))
    return status == 200 and said == claim[1:]


def sample(place: Claims, asked: Callable[[], tuple[int, dict[str, Any]]], tally: Tally) -> None:
    """One claim put to the test."""
    before = claim_of(place)
    if before is None:
        tally.denied += 1
        return
    status, body = asked()
    answered, after = time.monotonic(), claim_of(place)
    tally.claims += 1
    if agrees(before, status, body):
        tally.right += 1
        tally.answers.add(before)
    elif after != before:
        tally.moved += 1
    else:
        _wait_for_truth(place, before, answered, tally, f"{before} but {status} {body}")


def _wait_for_truth(place: Claims, claim: Claim, answered: float, tally: Tally, words: str) -> None:
    while time.monotonic() - answered < LAG:
        if claim_of(place) != claim:
            tally.lags.append(time.monotonic() - answered)
            return
        time.sleep(0.02)
    tally.lies.append(words)


class Trouble:
    """Random edits, one at a time; some users', some by hand on children, some kills."""

    def __init__(self, place: Place, seed: int) -> None:
        self._place = place
        self._random = random.Random(seed)
        self._version = 1
        self.counts: dict[str, int] = {}
        self._acts: tuple[tuple[str, Callable[[], None], float], ...] = (
            ("prompt", self._prompt, 1.5),
            ("prompt", self._prompt, 0.0),
            ("back", self._back, 1.5),
            ("retrieval", self._retrieval, 1.0),
            ("index", self._index, 5.0),
            ("replicas", self._replicas, 4.0),
            ("bad prompt", self._reused, 1.0),
            ("child", self._child, 1.0),
            ("table", self._table, 1.0),
            ("api pod", lambda: self._kill("api"), 5.0),
            ("store pod", lambda: self._kill("qdrant"), 6.0),
        )

    def run(self, seconds: float) -> None:
        """Make trouble for that long, then leave a spec that can be carried out."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            name, act, pause = self._random.choice(self._acts)
            act()
            self.counts[name] = self.counts.get(name, 0) + 1
            time.sleep(pause + self._random.uniform(0, 1.0))
        self._prompt()

    def _new(self) -> str:
        self._version += 1
        return f"v{self._version}"

    def _prompt(self) -> None:
        version = self._new()
        self._place.edit(prompt={"version": f"answer-{version}", "refusal": f"No source says so ({version})."})

    def _back(self) -> None:
        self._place.edit(prompt={"version": "answer-v1", "refusal": REFUSAL})

    def _reused(self) -> None:
        self._place.edit(prompt={"version": "answer-v1", "refusal": "Other words under an old name."})

    def _retrieval(self) -> None:
        self._place.edit(retrieval={"topK": self._random.randint(2, 9)})

    def _index(self) -> None:
        size = self._random.randrange(600, 1600, 10)
        self._place.edit(index={"version": f"docs-{self._new()}", "chunking": {"maxCharacters": size}})

    def _replicas(self) -> None:
        self._place.edit(api={"replicas": self._random.choice((1, 2))})

    def _child(self) -> None:
        plural, name, change = self._random.choice(
            (
                ("deployments", f"{NAME}-api", {"spec": {"replicas": 3}}),
                ("services", f"{NAME}-api", {"spec": {"selector": {"app.kubernetes.io/component": "gone"}}}),
                ("services", f"{NAME}-qdrant", {"spec": {"selector": {"app.kubernetes.io/component": "gone"}}}),
            )
        )
        self._place.patch(plural, name, change)

    def _table(self) -> None:
        self._place.patch("configmaps", f"{NAME}-releases", {"data": {"releases.json": "{}"}})

    def _kill(self, component: str) -> None:
        pods = self._place.list("pods", component)
        if pods:
            self._place.delete("pods", self._random.choice(pods)["metadata"]["name"], grace=1)


@pytest.fixture
def server(node_cluster: Cluster) -> Iterator[Server]:
    """Requests of this thread; other threads end their own connection."""
    with contextlib.closing(Server(node_cluster)) as server:
        yield server


def test_ready_is_true_only_when_a_question_is_answered_as_declared(module_kube: Kube, server: Server) -> None:
    place = Place(server, module_kube.namespace, NAME)
    documents()(place)
    make(place, {"api": {"auth": {"mode": "APIKey"}, "limits": {"requestsPerMinute": 0}}})
    module_kube.wait_condition(NAME, "Ready", "True", 120)
    url, key = (
        f"{module_kube.service_address(f'{NAME}-api')}/query",
        module_kube.secret(f"{NAME}-client-key", "api-key"),
    )
    tally, stop = Tally(), threading.Event()
    failures: list[BaseException] = []

    def watch() -> None:
        try:
            while not stop.wait(0.02):
                sample(place, lambda: ask(url, key), tally)
        except BaseException as error:
            failures.append(error)
        finally:
            server.close()

    watchers = [threading.Thread(target=watch, daemon=True) for _ in range(2)]
    trouble = Trouble(place, SEED)
    for watcher in watchers:
        watcher.start()
    with contextlib.ExitStack() as after:
        after.callback(stop.set)
        trouble.run(SECONDS)
        module_kube.wait_condition(NAME, "Ready", "True", 120)
        time.sleep(2)
    for watcher in watchers:
        watcher.join(timeout=10)
    _print(tally, trouble)
    assert [] == failures
    assert [] == tally.lies
    assert tally.denied > 20
    assert tally.right > 100
    assert len(tally.answers) > 3


def _print(tally: Tally, trouble: Trouble) -> None:
    late = f"latest {max(tally.lags):.2f} s" if tally.lags else "none"
    sys.stderr.write(
        f"\nseed {SEED}, edits {dict(sorted(trouble.counts.items()))}\n"
        f"claims {tally.claims}: right {tally.right} of {len(tally.answers)} releases and generations,"
        f" overtaken {tally.moved}, late {len(tally.lags)} ({late}), lies {len(tally.lies)}; not Ready {tally.denied}\n"
    )
    for lie in tally.lies[:10]:
        sys.stderr.write(f"  {lie}\n")
