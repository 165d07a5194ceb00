"""The three questions, the way to the Service, and the judgement of an answer."""

import contextlib
import http.client
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from .install import NAMESPACE, SERVICE
from .kubectl import Json, Kubectl
from .screen import DemoError, Screen

KEY_TEMPLATE = 'go-template={{index .data "api-key" | base64decode}}'
_MARKER = re.compile(r"\[(S\d+)\]")


@dataclass(frozen=True)
class Question:
    """A question and what must be in its answer; None for one that the documents do not answer."""

    text: str
    fact: str | None


QUESTIONS = (
    Question("How many days of annual leave does a full-time employee get?", "18 days"),
    Question("Nhân viên full-time có bao nhiêu ngày nghỉ phép năm?", "18 ngày"),
    Question("What is the CEO's salary?", None),
)


@dataclass(frozen=True)
class Reply:
    """HTTP status, body, and the time the caller waited, in milliseconds, connection included."""

    status: int
    body: Json
    milliseconds: float


def faults(question: Question, reply: Reply) -> list[str]:
    """What is wrong with the reply; empty when it is as it must be."""
    if reply.status != 200:
        return [f"HTTP {reply.status}: {json.dumps(reply.body, ensure_ascii=False)}"]
    body = reply.body
    if question.fact is None:
        answered = body["finish_reason"] != "refused" or body["citations"]
        return ["the documents do not say this, and it was answered all the same"] if answered else []
    found: list[str] = []
    cited = {citation["source_id"] for citation in body["citations"]}
    marked = set(_MARKER.findall(body["answer"]))
    if body["finish_reason"] == "refused":
        found.append("it was refused though the documents answer it")
    if not cited or cited != marked:
        found.append(f"the markers {sorted(marked)} and the citations {sorted(cited)} must be the same and not empty")
    if question.fact not in body["answer"]:
        found.append(f"the answer does not say {question.fact!r}")
    return found


def client_key(kubectl: Kubectl) -> str:
    """The generated API key of the first client."""
    return kubectl.run("get", "secret", f"{SERVICE}-client-key", "-n", NAMESPACE, "-o", KEY_TEMPLATE).strip()


@contextlib.contextmanager
def service_url(kubectl: Kubectl, screen: Screen) -> Iterator[str]:
    """http://host:port of the RAG API's Service: its cluster IP where this machine reaches it, else a port-forward."""
    name = f"{SERVICE}-api"
    service = kubectl.get("service", name, "-n", NAMESPACE)
    if service is None:
        raise DemoError(f"there is no Service {name}")
    address, port = service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]
    if _reachable(address, port):
        screen.step(f"asking Service {name} at its cluster IP, {address}:{port}")
        yield f"http://{address}:{port}"
        return
    with _port_forward(kubectl, name, port) as local:
        screen.step(f"asking Service {name} through kubectl port-forward, 127.0.0.1:{local}")
        yield f"http://127.0.0.1:{local}"


def ask(url: str, key: str, question: Question) -> Reply:
    """One POST /query. Raises DemoError when no answer came."""
    body = json.dumps({"question": question.text}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    began = time.perf_counter()
    try:
        connection.request("POST", "/query", body, headers)
        response = connection.getresponse()
        text = response.read()
        milliseconds = (time.perf_counter() - began) * 1000
        return Reply(response.status, json.loads(text), milliseconds)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DemoError(f"POST {url}/query: {type(error).__name__}: {error}") from error
    finally:
        connection.close()


def show(screen: Screen, question: Question, reply: Reply) -> None:
    """Question, answer, citations, latency and what answered."""
    screen.line(f"\n  Q  {question.text}")
    body = reply.body
    if reply.status != 200:
        return
    screen.line(f"  A  {body['answer']}")
    for citation in body["citations"]:
        place = f", {citation['url']}" if citation["url"] else ""
        screen.line(f"     [{citation['source_id']}] {citation['title']} ({citation['document_id']}{place})")
    outcome = "refused: no source supports an answer" if body["finish_reason"] == "refused" else "answered"
    inside = body["latency_ms"]["total"]
    screen.line(f"     {outcome}; {reply.milliseconds:.1f} ms for the client, {inside:.1f} ms in the API")
    screen.line(
        f"     revision {body['revision']}, prompt {body['prompt_version']}, index {body['index_version']}, "
        f"model {body['model_version']}"
    )


def _reachable(address: str, port: int) -> bool:
    """Tries for about three seconds: the node's proxy learns of a new endpoint a moment after the pod is ready."""
    for _ in range(3):
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return True
        time.sleep(0.1)
    return False


@contextlib.contextmanager
def _port_forward(kubectl: Kubectl, name: str, port: int) -> Iterator[int]:
    command = kubectl.command("port-forward", "-n", NAMESPACE, f"service/{name}", f":{port}")
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(kubectl.environment)
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        match = re.search(r"127\.0\.0\.1:(\d+)", first)
        if match is None:
            raise DemoError(f"kubectl port-forward: {first.strip() or 'it ended without a word'}")
        yield int(match.group(1))
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
