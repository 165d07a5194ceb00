"""What the operator renders is what the programs read: their own settings parse it, whole, and nothing is left over."""

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
import rag_api.settings
from rag_contract.environment import (
    API_KEYS_FILE,
    API_KEYS_PATH,
    DOCUMENTS_PATH,
    EMBEDDING_API_KEY_VARIABLE,
    MODEL_KEYS_PATH,
    QDRANT_API_KEY_VARIABLE,
    RELEASES_PATH,
    ApiEnvironment,
    ApiKey,
    IndexerEnvironment,
)
from rag_contract.release_table import FILE_NAME, Endpoint, IndexRelease, ModelRelease, ReleaseTable, Revision
from rag_operator import names
from rag_operator.api import RagService
from rag_operator.observed import component_of
from rag_operator.releases import make_plan
from rag_operator.releases.embedding import wanted_embedder
from rag_operator.releases.identity import index_identity
from rag_operator.releases.model import wanted_model, wanted_policy
from rag_operator.resources import model_keys, secrets
from rag_operator.resources.store import SecretKey

from tests.golden.rendering import CASES, children, observe

Json = dict[str, Any]


def only(case: str, kind: str) -> Json:
    """Of the API or the index; the model server's are read by tests of its own."""
    parts = {names.COMPONENT_API, names.COMPONENT_INDEX}
    (found,) = [child for child in children(case) if child["kind"] == kind and component_of(child) in parts]
    return found


def container(case: str, kind: str) -> Json:
    (found,) = only(case, kind)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def settings_of(case: str) -> dict[str, str]:
    """The variables of an API pod, by way of the ConfigMap that its template names."""
    (source,) = container(case, "Deployment")["envFrom"]
    name = source["configMapRef"]["name"]
    (found,) = [child for child in children(case) if child["kind"] == "ConfigMap" and child["metadata"]["name"] == name]
    return dict(found["data"])


def mounts(case: str, kind: str) -> dict[str, Json]:
    """Volumes by where they are mounted."""
    volumes = {volume["name"]: volume for volume in only(case, kind)["spec"]["template"]["spec"]["volumes"]}
    return {mount["mountPath"]: volumes[mount["name"]] for mount in container(case, kind)["volumeMounts"]}


@pytest.mark.parametrize("case", CASES)
def test_api_settings_are_read_by_the_api(case: str) -> None:
    read = rag_api.settings.load(settings_of(case)).environment
    assert read.service == observe(case).service.metadata.name
    assert set(settings_of(case)) == set(read.to_env())


def test_every_api_setting_of_the_spec_arrives() -> None:
    read = ApiEnvironment.from_env(settings_of("full"))
    told = (
        read.request_timeout_seconds,
        read.stream_timeout_seconds,
        read.queue_timeout_milliseconds,
        read.max_concurrent_requests,
        read.requests_per_minute,
        read.drain_seconds,
    )
    assert told == (30, 90, 500, 8, 0, 20)
    traced = (
        read.tracing_endpoint,
        read.tracing_namespace,
        read.tracing_sample_ratio,
        read.tracing_trust_parent,
    )
    assert traced == ("http://collector.observability.svc:4318", "team-a", 0.25, True)


def test_without_a_collector_the_settings_say_nothing_of_traces() -> None:
    assert not [name for name in settings_of("minimal") if "TRAC" in name]


@pytest.mark.parametrize("case", CASES)
def test_job_settings_are_read_by_the_indexer(case: str) -> None:
    variables = {v["name"]: v["value"] for v in container(case, "Job")["env"] if "value" in v}
    read = IndexerEnvironment.from_env(variables)
    assert set(variables) == set(read.to_env())
    assert read.documents_path == DOCUMENTS_PATH
    assert DOCUMENTS_PATH in mounts(case, "Job")


def test_every_job_setting_of_the_spec_arrives() -> None:
    variables = {v["name"]: v["value"] for v in container("full", "Job")["env"] if "value" in v}
    read = IndexerEnvironment.from_env(variables)
    assert (read.version, read.tenant, read.max_characters, read.overlap_characters) == ("docs-2", "acme", 900, 90)
    assert read.qdrant_url == "http://full-qdrant.team-a.svc:6333"


@pytest.mark.parametrize("case", CASES)
def test_release_table_is_mounted_where_the_api_reads_it(case: str) -> None:
    volume = mounts(case, "Deployment")[RELEASES_PATH]
    name = volume["configMap"]["name"]
    (table,) = [c for c in children(case) if c["kind"] == "ConfigMap" and c["metadata"]["name"] == name]
    assert ReleaseTable.model_validate_json(table["data"][FILE_NAME]).service == observe(case).service.metadata.name


@pytest.mark.parametrize(
    ("case", "secret", "key"), [("minimal", "minimal-client-key", "keys.json"), ("full", "clients", "list.json")]
)
def test_api_keys_are_mounted_where_the_api_reads_them(case: str, secret: str, key: str) -> None:
    source = mounts(case, "Deployment")[API_KEYS_PATH]["secret"]
    assert (source["secretName"], source["optional"]) == (secret, True)
    assert source["items"] == [{"key": key, "path": API_KEYS_FILE}]


def test_without_auth_no_keys_are_mounted_or_made() -> None:
    assert API_KEYS_PATH not in mounts("external", "Deployment")
    assert secrets.wanted(observe("external").service) == []


@pytest.mark.parametrize(
    ("case", "reads", "writes"),
    [
        ("minimal", ("minimal-qdrant-key", "read-only-api-key"), ("minimal-qdrant-key", "api-key")),
        ("full", ("store", "write"), ("store", "write")),
        ("external", ("store", "key"), ("store", "key")),
    ],
)
def test_who_gets_which_key_of_the_store(case: str, reads: tuple[str, str], writes: tuple[str, str]) -> None:
    def reference(kind: str) -> tuple[str, str]:
        (found,) = [v for v in container(case, kind)["env"] if v["name"] == QDRANT_API_KEY_VARIABLE]
        source = found["valueFrom"]["secretKeyRef"]
        return source["name"], source["key"]

    assert reference("Deployment") == reads
    assert reference("Job") == writes


def test_generated_client_key_opens_the_api() -> None:
    svc: RagService = observe("minimal").service
    body = secrets.build(svc, names.client_key("minimal"), lambda: "plain-key")
    plain, listed = (decoded(body["data"][key]) for key in (names.CLIENT_KEY, API_KEYS_FILE))
    assert plain == "plain-key"
    assert plain not in listed
    (key,) = parsed(listed)
    assert key.tenant == "default"
    assert key.sha256 == sha256(plain)


def test_generated_keys_of_the_store_differ() -> None:
    tokens = iter(("one", "two"))
    body = secrets.build(observe("minimal").service, names.qdrant_key("minimal"), lambda: next(tokens))
    assert sorted(map(decoded, body["data"].values())) == ["one", "two"]


def decoded(text: str) -> str:
    return base64.b64decode(text).decode()


def parsed(text: str) -> list[ApiKey]:
    return [ApiKey.model_validate(item) for item in json.loads(text)]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_every_embedding_setting_of_the_spec_arrives() -> None:
    variables = {v["name"]: v["value"] for v in container("vectors", "Job")["env"] if "value" in v}
    identity = IndexerEnvironment.from_env(variables).identity()
    assert identity == index_identity(observe("vectors").service.spec)
    assert (identity.model, identity.revision, identity.dimension) == ("org/embeddings", "2026-11", 384)
    (key,) = [v for v in container("vectors", "Job")["env"] if v["name"] == EMBEDDING_API_KEY_VARIABLE]
    assert key["valueFrom"]["secretKeyRef"] == {"name": "models", "key": "embed"}


def test_keys_of_model_servers_are_mounted_where_the_api_reads_them() -> None:
    projected = mounts("vectors", "Deployment")[MODEL_KEYS_PATH]["projected"]
    files = {
        item["path"]: (source["secret"]["name"], item["key"])
        for source in projected["sources"]
        for item in source["secret"]["items"]
    }
    assert files == {
        "models/chat": ("models", "chat"),
        "models/embed": ("models", "embed"),
        "spare/token": ("spare", "token"),
    }
    assert all(source["secret"]["optional"] for source in projected["sources"])
    spec = observe("vectors").service.spec
    endpoints = [*wanted_model(observe("vectors").service).endpoints, wanted_embedder(spec)]
    endpoints += [fallback.endpoint for fallback in wanted_policy(spec).fallbacks]
    assert {endpoint.key for endpoint in endpoints if endpoint is not None} == set(files)


def test_without_servers_elsewhere_no_model_keys_are_mounted() -> None:
    assert MODEL_KEYS_PATH not in mounts("full", "Deployment")


def test_keys_of_retained_revisions_stay_mounted() -> None:
    observed = observe("vectors")
    plan = make_plan(observed)
    old = Endpoint(url="http://old", model="m", key="old/key")
    model = ModelRelease(runtime="External", name="m", hash="h", endpoints=(old,))
    index = IndexRelease(
        version="v", hash="h", collection="c", identity=index_identity(observed.service.spec), documents=1, chunks=1
    )
    assert plan.prompt is not None
    revision = Revision(number=1, weight=100, prompt=plan.prompt, index=index, model=model, retrieval=plan.retrieval)
    found = model_keys.references(observed.service, replace(plan, retained=(revision,)))
    assert SecretKey("old", "key") in found
    assert SecretKey("models", "chat") in found
