"""Weights are downloaded by a real Job into a real volume before a model server is started, and the status tells how far that is.

The hub is the project's double of one, served from this machine; the engine is the double of vLLM as a stock image.
"""

import hashlib
from collections.abc import Iterator

import pytest

from tests.cluster.settings import Settings
from tests.unit.rag_model_fetch.doubles import HubDouble, serving
from tests.unit.rag_model_fetch.support import REPOSITORY, WANTED, repository

from .kube import Json, Kube, wait_for
from .objects import documents, rag_service
from .test_model import SAID, ask, model, model_pods

pytestmark = pytest.mark.node

TOKEN = "may-read"
FILES = repository(weights=12 << 20)


@pytest.fixture
def hub(bench_settings: Settings) -> Iterator[HubDouble]:
    """A hub with one private repository, slow enough to watch."""
    double = HubDouble(REPOSITORY, FILES, token=TOKEN, host=bench_settings.host_address)
    double.faults.pace = 0.04
    with serving(double):
        yield double


def test_weights_are_fetched_once_before_the_model_is_started(kube: Kube, hub: HubDouble) -> None:
    small = {"requests": {"cpu": "20m"}}
    block = {
        "launcher": False,
        "source": {"hub": {"endpoint": hub.url}},
        "cache": {"type": "Volume", "size": "1Gi"},
        "prefetch": {"resources": small},
    }
    kube.apply(documents(), rag_service(model=model(block, name=REPOSITORY)))
    _, _, message = kube.wait_condition("faq", "ModelReady", "False", 90, reason="ModelDownloadUnauthorized")
    assert "tokenSecretRef" in message
    assert [] == model_pods(kube, "faq")

    kube.run("create", "secret", "generic", "hub", f"--from-literal=token={TOKEN}")
    reference = {"tokenSecretRef": {"name": "hub", "key": "token"}}
    kube.patch("ragservice", "faq", {"spec": {"model": {"vllm": {"source": {"hub": reference}}}}})
    told = wait_for("progress", lambda: under_way(kube), 60)
    assert told["totalBytes"] == sum(len(FILES[name]) for name in WANTED)
    assert told["bytes"] * 100 // told["totalBytes"] == told["percent"]

    kube.wait_condition("faq", "Ready", "True", 90)
    assert SAID == ask(kube, "faq").body["answer"]
    assert "modelFetch" not in (kube.get("ragservice", "faq") or {})["status"]
    assert told["totalBytes"] == hub.seen.sent
    assert set(hub.seen.tokens_at_store) == set()  # the token is for the hub alone
    assert digests() == found(kube)


def under_way(kube: Kube) -> Json | None:
    """`status.modelFetch` while the download is neither at its begin nor at its end."""
    told: Json = (kube.get("ragservice", "faq") or {}).get("status", {}).get("modelFetch") or {}
    return told if 0 < told.get("percent", 0) < 100 else None


def digests() -> dict[str, str]:
    """Path and SHA-256 of every file that a model server needs."""
    return {name: hashlib.sha256(FILES[name]).hexdigest() for name in WANTED}


def found(kube: Kube) -> dict[str, str]:
    """The same, as the model server's pod sees its weights."""
    (pod,) = model_pods(kube, "faq")
    folder = pod["spec"]["containers"][0]["args"][0]
    script = f"cd {folder} && find . -type f ! -name .complete | xargs sha256sum"
    lines = kube.run("exec", pod["metadata"]["name"], "--", "sh", "-c", script).splitlines()
    return {path.removeprefix("./"): digest for digest, path in (line.split(maxsplit=1) for line in lines)}
