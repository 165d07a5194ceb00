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
    check_history(kube, wanted, status)
    return status


def check_history(kube: Kube, wanted: Served, status: Json) -> None:
    """Of all that is kept, newest first, the one release serves, and nothing moves."""
    release, entries = status["release"], {entry["number"]: entry for entry in status["history"]}
    assert [wanted.revision] == [number for number, entry in entries.items() if entry.get("state") == "Serving"]
    serving = entries[wanted.revision]
    assert wanted[1:] == (serving["prompt"], serving["index"])
    assert release["since"] == serving["since"]
    kept = sorted((record["spec"]["number"] for record in kube.list("ragrevisions")), reverse=True)
    assert kept == list(entries)
    assert len(kept) == release["keptRevisions"]
    assert not {"movingTo", "waitingFor"} & release.keys()


def became(status: Json) -> dict[int, str]:
    """Number -> state of what is kept."""
    return {entry["number"]: entry["state"] for entry in status["history"]}


def event(kube: Kube, reason: str, words: str) -> None:
    """People are told, once it is so."""

    def told() -> bool:
        return any(one["reason"] == reason and words in one["message"] for one in kube.list("events"))

    wait_for(f"event {reason}: {words}", told, 10)


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
    before, builds, ((part, name),) = started(faq), index_jobs(faq), rollback.items()
    edit(faq, {"rollback": rollback})
    moved(faq, wanted)
    back = settled(faq, wanted)
    assert (f"rollback to {part} {name}", V2.revision) == (back["release"]["asked"], back["release"]["previous"])
    assert "RolledBack" == became(back)[V2.revision]
    event(faq, "RolledBack", f"{instead(wanted, V2)} It was asked for by spec.rollback: {part} {name}.")
    edit(faq, {"rollback": None})
    moved(faq, V2)
    forward = settled(faq, V2)
    assert ("spec", wanted.revision) == (forward["release"]["asked"], forward["release"]["previous"])
    assert ("RolledBack" if wanted.revision > V2.revision else "Superseded") == became(forward)[wanted.revision]
    event(faq, "Settled", instead(V2, wanted))
    assert (before, builds) == (started(faq), index_jobs(faq))


def instead(now: Served, before: Served) -> str:
    """What an event says of a move."""
    parts = zip(("prompt", "index"), now[1:], before[1:], strict=True)
    told = "".join(f"; {part} {new} instead of {old}" for part, new, old in parts if new != old)
    return f"Revision {now.revision} is served by every API pod, instead of revision {before.revision}{told}."


def sources(pod: Json, key: str) -> int:
    """From how many pieces a pod answers."""
    body = {"question": QUESTION, "include_trace": True}
    return len(http(f"http://{pod['status']['podIP']}:8000/query", body=body, key=key).body["trace"]["sources"])


def test_retrieval_goes_forward_and_back_without_a_new_pod(faq: Kube) -> None:
    before, key, these = started(faq), faq.secret("faq-client-key", "api-key"), pods(faq)
    (usual,) = {sources(pod, key) for pod in these}
    assert usual > 1

    def answered_from(wanted: int) -> None:
        wait_for(f"{wanted} sources", lambda: {wanted} == {sources(pod, key) for pod in these}, SOON, 0.05)
        faq.wait_condition("faq", "Ready", "True", 20)

    for change, wanted in (
        ({"retrieval": {"topK": 1}}, 1),
        ({"rollback": {"revision": V2.revision}}, usual),
        ({"rollback": None}, 1),
        ({"retrieval": None}, usual),
    ):
        edit(faq, change)
        answered_from(wanted)
    settled(faq, V2)
    assert before == started(faq)


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
        status = (faq.get("ragservice", "faq") or {})["status"]
        assert (V2.revision, FORMER_PROMPT.revision) == (status["revision"], status["release"]["movingTo"])
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
