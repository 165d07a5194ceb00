"""Nothing in the CRD is without effect: each field of the spec changes a child, a revision or the release table."""

from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel, ValidationError
from rag_contract.reports import IndexResult
from rag_operator import crd, names
from rag_operator.api import RagService
from rag_operator.observed import Observed, Reference, component_of, pod_of
from rag_operator.releases import IndexTarget, make_plan
from rag_operator.resources import build_all, claims
from rag_operator.settings import Settings

from tests.unit.api.effects import PRETENDED, has_effect, leaves, with_value, without_effect

Json = dict[str, Any]
Model = TypeVar("Model", bound=BaseModel)
SPEC: Json = crd.schema(RagService)["properties"]["spec"]
# Of the pretended values: no user can bring the models to hold them.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

METADATA: Json = {"name": "faq", "namespace": "team", "uid": "u", "generation": 1}
BASE: Json = {
    "prompt": {"version": "one", "system": "Answer."},
    "index": {"version": "one", "documents": {"configMapRef": {"name": "one"}}},
    "vectorStore": {"qdrant": {}},
}
# Two ConfigMaps with two keys each, so that another name and another key mean another text.
REFERENCES = {
    name: Reference(name, found=True, content_hash=name, size=2, texts={"one": f"{name} 1", "two": f"{name} 2"})
    for name in ("one", "two")
}
SETTINGS = Settings(api_image="api", indexer_image="indexer", qdrant_image="qdrant")


class Pretended(StrEnum):
    """The second value of enumerations that have one value only so far."""

    VALUE = PRETENDED


def outcome(spec: Json) -> Any:
    """What the operator makes of a service whose index is built; or that the contract does not know such a value."""
    service = parsed(spec)
    observed = Observed(service=service, body={"metadata": METADATA, "spec": spec}, references=REFERENCES)
    try:
        built = with_result(observed)
        now = current(built)
        serving = with_old_revisions(with_model(with_weights(built, now)))
        plan = make_plan(serving)
        assert plan.desired is not None
        return [
            *now,
            *build_all(service, serving, plan, SETTINGS),
            *claims(service, built, make_plan(built)),
            *refreshed(built, now),
        ]
    except ValidationError:
        return "not in the contract"


def refreshed(observed: Observed, children: list[Json]) -> list[Json]:
    """What is built a day after the release, by a schedule that was seen before it."""
    made = [
        {**body, "metadata": {**body["metadata"], "creationTimestamp": "2026-11-21T08:00:00Z"}}
        for body in children
        if body["kind"] == "RagRevision"
    ]
    told = {"schedule": observed.service.spec.index.refresh.schedule, "since": "2026-11-21T08:00:00Z"}
    released = replace(observed, body={**observed.body, "status": {"indexRefresh": told}}).with_children(made)
    plan = make_plan(released, datetime(2026, 11, 22, 8, tzinfo=UTC))
    return build_all(observed.service, released, plan, SETTINGS)


def parsed(spec: Json) -> RagService:
    """The typed object, with pretended values put in after the validation that would refuse them."""
    paths = [path for path, leaf in leaves(SPEC) if "enum" in leaf and value_at(spec, path) == PRETENDED]
    real = spec
    for path in paths:
        real = with_value(real, SPEC, path, dict(leaves(SPEC))[path]["enum"][0])
    service = RagService.model_validate({"metadata": METADATA, "spec": real})
    for path in paths:
        service = pretending(service, ["spec", *path.split(".")])
    return service


def pretending(part: Model, path: list[str]) -> Model:
    """A copy in which the enumeration at the path of wire names has the pretended value."""
    name = next(name for name, field in type(part).model_fields.items() if (field.alias or name) == path[0])
    value = Pretended.VALUE if len(path) == 1 else pretending(getattr(part, name), path[1:])
    return part.model_copy(update={name: value})


def value_at(spec: Json, path: str) -> Any:
    node: Any = spec
    for name in path.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node


def with_result(observed: Observed) -> Observed:
    """The index Job's pod has reported success, and its volume claim exists."""
    target = make_plan(observed).index
    assert target is not None
    claim = {"metadata": {"name": names.qdrant_claim("faq")}, "spec": {"resources": {"requests": {"storage": "64Mi"}}}}
    return replace(observed, pods=(pod_of(index_pod(target)),), claims={names.qdrant_claim("faq"): claim})


def with_model(observed: Observed) -> Observed:
    """The pods of the declared model, if it has any, have loaded it."""
    servers = [
        body
        for body in current(observed)
        if body["kind"] == "Deployment" and component_of(body) == names.COMPONENT_MODEL
    ]
    return observed.with_children([{**body, "status": {"readyReplicas": 1}} for body in servers])


def with_weights(observed: Observed, children: list[Json]) -> Observed:
    """The Jobs that download weights have ended well."""
    jobs = [body for body in children if body["kind"] == "Job" and component_of(body) == names.COMPONENT_MODEL_FETCH]
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-21T08:00:00Z"}
    return observed.with_children([{**job, "status": {"conditions": [complete]}} for job in jobs])


def index_pod(target: IndexTarget) -> Json:
    result = IndexResult(
        outcome="Succeeded",
        version=target.version,
        collection=target.collection,
        content_hash=target.hash,
        documents=2,
        chunks=5,
    )
    labels = {names.LABEL_COMPONENT: names.COMPONENT_INDEX, "job-name": names.index_job("faq", target.hash)}
    ended = {"exitCode": 0, "message": result.to_json()}
    return {
        "metadata": {"name": "p", "uid": "p", "labels": labels},
        "status": {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": ended}}]},
    }


def with_old_revisions(observed: Observed) -> Observed:
    """Two releases went before, and were left, so that keeping fewer or more of them makes a difference. The index has another
    build's name beside them."""
    body = next(body for body in current(observed) if body["kind"] == "RagRevision")
    old = [
        {
            **body,
            "metadata": {**body["metadata"], "name": f"faq-r{number}"},
            "status": {"state": "Superseded", "weight": 0, "left": "2026-11-21T08:00:00Z"},
            "spec": {
                **body["spec"],
                "number": number,
                "prompt": {**body["spec"]["prompt"], "version": f"old-{number}"},
                "index": {**body["spec"]["index"], **other, "hash": f"old-{number}"},
                "model": {
                    **body["spec"]["model"],
                    "runtime": "External",
                    "name": f"old-{number}",
                    "hash": f"old-{number}",
                    "endpoints": [{"url": "http://old.example.com", "model": "old"}],
                },
            },
        }
        for number, other in ((1, {}), (2, {"version": "old-2"}))  # the first is an earlier build of the same version
    ]
    return with_result(observed.with_children(old))


def current(observed: Observed) -> list[Json]:
    return build_all(observed.service, observed, make_plan(observed), SETTINGS)


@pytest.mark.parametrize(("path", "leaf"), list(leaves(SPEC)), ids=[path for path, _ in leaves(SPEC)])
def test_field_has_an_effect(path: str, leaf: Json) -> None:
    assert has_effect(path, leaf, SPEC, BASE, outcome)


def test_the_walk_covers_the_whole_spec() -> None:
    paths = {path for path, _ in leaves(SPEC)}

    assert len(paths) > 50
    assert {"suspend", "vectorStore.external.apiKeySecretRef.key", "index.resources.limits.ephemeral-storage"} <= paths


def test_a_field_without_effect_is_found() -> None:
    def deaf(spec: Json) -> Any:
        return outcome(with_value(spec, SPEC, "retrieval.topK", 6))

    assert ["retrieval.topK"] == without_effect("retrieval", SPEC, BASE, deaf)


def test_an_enumeration_of_one_value_without_effect_is_found() -> None:
    def deaf(spec: Json) -> Any:
        return outcome(with_value(spec, SPEC, "index.chunking.strategy", "Sentence"))

    assert ["index.chunking.strategy"] == without_effect("index.chunking", SPEC, BASE, deaf)
