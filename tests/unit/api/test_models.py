"""The models read what the API server stores, and refuse what could only be stored with its rules off."""

from typing import Any

import pytest
from pydantic import ValidationError
from rag_contract.identity import IndexIdentity
from rag_contract.release_table import IndexRelease, ModelRelease, PromptRelease, Retrieval, Revision
from rag_operator.api import AuthMode, Made, RagRevisionSpec, RagService

from tests.control_plane.crd.objects import Case, cases, changed, minimal

REFUSED_BY_MODELS_TOO = [
    case
    for case in cases("bad/hostile.yaml", "bad/names.yaml")
    if not any("unknown field" in part or "metadata.name" in part for part in case.says)
    and case.name != "address with a broken port"  # only the server parses addresses
]


def service(**change: Any) -> RagService:
    return RagService.model_validate(changed(minimal(), change))


def test_defaults_reach_the_last_field() -> None:
    spec = service().spec

    assert spec.index.chunking.max_characters == 1200
    assert spec.vector_store.qdrant is not None
    assert spec.vector_store.qdrant.resources.limits.memory == "1Gi"
    assert spec.api.auth.mode is AuthMode.API_KEY
    assert spec.api.resources.requests.memory == "128Mi"


def test_part_of_a_resource_keeps_the_other_defaults() -> None:
    resources = service(**{"spec.api.resources": {"requests": {"cpu": 2}}}).spec.api.resources

    assert (resources.requests.cpu, resources.requests.memory, resources.limits.memory) == ("2", "128Mi", "512Mi")


def test_hyphenated_resource_name_is_kept_on_the_wire() -> None:
    limits = service(**{"spec.api.resources": {"limits": {"ephemeral-storage": "1Gi"}}}).spec.api.resources.limits

    assert limits.model_dump(by_alias=True, exclude_none=True) == {"memory": "512Mi", "ephemeral-storage": "1Gi"}


def test_fields_of_a_newer_definition_are_ignored() -> None:
    assert service(**{"spec.api.newField": 1, "spec.newPart": {"x": 1}, "metadata.managedFields": []}) == service()


def test_objects_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        service().spec.suspend = True


def test_slash_at_the_end_of_an_address_means_nothing() -> None:
    store = service(**{"spec.vectorStore": {"external": {"url": "https://qdrant.example.com/"}}}).spec.vector_store

    assert store.external is not None
    assert store.external.url == "https://qdrant.example.com"


@pytest.mark.parametrize("case", REFUSED_BY_MODELS_TOO, ids=lambda case: case.name.replace(" ", "-"))
def test_text_that_the_server_refuses_is_refused_by_the_models(case: Case) -> None:
    with pytest.raises(ValidationError):
        RagService.model_validate(case.object)


@pytest.mark.parametrize("path", ["spec.prompt.version", "spec.api.image", "spec.index.documents.tenant"])
def test_line_break_at_the_end_is_refused_as_by_the_server(path: str) -> None:
    with pytest.raises(ValidationError):
        service(**{path: "name\n"})


def test_text_that_only_looks_blank_is_taken_as_by_the_server() -> None:
    assert service(**{"spec.prompt.system": "\u00a0"}).spec.prompt.system == "\u00a0"


@pytest.mark.parametrize(
    "change",
    [
        {"spec.vectorStore": {}},
        {"spec.prompt.system": None},
        {"spec.prompt.configMapRef": {"name": "a", "key": "b"}},
        {"spec.index.documents.configMapRef": None},
        {"spec.index.documents.persistentVolumeClaim": {"claimName": "a"}},
        {"spec.api.resources": {"requests": {"cpu": "two"}}},
        {"spec.api.resources": {"requests": {"cpu": True}}},
        {"spec.api.replicas": 21},
    ],
    ids=str,
)
def test_what_the_builders_rely_on_is_checked(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        service(**change)


def test_revision_goes_to_its_record_and_back() -> None:
    revision = Revision(
        number=4,
        weight=25,
        prompt=PromptRelease(version="answer-v1", hash="p", system="Answer.", refusal="No."),
        index=IndexRelease(
            version="docs-v1",
            hash="i",
            collection="ns.faq.docs-v1.i",
            identity=IndexIdentity(provider="BM25"),
            documents=3,
            chunks=8,
        ),
        model=ModelRelease(runtime="Extractive", name="extractive", hash="0" * 16, max_sentences=3),
        retrieval=Retrieval(mode="Sparse", top_k=6, minimum_score=0.5),
    )

    record = RagRevisionSpec.from_contract(revision, "content", Made(image="api:1", render_version="1"))

    assert record.hash == "content"
    assert record.to_contract(25) == revision
    stored = record.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert RagRevisionSpec.model_validate(stored).to_contract(25) == revision
