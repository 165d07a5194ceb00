"""A second prompt, a second index, and back to the first ones by one field: how long each takes until it is answered from."""

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from . import questions
from .install import NAMESPACE, SAMPLE, SERVICE
from .kubectl import Json, Kubectl
from .place import ROOT
from .screen import DemoError, Screen

FIRST_PROMPT, SECOND_PROMPT = "answer-v1", "answer-v2"
FIRST_INDEX, SECOND_INDEX = "handbook-2026-11", "handbook-2026-12"
SECOND_DOCUMENTS = "handbook-documents-2026-12"
SECOND_REFUSAL = "The handbook does not say. Please ask the people team."
LIMIT = 120.0
POLL_SECONDS = 0.05
_DAYS, _SALARY = questions.QUESTIONS[0].text, questions.QUESTIONS[2].text
_SOURCE = {"documents": {"configMapRef": {"name": SECOND_DOCUMENTS}}}


@dataclass(frozen=True)
class Step:
    """A merge patch of the spec, and what must be answered to a question after it."""

    says: str
    spec: Json
    question: str
    fact: str
    prompt: str
    index: str

    def command(self) -> list[str]:
        """The arguments of kubectl, as a user types them."""
        change = json.dumps({"spec": self.spec}, ensure_ascii=False)
        return ["patch", "ragservice", SERVICE, "-n", NAMESPACE, "--type=merge", "-p", change]


EDITS = (
    Step(
        "another prompt: questions without an answer get another sentence",
        {"prompt": {"version": SECOND_PROMPT, "refusal": SECOND_REFUSAL}},
        _SALARY,
        SECOND_REFUSAL,
        SECOND_PROMPT,
        FIRST_INDEX,
    ),
    Step(
        "another index: annual leave is 20 days from now on; it is built beside the one that serves",
        {"index": {"version": SECOND_INDEX, **_SOURCE}},
        _DAYS,
        "20 days",
        SECOND_PROMPT,
        SECOND_INDEX,
    ),
)
BACK = (
    Step(
        "back to the first prompt",
        {"rollback": {"prompt": FIRST_PROMPT}},
        _SALARY,
        "I could not find an answer",
        FIRST_PROMPT,
        SECOND_INDEX,
    ),
    Step(
        "back to the first index, in the prompt too",
        {"rollback": {"index": FIRST_INDEX}},
        _DAYS,
        "18 days",
        FIRST_PROMPT,
        FIRST_INDEX,
    ),
    Step("forward again", {"rollback": None}, _DAYS, "20 days", SECOND_PROMPT, SECOND_INDEX),
)


def second_documents() -> Json:
    """The sample's documents with more annual leave."""
    bodies = list(yaml.safe_load_all((ROOT / SAMPLE).read_text(encoding="utf-8")))
    first: Json = next(body for body in bodies if body["kind"] == "ConfigMap")
    changed = {
        name: text.replace("gets 18 days", "gets 20 days").replace("18 ngày", "20 ngày")
        for name, text in first["data"].items()
    }
    return {**first, "metadata": {"name": SECOND_DOCUMENTS}, "data": changed}


def forget(kubectl: Kubectl) -> None:
    """Take back what an earlier demonstration may have left in spec.rollback."""
    change = json.dumps({"spec": {"rollback": None}})
    kubectl.run("patch", "ragservice", SERVICE, "-n", NAMESPACE, "--type=merge", "-p", change)


def show(kubectl: Kubectl, screen: Screen, url: str, key: str) -> list[str]:
    """All steps. What was answered wrong, empty when nothing. Raises DemoError when a step is never answered from."""
    before = _containers(kubectl)
    documents = json.dumps(second_documents(), ensure_ascii=False)
    flags = ["--server-side", "--force-conflicts", "--field-manager=rag-demo", "-n", NAMESPACE]
    kubectl.run("apply", *flags, "-f", "-", stdin=documents)
    screen.title("A second prompt and a second index")
    wrong = [fault for step in EDITS for fault in _take(step, kubectl, screen, url, key)]
    screen.title("Back in one field: no pod restarts, nothing is built")
    wrong += [fault for step in BACK for fault in _take(step, kubectl, screen, url, key)]
    after = _containers(kubectl)
    if before != after:
        wrong.append(f"pods or containers were made anew: {before} before, {after} after")
    screen.line(f"\n  the same {len(after)} pods as before, and no container was started anew")
    screen.line("\n  $ kubectl get ragrevisions")
    screen.block(kubectl.run("get", "ragrevisions", "-n", NAMESPACE))
    return wrong


def _take(step: Step, kubectl: Kubectl, screen: Screen, url: str, key: str) -> list[str]:
    screen.line()
    screen.step(step.says)
    screen.line(f"  $ kubectl patch ragservice {SERVICE} --type=merge -p '{step.command()[-1]}'")
    began = time.monotonic()
    kubectl.run(*step.command())
    wait_until(lambda: _serves(url, step), began + LIMIT, f"{step.says} is not served")
    reply = questions.ask(url, key, questions.Question(step.question, step.fact))
    took = time.monotonic() - began
    body = reply.body
    if reply.status != 200:
        return [f"{step.says}: HTTP {reply.status}: {json.dumps(body, ensure_ascii=False)}"]
    screen.line(f"  Q  {step.question}")
    screen.line(f"  A  {body['answer']}")
    screen.line(f"     revision {body['revision']}, prompt {body['prompt_version']}, index {body['index_version']}")
    screen.line(f"     {took:.2f} s from the command to this answer")
    return faults(step, body)


def faults(step: Step, body: dict[str, Any]) -> list[str]:
    """What is wrong with the answer after a step; empty when nothing."""
    said = (body["prompt_version"], body["index_version"])
    found = [] if said == (step.prompt, step.index) else [f"{step.says}: answered from {said}"]
    return found if step.fact in body["answer"] else [*found, f"{step.says}: the answer does not say {step.fact!r}"]


def wait_until(what: Callable[[], bool], deadline: float, message: str) -> None:
    """Look every 50 ms. Raises DemoError."""
    while not what():
        if time.monotonic() > deadline:
            raise DemoError(message)
        time.sleep(POLL_SECONDS)


def _serves(url: str, step: Step) -> bool:
    """What the API says itself; it needs no key and counts against no limit."""
    with urllib.request.urlopen(f"{url}/models/current", timeout=10) as response:
        revisions = json.load(response)["revisions"]
    return [(step.prompt, step.index)] == [(r["prompt"]["version"], r["index"]["version"]) for r in revisions]


def _containers(kubectl: Kubectl) -> dict[str, int]:
    """Pod of the API or the vector store -> how often its containers were started anew."""
    chosen = f"ragserving.dev/service={SERVICE},app.kubernetes.io/component in (api, qdrant)"
    items = json.loads(kubectl.run("get", "pods", "-n", NAMESPACE, "-l", chosen, "-o", "json"))["items"]
    return {
        f"{pod['metadata']['name']} {pod['metadata']['uid']}": sum(
            status["restartCount"] for status in pod["status"].get("containerStatuses", [])
        )
        for pod in items
        if "deletionTimestamp" not in pod["metadata"]
    }
