"""Model servers of ours on real containers: load, answer, drain, hang, crash, another engine, and leaving them for another runtime.

The engine is the project's double of vLLM, behind the real launcher or alone as a stock image is. Two services: "tiny" runs it as
a stock image on a made GPU, "watched" behind the launcher.
"""

import json
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster.settings import Settings
from tests.model_server_double.fixture import start_double

from .kube import Answer, Json, Kube, http, wait_for
from .objects import QUESTION, documents, rag_service

pytestmark = pytest.mark.node

IMAGE = "rag-operator/model-server-double:dev"
GPU = "example.com/gpu"
SAID = "The manual says so [S1]."
"""What the double answers."""
MODEL_PODS = "ragserving.dev/service={},app.kubernetes.io/component=model"


def model(vllm: Json | None = None, **more: Json | str | bool | list[Json]) -> Json:
    """`spec.model` with the double as its engine."""
    small = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    block: Json = {
        "image": IMAGE,
        "gpu": {"count": 0},
        "cache": {"type": "Ephemeral", "size": "1Gi"},
        "resources": small,
        "loadDeadlineSeconds": 120,
        "drainSeconds": 20,
        "stallSeconds": 10,
    }
    return {"runtime": "VLLM", "name": "made-up/tiny", "vllm": block | (vllm or {}), **more}


def ask(kube: Kube, name: str) -> Answer:
    """One question through the Service, with the generated key."""
    url = f"{kube.service_address(f'{name}-api')}/query"
    return http(url, body={"question": QUESTION}, key=kube.secret(f"{name}-client-key", "api-key"), timeout=60)


def events_of(stream: str) -> list[str]:
    """Names of the events of a stream, in order."""
    return [line.removeprefix("event: ") for line in stream.splitlines() if line.startswith("event: ")]


def model_pods(kube: Kube, name: str) -> list[Json]:
    """Those that are not on their way out."""
    pods = kube.list("pods", MODEL_PODS.format(name))
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def turn(kube: Kube, name: str, switch: str, text: str) -> str:
    """Turn a switch of the double in the only model pod; returns the pod's name."""
    (pod,) = model_pods(kube, name)
    url = f"http://{pod['status']['podIP']}:8000/double/{switch}"
    request = urllib.request.Request(url, data=text.encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=5):
            pass
    except OSError:
        if switch != "crash":
            raise
    return str(pod["metadata"]["name"])


def restarts(kube: Kube, name: str) -> list[int]:
    """Of every model pod's container."""
    return [pod["status"]["containerStatuses"][0]["restartCount"] for pod in model_pods(kube, name)]


def warned(kube: Kube, name: str, reason: str) -> str | None:
    """Message of the Warning that the operator wrote about a service with this reason."""
    for event in kube.list("events.events.k8s.io"):
        if event["type"] == "Warning" and event["reason"] == reason and event["regarding"]["name"] == name:
            return str(event["note"])
    return None


def gpus_on_node(kube: Kube, settings: Settings, count: int | None) -> None:
    """Let the node advertise made GPUs; None takes them back."""
    path = f"/status/capacity/{GPU.replace('/', '~1')}"
    change = {"op": "remove", "path": path} if count is None else {"op": "add", "path": path, "value": str(count)}
    kube.run("patch", "node", settings.node_name, "--subresource=status", "--type=json", "-p", json.dumps([change]))


@pytest.fixture(scope="module")
def kube(module_kube: Kube, bench_settings: Settings) -> Iterator[Kube]:
    """A namespace with both services, ready."""
    gpus_on_node(module_kube, bench_settings, 2)
    try:
        on_gpu = model({"launcher": False, "gpu": {"count": 1, "resourceName": GPU}})
        behind_launcher = model({"launcher": True}, fallback=[{"extractive": {}}])
        # A former model's server stays as long as an answer may take.
        short = {"drainSeconds": 5, "limits": {"requestTimeoutSeconds": 20, "streamTimeoutSeconds": 20}}
        tiny = rag_service("tiny", model=on_gpu, api=short)
        module_kube.apply(documents(), rag_service("watched", model=behind_launcher), tiny)
        for name in ("watched", "tiny"):
            module_kube.wait_condition(name, "Ready", "True", 300)
        yield module_kube
    finally:
        gpus_on_node(module_kube, bench_settings, None)


@pytest.fixture(scope="module")
def hung(kube: Kube) -> Iterator[Future[Answer]]:
    """The answer of "watched" to a question whose engine stands still. It takes its time: other tests go on meanwhile."""
    turn(kube, "watched", "hang", "true")
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(ask, kube, "watched")


@pytest.mark.usefixtures("hung")
def test_a_model_on_a_gpu_answers_with_citations_and_streams(kube: Kube) -> None:
    answer = ask(kube, "tiny").body
    key = kube.secret("tiny-client-key", "api-key")
    stream = kube.stream(f"{kube.service_address('tiny-api')}/query/stream", {"question": QUESTION}, key)
    status = (kube.get("ragservice", "tiny") or {})["status"]

    assert (SAID, "made-up/tiny") == (answer["answer"], status["model"])
    assert "leave-en" in [citation["document_id"] for citation in answer["citations"]]
    assert ("meta", "done") == (events_of(stream)[0], events_of(stream)[-1])
    assert 1 < events_of(stream).count("token")
    assert ("True", "GpuScheduled") == kube.condition("tiny", "GpuSchedulable")[:2]
    assert f"1/1 {GPU}" == status["gpu"]
    assert "Surge" == status["modelRollOut"]["strategy"]
    assert "-" == (kube.get("ragservice", "watched") or {})["status"]["gpu"]


def test_a_pod_that_is_deleted_finishes_its_answers(kube: Kube) -> None:
    words = " ".join(f"word{number}" for number in range(12))
    turn(kube, "tiny", "answer", f"{words} finale [S1].")
    old = turn(kube, "tiny", "token_seconds", "0.8")
    url, key = f"{kube.service_address('tiny-api')}/query/stream", kube.secret("tiny-client-key", "api-key")
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(kube.stream, url, {"question": QUESTION}, key)
        threading.Event().wait(2)
        kube.run("delete", "pod", old, "--wait=false")
        text = stream.result(60)
    assert "done" == events_of(text)[-1]
    assert "finale" in text
    wait_for("the old pod gone", lambda: kube.get("pod", old) is None, 30)
    kube.wait_condition("tiny", "Ready", "True", 60)


def test_an_engine_that_crashes_is_named_and_comes_back(kube: Kube) -> None:
    pod = turn(kube, "tiny", "crash", "")
    _, _, message = kube.wait_condition("tiny", "ModelReady", "False", 20, reason="EngineCrashed")
    assert pod in message
    kube.wait_condition("tiny", "Ready", "True", 60)
    assert [1] == restarts(kube, "tiny")
    assert SAID == ask(kube, "tiny").body["answer"]


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"args": ["--no-such-flag"]}, "InvalidEngineArgument", "--no-such-flag"),
        ({"launcher": True}, "GpuNotVisible", "asked for 1 GPU and sees 0"),
    ],
    ids=["argument", "gpu"],
)
def test_an_engine_that_cannot_start_says_why_while_the_old_one_answers(
    kube: Kube, change: Json, reason: str, words: str
) -> None:
    kube.patch("ragservice", "tiny", {"spec": {"model": {"vllm": change}}})
    _, _, message = kube.wait_condition("tiny", "ModelReady", "False", 40, reason=reason)
    assert words in message
    assert SAID == ask(kube, "tiny").body["answer"]
    kube.patch("ragservice", "tiny", {"spec": {"model": {"vllm": {"args": None, "launcher": False}}}})
    kube.wait_condition("tiny", "Ready", "True", 40)
    # Also its pod: as long as that holds a GPU, the next one could only come after the one that serves.
    wait_for("one model server", lambda: len(kube.list("deployments,pods", MODEL_PODS.format("tiny"))) == 2, 60)


def test_a_hung_engine_is_ended_and_started_anew(kube: Kube, hung: Future[Answer]) -> None:
    note = wait_for("the operator's word on it", lambda: warned(kube, "watched", "EngineStalled"), 60, pause=1)
    assert "did no step for 10 s" in note
    assert "extractive" == hung.result(30).body["degraded"]
    kube.wait_condition("watched", "Ready", "True", 60)
    assert [0] < restarts(kube, "watched")
    wait_for("the model's own answer", lambda: ask(kube, "watched").body["answer"] == SAID, 30, pause=1)


def test_a_stream_outlives_the_move_of_its_model_and_then_the_former_server_goes(kube: Kube) -> None:
    """The other model loads beside, and the table moves while a stream is open."""
    servers = MODEL_PODS.format("tiny")
    number, former = status(kube)["revision"], deployments(kube, servers)
    turn(kube, "tiny", "answer", f"{' '.join(f'word{word}' for word in range(15))} finale [S1].")
    turn(kube, "tiny", "token_seconds", "0.8")
    url, key = f"{kube.service_address('tiny-api')}/query/stream", kube.secret("tiny-client-key", "api-key")
    kube.patch("ragservice", "tiny", {"spec": {"model": {"name": "made-up/other"}}})
    wait_for("the other server", lambda: former < deployments(kube, servers), 20)
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(kube.stream, url, {"question": QUESTION}, key)
        wait_for("the other model", lambda: status(kube)["model"] == "made-up/other", 40)
        assert former < deployments(kube, servers), "it is still asked"
        text = stream.result(60)
    assert "done" == events_of(text)[-1]
    assert "finale" in text
    other = ask(kube, "tiny").body["revision"]
    assert number != other
    wait_for("the former server gone", lambda: not former & deployments(kube, servers), 60)


def status(kube: Kube) -> Json:
    """Of "tiny"."""
    found: Json = (kube.get("ragservice", "tiny") or {})["status"]
    return found


def deployments(kube: Kube, selector: str) -> set[str]:
    """Names of model servers."""
    return {body["metadata"]["name"] for body in kube.list("deployments", selector)}


def test_another_runtime_is_one_edit_away_and_back(kube: Kube, bench_settings: Settings, tmp_path: Path) -> None:
    """VLLM, Extractive, External whose server goes, switched off, VLLM."""
    servers = MODEL_PODS.format("tiny")
    kube.patch("ragservice", "tiny", {"spec": {"model": {"runtime": "Extractive"}}})
    kube.wait_condition("tiny", "Ready", "True", 30)
    assert "14" in ask(kube, "tiny").body["answer"]
    wait_for("no model server", lambda: not kube.list("deployments,services,pods", servers), 60)

    with start_double(
        tmp_path, f"--host={bench_settings.host_address}", "--served-model-name=far", answer="Far [S1]."
    ) as far:
        external = {"url": f"http://{bench_settings.host_address}:{far.port}", "model": "far"}
        change = {"runtime": "External", "external": external, "fallback": [{"extractive": {}}]}
        kube.patch("ragservice", "tiny", {"spec": {"model": change}})
        kube.wait_condition("tiny", "Ready", "True", 30)
        assert ("Far [S1].", None) == answered(kube)
    assert "extractive" == answered(kube)[1]

    kube.patch("ragservice", "tiny", {"spec": {"model": {"enabled": False}}})
    kube.wait_condition("tiny", "ModelReady", "True", 20, reason="ModelDisabled")
    wait_for("the table", lambda: kube.condition("tiny", "Ready")[0] == "True", 20)
    assert "extractive" == answered(kube)[1]

    kube.patch("ragservice", "tiny", {"spec": {"model": {"enabled": True, "runtime": "VLLM"}}})
    kube.wait_condition("tiny", "ModelReady", "True", 40, reason="ModelServing")
    kube.wait_condition("tiny", "Ready", "True", 20)
    assert (SAID, None) == answered(kube)


def answered(kube: Kube) -> tuple[str, str | None]:
    """Answer of "tiny", and who stepped in for its model."""
    answer = ask(kube, "tiny")
    assert 200 == answer.status, answer.body
    return answer.body["answer"], answer.body["degraded"]
