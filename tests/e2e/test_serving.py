"""One RagService from creation to deletion, on real containers."""

import json
import urllib.request
from collections.abc import Iterator

import pytest
from rag_operator.cluster.pods import PodLine
from rag_operator.observed import pod_of
from rag_operator.runtime import login
from rag_operator.runtime.client import Client

from tests.cluster.settings import Settings
from tests.unit.rag_api.collector_double import Collector, Told, collector_for_pods

from .kube import Json, Kube, http, wait_for
from .objects import QUESTION, QUESTION_VI, REFUSAL, UNANSWERABLE, documents, rag_service

pytestmark = pytest.mark.node


RELEASE: Json = {
    "revision": 1,
    "prompt_version": "answer-v1",
    "index_version": "docs-v1",
    "model_version": "extractive",
}
"""What the first release is called wherever it is told."""


def ask(kube: Kube, question: str, name: str = "faq") -> Json:
    """The answer to one question through the Service, with the generated key."""
    key = kube.secret(f"{name}-client-key", "api-key")
    answer = http(f"{kube.service_address(f'{name}-api')}/query", body={"question": question}, key=key)
    assert answer.status == 200, answer.body
    return answer.body


def api_pods(kube: Kube, name: str = "faq") -> dict[str, tuple[str, int]]:
    """uid -> (name, restarts) of the API pods that are not going away."""
    pods = kube.list("pods", f"ragserving.dev/service={name},app.kubernetes.io/component=api")
    return {
        pod["metadata"]["uid"]: (
            pod["metadata"]["name"],
            sum(c.get("restartCount", 0) for c in pod["status"].get("containerStatuses", [])),
        )
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    }


@pytest.fixture(scope="module")
def traces(bench_settings: Settings) -> Iterator[Collector]:
    """A double of a collector that pods reach."""
    with collector_for_pods(bench_settings.host_address) as found:
        yield found


@pytest.fixture(scope="module")
def faq(module_kube: Kube, traces: Collector) -> Kube:
    """A namespace with a ready service `faq`, whose questions are traced."""
    api: Json = {"drainSeconds": 5, "tracing": {"endpoint": traces.url, "sampleRatio": 1}}
    module_kube.apply(documents(), rag_service(api=api))
    module_kube.wait_condition("faq", "Ready", "True", 120)
    return module_kube


def test_the_columns_tell_what_serves(faq: Kube) -> None:
    header, row = faq.run("get", "ragservices").strip().splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "REVISION", "PROMPT", "INDEX", "MODEL", "AGE"]
    assert row.split()[:7] == ["faq", "True", row.split()[2], "1", "answer-v1", "docs-v1", "extractive"]


@pytest.mark.parametrize(("question", "document"), [(QUESTION, "leave-en"), (QUESTION_VI, "leave-vi")])
def test_a_question_is_answered_with_a_citation_and_its_versions(faq: Kube, question: str, document: str) -> None:
    answer = ask(faq, question)
    assert "14" in answer["answer"]
    assert "[S1]" in answer["answer"]
    assert document in [citation["document_id"] for citation in answer["citations"]]
    assert RELEASE == {name: answer[name] for name in RELEASE}


def test_what_the_documents_do_not_hold_is_refused(faq: Kube) -> None:
    answer = ask(faq, UNANSWERABLE)
    assert (REFUSAL, "refused", []) == (answer["answer"], answer["finish_reason"], answer["citations"])


@pytest.mark.parametrize("path", ["/models/current", "/ready", "/nowhere"])
async def test_a_pod_says_the_same_through_the_api_server_as_at_its_address(faq: Kube, path: str) -> None:
    """Also what it refuses: an answer that is not the API server's own is the pod's."""
    (body,) = faq.list("pods", "ragserving.dev/service=faq,app.kubernetes.io/component=api")
    async with Client(login.load(faq.kubeconfig)) as client:
        direct, proxied = PodLine(client, direct=True), PodLine(client, direct=False)
        try:
            answers = [json.loads(await line.fetch(pod_of(body), path)) for line in (direct, proxied)]
        finally:
            await direct.close()
    for answer in answers:
        answer.get("error", answer).pop("trace_id", None)  # of the request, not of the pod
    assert answers[0]
    assert answers[0] == answers[1]


def test_a_stream_ends_with_done(faq: Kube) -> None:
    key = faq.secret("faq-client-key", "api-key")
    text = faq.stream(f"{faq.service_address('faq-api')}/query/stream", {"question": QUESTION}, key)
    events = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]
    assert "meta" == events[0]
    assert "done" == events[-1]
    assert {"token", "citation"} <= set(events)
    (meta, *_) = (json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: "))
    assert RELEASE == {name: meta[name] for name in RELEASE}


def test_an_answer_has_a_trace_that_names_its_release(faq: Kube, traces: Collector) -> None:
    answer = ask(faq, QUESTION)

    def told() -> list[Told]:
        return [span for span in traces.spans if (span.trace, span.kind) == (answer["trace_id"], "server")]

    (root,) = wait_for("the trace", told, 20)
    whose = (root.attributes["rag.namespace"], root.attributes["rag.service"], root.attributes["rag.revision"])
    assert whose == (faq.namespace, "faq", answer["revision"])
    assert root.attributes["rag.prompt.version"] == answer["prompt_version"]
    assert root.attributes["rag.index.version"] == answer["index_version"]
    assert root.attributes["rag.model.version"] == answer["model_version"]
    assert not [body for body in traces.bodies if b"annual leave" in body]


def test_without_a_key_nothing_is_told(faq: Kube) -> None:
    answer = http(f"{faq.service_address('faq-api')}/query", body={"question": QUESTION})
    assert (401, "UNAUTHORIZED") == (answer.status, answer.body["error"]["code"])


def test_the_pods_are_real_and_log(faq: Kube) -> None:
    (name, _), *_ = api_pods(faq).values()
    answer = ask(faq, QUESTION)
    lines = [json.loads(line) for line in faq.run("logs", name).splitlines() if line.startswith("{")]
    (mine,) = (line for line in lines if line.get("answer_id") == answer["answer_id"])
    assert RELEASE == {fact: mine[fact] for fact in RELEASE}
    assert not [line for line in lines if QUESTION in json.dumps(line)]


def test_answers_are_counted_by_their_release(faq: Kube) -> None:
    (pod,) = faq.list("pods", "ragserving.dev/service=faq,app.kubernetes.io/component=api")
    ask(faq, QUESTION)
    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8000/metrics", timeout=10) as told:
        lines = told.read().decode().splitlines()
    labels = 'index="docs-v1",model="extractive",prompt="answer-v1",revision="1"'
    assert f"rag_revision_weight{{{labels}}} 100.0" in lines
    assert [line for line in lines if line.startswith('rag_answers_total{finish_reason="stop",' + labels)]


def test_every_child_comes_back(faq: Kube) -> None:
    kinds = "deployments,services,serviceaccounts,configmaps,statefulsets,jobs"
    before = {
        (o["kind"], o["metadata"]["name"]): o["metadata"]["uid"] for o in faq.list(kinds, "ragserving.dev/service=faq")
    }
    for kind, name in sorted(before):
        faq.run("delete", kind.lower(), name, "--wait=false", "--cascade=background")

    def back() -> bool:
        now = {
            (o["kind"], o["metadata"]["name"]): o["metadata"]["uid"]
            for o in faq.list(kinds, "ragserving.dev/service=faq")
        }
        return all(key in now and now[key] != uid for key, uid in before.items())

    wait_for("all children made anew", back, 20)
    faq.wait_condition("faq", "Ready", "True", 90)
    assert "14" in ask(faq, QUESTION)["answer"]


def test_a_prompt_edit_goes_live_without_a_restart_and_back(faq: Kube) -> None:
    pods = api_pods(faq)
    faq.patch("ragservice", "faq", {"spec": {"prompt": {"version": "answer-v2", "refusal": "No source says so."}}})
    faq.wait_condition("faq", "Ready", "True", 20)
    answer = ask(faq, UNANSWERABLE)
    assert ("No source says so.", "answer-v2", 2) == (answer["answer"], answer["prompt_version"], answer["revision"])
    faq.patch("ragservice", "faq", {"spec": {"prompt": {"version": "answer-v1", "refusal": REFUSAL}}})
    faq.wait_condition("faq", "Ready", "True", 20)
    answer = ask(faq, UNANSWERABLE)
    assert (REFUSAL, "answer-v1", 1) == (answer["answer"], answer["prompt_version"], answer["revision"])
    assert pods == api_pods(faq)


def test_an_index_edit_builds_beside_and_then_switches(faq: Kube) -> None:
    pods = api_pods(faq)
    faq.apply(
        documents("docs-2", **{"leave.en.md": "# Leave\n\nA full-time employee gets 15 days of annual leave a year.\n"})
    )
    change: Json = {"version": "docs-v2", "documents": {"configMapRef": {"name": "docs-2"}}}
    faq.patch("ragservice", "faq", {"spec": {"index": change}})
    while faq.condition("faq", "Ready")[0] != "True" or ask(faq, QUESTION)["index_version"] != "docs-v2":
        answer = ask(faq, QUESTION)
        assert ("14" if answer["index_version"] == "docs-v1" else "15") in answer["answer"]
    assert "15" in ask(faq, QUESTION)["answer"]
    assert pods == api_pods(faq)


def test_deletion_keeps_the_volume_and_nothing_else(faq: Kube) -> None:
    faq.run("delete", "ragservice", "faq")
    everything = "deployments,statefulsets,jobs,services,configmaps,serviceaccounts,secrets,pods,ragrevisions,poddisruptionbudgets"
    wait_for("children gone", lambda: not faq.list(everything, "ragserving.dev/service=faq"), 90)
    assert ["storage-faq-qdrant-0"] == [c["metadata"]["name"] for c in faq.list("pvc")]
