"""Services and how their children are rendered: by the code that the operator runs, without a cluster."""

import asyncio
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from rag_contract.release_table import IndexRelease, Revision
from rag_operator import names
from rag_operator.api import Made, RagService
from rag_operator.cluster.references import References
from rag_operator.observed import Observed, component_of
from rag_operator.releases import make_plan
from rag_operator.releases.identity import index_identity
from rag_operator.resources import build_all, owned, releases
from rag_operator.settings import Settings

Json = dict[str, Any]

ROOT = Path(__file__).parent
CASES = ("minimal", "full", "external", "volume", "served", "vectors", "hosted")
SECOND_PASS = "served"
SETTINGS = Settings(
    api_image="example.com/rag-api:1",
    indexer_image="example.com/rag-indexer:1",
    qdrant_image="example.com/qdrant:1",
    kubeconfig="",
)


def documents(case: str) -> list[Json]:
    """The RagService and the ConfigMaps of a case."""
    return [doc for doc in yaml.safe_load_all((ROOT / case / "cr.yaml").read_text()) if doc]


def observe(case: str) -> Observed:
    """The world before the first pass; of the case `served`, after its index was verified."""
    docs = documents(case)
    (body,) = [doc for doc in docs if doc["kind"] == "RagService"]
    body["metadata"] |= {"namespace": "team-a", "uid": "uid-service", "generation": 1}
    service = RagService.model_validate(body)
    version = {"uid": "uid-map", "resourceVersion": "1"}
    maps = {
        doc["metadata"]["name"]: {**doc, "metadata": doc["metadata"] | version}
        for doc in docs
        if doc["kind"] == "ConfigMap"
    }

    async def get(_: str, name: str) -> Json | None:
        return maps.get(name)

    references = asyncio.run(References(lambda _, name: maps.get(name), get).of(service))
    observed = Observed(service=service, body=body, references=references)
    if case == "hosted":
        return with_weights(observed)
    return with_record(observed) if case == SECOND_PASS else observed


def with_weights(observed: Observed) -> Observed:
    """The same world with the model's weights on their volume."""
    made = build_all(observed.service, observed, make_plan(observed), SETTINGS)
    (job,) = [c for c in made if c["kind"] == "Job" and component_of(c) == names.COMPONENT_MODEL_FETCH]
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-21T08:00:00Z"}
    return observed.with_children([{**job, "status": {"conditions": [complete]}}])


def with_record(observed: Observed) -> Observed:
    """The same world with the RagRevision of the declared content in it."""
    plan = make_plan(observed)
    assert plan.prompt is not None
    assert plan.index is not None
    index = IndexRelease(
        version=plan.index.version,
        hash=plan.index.hash,
        collection=plan.index.collection,
        identity=index_identity(observed.service.spec),
        documents=2,
        chunks=5,
    )
    content = Revision(
        number=1, weight=100, prompt=plan.prompt, index=index, model=plan.model, retrieval=plan.retrieval
    )
    made = replace(plan, retained=(content,))
    (body,) = releases.revisions(observed.service, observed, made, Made(image=SETTINGS.api_image, render_version="1"))
    record = owned(observed.service, body)
    return observed.with_children([{**record, "metadata": {**record["metadata"], "uid": "uid-record"}}])


def without_note(body: Json) -> Json:
    """Without the packed template on Deployments and StatefulSets: nobody can review it, and another zlib packs otherwise."""
    held = body["metadata"].get("annotations") or {}
    others = {key: value for key, value in held.items() if key != names.ANNOTATION_RENDERED}
    shown = {**body["metadata"], "annotations": others}
    return {**body, "metadata": {key: shown[key] for key in body["metadata"] if key != "annotations" or others}}


@cache
def children(case: str) -> list[Json]:
    """All children of a case."""
    observed = observe(case)
    plan = make_plan(observed)
    assert not plan.faults.keys() - {names.COMPONENT_MODEL}  # no model has loaded yet
    return [without_note(body) for body in build_all(observed.service, observed, plan, SETTINGS)]
