"""The ordinary way beside it: the same API image in a plain Deployment, whose ConfigMap's name changes, which is a roll-out."""

import asyncio
import json
import time
from typing import Any

from rag_contract.release_table import FILE_NAME

from tests.e2e.kube import Kube

from .load import Load
from .moves import LONGEST_SECONDS, POLL_SECONDS, Wanted, answers, patch
from .stage import NAME, PODS, pods, revision_with

Json = dict[str, Any]
PLAIN = "plain-api"
SELECTOR = {"bench": "plain"}
VOLUME = "releases"


def table_map(kube: Kube, wanted: Wanted) -> Json:
    """A ConfigMap with a release table of one revision, named after its prompt."""
    live = kube.get("configmap", f"{NAME}-releases")
    assert live
    table = json.loads(live["data"][FILE_NAME])
    body, _ = revision_with(kube, wanted)
    table["revisions"][0] |= {key: body["spec"][key] for key in ("number", "prompt")}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"plain-{wanted[0]}"},
        "data": {FILE_NAME: json.dumps(table)},
    }


def deployment(kube: Kube, content: str) -> list[Json]:
    """A Deployment with the pods of the service's own one, and a Service in front of it."""
    live = kube.get("deployment", f"{NAME}-api")
    assert live
    spec = live["spec"]["template"]["spec"] | volumes(live["spec"]["template"]["spec"]["volumes"], content)
    template = {"metadata": {"labels": SELECTOR}, "spec": spec}
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    metadata = {"name": PLAIN, "labels": SELECTOR}
    strategy = live["spec"]["strategy"]
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "replicas": PODS,
                "selector": {"matchLabels": SELECTOR},
                "strategy": strategy,
                "template": template,
            },
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": SELECTOR, "ports": ports}},
    ]


def volumes(live: list[Json], content: str) -> Json:
    """The pod's volumes, with the release table from the ConfigMap `content`."""
    return {"volumes": [v | ({"configMap": {"name": content}} if v["name"] == VOLUME else {}) for v in live]}


def build(kube: Kube, tables: tuple[Wanted, Wanted]) -> str:
    """Both ConfigMaps and the Deployment with the first: the address of its Service."""
    kube.apply(*(table_map(kube, wanted) for wanted in tables), *deployment(kube, f"plain-{tables[0][0]}"))
    kube.run("rollout", "status", f"deployment/{PLAIN}", "--timeout=120s")
    return kube.service_address(PLAIN)


async def roll(kube: Kube, wanted: Wanted, load: Load) -> float:
    """Name the other ConfigMap; seconds from the start of the patch until all pods, and only new ones, answer from it."""
    live = kube.get("deployment", PLAIN)
    assert live
    load.settled, load.moves = None, load.moves + 1
    template = live["spec"]["template"]["spec"]
    change = {"spec": {"template": {"spec": volumes(template["volumes"], f"plain-{wanted[0]}")}}}
    start = time.monotonic()
    await patch(kube, change, "deployment", PLAIN)
    async with asyncio.timeout(LONGEST_SECONDS):
        while True:
            found = await asyncio.to_thread(pods, kube, "bench=plain")
            new = [pod for pod in found if _names(pod, f"plain-{wanted[0]}") and _is_ready(pod)]
            if len(new) == len(found) == PODS:
                break
            await asyncio.sleep(POLL_SECONDS)
        urls = [f"http://{pod['status']['podIP']}:8000" for pod in new]
        moment = max(await asyncio.gather(*(answers(url, load, wanted) for url in urls)))
    load.settled = wanted
    return moment - start


def _names(pod: Json, content: str) -> bool:
    return any((volume.get("configMap") or {}).get("name") == content for volume in pod["spec"]["volumes"])


def _is_ready(pod: Json) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
