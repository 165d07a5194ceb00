"""The service that is measured: three API pods, two prompts, two indexes, and the echoing double as its model."""

from typing import Any

from tests.e2e.kube import Kube

from .facts import Told, expected
from .model import page, system_prompt

Json = dict[str, Any]
NAME = "faq"
PODS = 3
PAGES = 5
PROMPTS, INDEXES, TOP_K = ("answer-v1", "answer-v2"), ("docs-v1", "docs-v2"), (2, 4)
API_PODS = f"ragserving.dev/service={NAME},app.kubernetes.io/component=api"
READY_SECONDS = 180


def service(model_url: str) -> Json:
    """The RagService with the first prompt and the first index. Its requests of CPU are its share where others want the cores
    too; with the pods of the ordinary way beside it they fit on a node of two cores."""
    small = {"requests": {"cpu": "150m", "memory": "64Mi"}}
    return {
        "apiVersion": "ragserving.dev/v1alpha1",
        "kind": "RagService",
        "metadata": {"name": NAME},
        "spec": {
            "api": {
                "replicas": PODS,
                "drainSeconds": 10,
                "resources": small,
                "limits": {"requestsPerMinute": 0, "maxConcurrentRequests": 200},
            },
            "vectorStore": {"qdrant": {"storage": {"size": "1Gi"}, "resources": small}},
            "model": {"runtime": "External", "name": "echo", "external": {"url": model_url, "model": "echo"}},
            "prompt": prompt(PROMPTS[0]),
            "index": index(INDEXES[0]),
            "retrieval": {"topK": TOP_K[1]},
        },
    }


def prompt(version: str) -> Json:
    """`spec.prompt`."""
    return {"version": version, "system": system_prompt(version)}


def index(version: str) -> Json:
    """`spec.index`, over the ConfigMap of the same name."""
    return {"version": version, "documents": {"configMapRef": {"name": version}}}


def documents(version: str) -> Json:
    """The ConfigMap of one index."""
    pages = {f"leave-{number}.md": page(number, version) for number in range(PAGES)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": version}, "data": pages}


def build(kube: Kube, model_url: str) -> None:
    """From nothing to the second prompt and the second index; the first ones are kept."""
    kube.apply(*map(documents, INDEXES), service(model_url))
    kube.wait_condition(NAME, "Ready", "True", READY_SECONDS)
    for change in ({"prompt": prompt(PROMPTS[1])}, {"index": index(INDEXES[1])}):
        kube.patch("ragservice", NAME, {"spec": change})
        kube.wait_condition(NAME, "Ready", "True", READY_SECONDS)


def revisions(kube: Kube) -> list[Json]:
    """All RagRevisions."""
    return kube.list("ragrevisions", f"ragserving.dev/service={NAME}")


def revision_with(kube: Kube, wanted: tuple[str, str, int]) -> tuple[Json, Told]:
    """The RagRevision with this prompt, index and number of sources."""
    for body in revisions(kube):
        answer = expected(body)
        if (answer.prompt_version, answer.index_version, answer.sources) == wanted:
            return body, answer
    raise AssertionError(f"no RagRevision has {wanted}")


def pods(kube: Kube, selector: str = API_PODS) -> list[Json]:
    """Pods that are not on their way out."""
    return [pod for pod in kube.list("pods", selector) if "deletionTimestamp" not in pod["metadata"]]


def restarts(bodies: list[Json]) -> dict[str, int]:
    """uid -> how often its containers were started anew."""
    return {
        pod["metadata"]["uid"]: sum(each.get("restartCount", 0) for each in pod["status"].get("containerStatuses", []))
        for pod in bodies
    }
