"""Going back and forward on real containers: every API pod is asked at its own address, and none may be started anew."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.bench.processes import pod_processes

from .kube import Json, Kube, http, wait_for
from .objects import QUESTION, UNANSWERABLE, documents, rag_service
from .test_install import leader

pytestmark = pytest.mark.node

PODS = "ragserving.dev/service=faq,app.kubernetes.io/component=api"
REFUSALS = {"answer-v1": "That is not in the documents.", "answer-v2": "No source says so."}
DAYS = {"docs-v1": "14 days", "docs-v2": "15 days"}
SOON = 15.0
"""Patience on a busy machine; how fast it is on a quiet one is measured by `make bench-rollback`."""


class Served(NamedTuple):
    """What one pod answers from: as it says, and as its words show."""

    revision: int
    prompt: str
    documents: str


V1, V2 = Served(1, "answer-v1", "docs-v1"), Served(3, "answer-v2", "docs-v2")
FORMER_PROMPT = Served(4, "answer-v1", "docs-v2")
"""The prompt gone back to: the first test makes this combination."""


def content(served: Served) -> Json:
    """The parts of the spec that make a release, as they stand in git."""
    return {
        "prompt": {"version": served.prompt, "system": "Answer.", "refusal": REFUSALS[served.prompt]},
        "index": {"version": served.documents, "documents": {"configMapRef": {"name": served.documents}}},
    }


@pytest.fixture(scope="module")
def faq(module_kube: Kube) -> Kube:
    """A service with two API pods that has released a second prompt, then a second index."""
    kube = module_kube
    more = "# Leave\n\nA full-time employee gets 15 days of annual leave a year.\n"
    service = rag_service(api={"replicas": 2, "limits": {"requestsPerMinute": 0}}, **content(V1))
    kube.apply(documents("docs-v1"), documents("docs-v2", leave_en_md=more), service)
    kube.wait_condition("faq", "Ready", "True", 120)
    for part, value in content(V2).items():
        edit(kube, {part: value})
        kube.wait_condition("faq", "Ready", "True", 60)
    return kube


def edit(kube: Kube, change: Json) -> None:
    """A merge patch of the spec."""
    kube.patch("ragservice", "faq", {"spec": change})


def pods(kube: Kube) -> list[Json]:
    """The API pods that are not on their way out."""
    return [pod for pod in kube.list("pods", PODS) if "deletionTimestamp" not in pod["metadata"]]


def started(kube: Kube) -> dict[str, int]:
    """uid -> restarts of the API pods."""
    return {p["metadata"]["uid"]: p["status"]["containerStatuses"][0]["restartCount"] for p in pods(kube)}


def index_jobs(kube: Kube) -> set[str]:
    """uids of the Jobs that build indexes. Those that sweep come and go with each switch."""
    jobs = kube.list("jobs", "ragserving.dev/service=faq,app.kubernetes.io/component=index")
    return {job["metadata"]["uid"] for job in jobs}


def asked(pod: Json, key: str, question: str) -> dict[str, Any]:
    """The answer of one pod."""
    return http(f"http://{pod['status']['podIP']}:8000/query", body={"question": question}, key=key).body


def serves(pod: Json, key: str) -> Served:
    """By what it says of itself. That its words are of this release too is `check_words`."""
    body = asked(pod, key, QUESTION)
    return Served(body["revision"], body["prompt_version"], body["index_version"])


def check_words(pod: Json, key: str, wanted: Served) -> None:
    """The refusal comes from the prompt, the fact from the index."""
    assert REFUSALS[wanted.prompt] == asked(pod, key, UNANSWERABLE)["answer"]
    assert DAYS[wanted.documents] in asked(pod, key, QUESTION)["answer"]


def moved(kube: Kube, wanted: Served, seconds: float = SOON, chosen: list[Json] | None = None) -> None:
    """Every one of the pods answers from the release, within the time, and the status says so soon after."""
    key, these = kube.secret("faq-client-key", "api-key"), chosen or pods(kube)
    wait_for(f"all pods serve {wanted}", lambda: {wanted} == {serves(pod, key) for pod in these}, seconds, 0.05)
    for pod in these:
        check_words(pod, key, wanted)


def settled(kube: Kube, wanted: Served, seconds: float = 20) -> Json:
    """Ready, and the status names the release: the status."""
    kube.wait_condition("faq", "Ready", "True", seconds)
    status: Json = (kube.get("ragservice", "faq") or {})["status"]
    assert wanted == Served(status["revision"], status["prompt"], status["index"])
    return status


@pytest.mark.parametrize(
    ("rollback", "wanted"),
    [
        ({"prompt": "answer-v1"}, FORMER_PROMPT),
        ({"index": "docs-v1"}, Served(2, "answer-v2", "docs-v1")),
        ({"revision": 1}, V1),
    ],
    ids=["prompt", "index", "revision"],
)
def test_the_overlay_goes_back_and_its_removal_forward(faq: Kube, rollback: Json, wanted: Served) -> None:
    before, builds = started(faq), index_jobs(faq)
    edit(faq, {"rollback": rollback})
    moved(faq, wanted)
    assert "rollback" in settled(faq, wanted)["release"]["asked"]
    edit(faq, {"rollback": None})
    moved(faq, V2)
    settled(faq, V2)
    assert (before, builds) == (started(faq), index_jobs(faq))


def test_a_revert_in_git_goes_back_to_the_same_release(faq: Kube) -> None:
    before = started(faq)
    for target in (V1, V2):
        edit(faq, content(target))
        moved(faq, target)
        settled(faq, target)
    assert before == started(faq)


def test_an_unknown_target_is_refused_with_the_choice_while_the_old_serves(faq: Kube) -> None:
    edit(faq, {"rollback": {"index": "docs-v9"}})
    _, _, message = faq.wait_condition("faq", "SpecValid", "False", 10)
    assert all(name in message for name in ("docs-v9", "docs-v1", "docs-v2"))
    moved(faq, V2)
    edit(faq, {"rollback": None})
    settled(faq, V2)


def test_back_and_at_once_forward_again_ends_forward(faq: Kube) -> None:
    """The kubelet may be writing the one table while the other is asked for already: no pod may be left with it."""
    before = started(faq)
    for pause in (0.0, 0.1):
        edit(faq, {"rollback": {"prompt": "answer-v1"}})
        time.sleep(pause)
        edit(faq, {"rollback": None})
        time.sleep(1)
        moved(faq, V2)
    settled(faq, V2)
    assert before == started(faq)


@contextlib.contextmanager
def frozen(pod: Json) -> Iterator[None]:
    """Its processes stand still: connections are taken and never answered. Shorter than its liveness probe waits."""
    found = pod_processes(pod["metadata"]["uid"])
    assert found
    for process in found:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def test_a_pod_that_cannot_be_reached_makes_ready_unknown_and_is_moved_when_it_comes_back(faq: Kube) -> None:
    before = started(faq)
    stuck, *others = sorted(pods(faq), key=lambda pod: str(pod["metadata"]["name"]))
    with frozen(stuck):
        edit(faq, {"rollback": {"prompt": "answer-v1"}})
        _, _, message = faq.wait_condition("faq", "Ready", "Unknown", SOON, reason="ApiUnreachable")
        assert stuck["metadata"]["name"] in message
        moved(faq, FORMER_PROMPT, SOON, others)
    moved(faq, FORMER_PROMPT)
    settled(faq, FORMER_PROMPT)
    edit(faq, {"rollback": None})
    moved(faq, V2)
    settled(faq, V2)
    assert before == started(faq)


def holds(pod: Json) -> tuple[int, str]:
    """Revision and prompt that one pod would answer from, as it says itself: no store is needed for that."""
    (revision,) = http(f"http://{pod['status']['podIP']}:8000/models/current").body["revisions"]
    return revision["number"], revision["prompt"]["version"]


def test_the_prompt_goes_back_while_the_vector_store_is_down_and_serves_when_it_is_up(faq: Kube) -> None:
    before, these = started(faq), pods(faq)
    (store,) = faq.list("pods", "ragserving.dev/service=faq,app.kubernetes.io/component=qdrant")
    with frozen(store):
        faq.wait_condition("faq", "Ready", "False", 30)
        edit(faq, {"rollback": {"prompt": "answer-v1"}})
        wait_for("all pods hold the prompt", lambda: {FORMER_PROMPT[:2]} == {holds(pod) for pod in these}, SOON)
        assert "True" != faq.condition("faq", "Ready")[0]
    settled(faq, FORMER_PROMPT, 40)
    moved(faq, FORMER_PROMPT)
    edit(faq, {"rollback": None})
    moved(faq, V2)
    settled(faq, V2)
    assert before == started(faq)


def test_a_move_goes_on_when_the_operator_is_killed_in_it(faq: Kube, operator: Kube) -> None:
    """The other replica has to wait for the Lease of the killed one, fifteen seconds."""
    before = started(faq)
    leading = operator.get("pod", leader(operator))
    assert leading
    processes = pod_processes(leading["metadata"]["uid"])
    assert processes
    edit(faq, {"rollback": {"prompt": "answer-v1"}})
    for process in processes:
        os.kill(process, signal.SIGKILL)
    edit(faq, {"rollback": {"index": "docs-v1", "prompt": "answer-v1"}})
    moved(faq, V1, 60)
    settled(faq, V1)
    edit(faq, {"rollback": None})
    moved(faq, V2)
    settled(faq, V2)
    assert before == started(faq)
