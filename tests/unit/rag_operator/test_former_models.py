"""Going back to a model brings back that very model: its GPUs, its weights, its cache, and its pods where they still run."""

import json
from typing import Any

import pytest
from rag_operator import names
from rag_operator.api import RagService
from rag_operator.observed import ChildKey, component_of, key_of
from rag_operator.releases.identity import digest
from rag_operator.releases.model import _named, wanted_model
from rag_operator.resources import kept, model

from .test_model_deployment import EPHEMERAL, declared
from .test_model_fetch import variables
from .test_model_status import EXTERNAL, drained, model_children, serving, settle
from .world import NAME, World

Json = dict[str, Any]
A, B = "Qwen/Qwen2.5-1.5B-Instruct", "Qwen/Qwen2.5-7B-Instruct"
BACK = {"model": A}


def deployments(world: World) -> dict[str, Json]:
    """Of model servers, by the name in their template's arguments or by Deployment name."""
    return {key.name: world.objects[key] for key in model_children(world) if key.kind == "Deployment"}


def server_of(world: World, number: int) -> Json:
    """The Deployment of the model of a recorded revision."""
    record = world.objects[ChildKey("RagRevision", names.revision(NAME, number))]
    return deployments(world)[names.model(NAME, record["spec"]["model"]["hash"])]


def pod_spec(deployment: Json) -> Json:
    found: Json = deployment["spec"]["template"]["spec"]
    return found


def fetched(world: World) -> None:
    """Every Job that downloads weights has ended well."""
    end = {"type": "Complete", "status": "True", "lastTransitionTime": world.now.strftime("%Y-%m-%dT%H:%M:%SZ")}
    for key, body in world.objects.items():
        if key.kind == "Job" and component_of(body) == names.COMPONENT_MODEL_FETCH:
            body["status"] = {"conditions": [end]}


async def moved(first: Json, second: Json, **model: Any) -> World:
    """Model A with the settings `first` served as revision 1; B with `second` serves as revision 2, and the server of A is gone."""
    world = World(declared(first, **model))
    await world.run()
    world.controllers_finish()
    world.job_ends()
    fetched(world)
    await settle(world)
    assert world.reason() == ("True", "AllChecksPassed"), world.condition("Ready")
    before = dict.fromkeys(first)
    world.edit(model={"name": B, "vllm": {**before, **second}})
    await world.run()
    fetched(world)
    await settle(world)
    await drained(world)
    assert [revision.model.name for revision in world.table.revisions] == [B]
    assert len(deployments(world)) == 1
    return world


async def test_it_has_the_gpus_that_its_engine_wants() -> None:
    world = await moved({"gpu": {"count": 2}}, {"gpu": {"count": 1}})
    world.edit(rollback=BACK)
    await world.run()

    spec = pod_spec(server_of(world, 1))
    assert "--tensor-parallel-size=2" in spec["containers"][0]["args"]
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}} in spec["volumes"]


def volume(name: str, path: str | None = None) -> Json:
    return {"source": {"persistentVolumeClaim": {"claimName": name, "path": path}, "image": None}}


def source_volume(vllm: Json) -> Json:
    """What a pod mounts for it."""
    claim, image = vllm["source"]["persistentVolumeClaim"], vllm["source"]["image"]
    if claim is not None:
        return {"persistentVolumeClaim": {"claimName": claim["claimName"], "readOnly": True}}
    return {"image": {"reference": image["reference"], "pullPolicy": "IfNotPresent"}}


def image(reference: str, path: str | None = None) -> Json:
    return {"source": {"image": {"reference": reference, "path": path}, "persistentVolumeClaim": None}}


@pytest.mark.parametrize(
    ("first", "second", "weights", "folder"),
    [
        (volume("a", "x"), volume("b", "x"), {"persistentVolumeClaim": {"claimName": "a", "readOnly": True}}, ""),
        (
            image("m/a:1", "x"),
            image("m/b:1", "x"),
            {"image": {"reference": "m/a:1", "pullPolicy": "IfNotPresent"}},
            "/x",
        ),
        (volume("a"), image("m/b:1"), {"persistentVolumeClaim": {"claimName": "a", "readOnly": True}}, ""),
    ],
    ids=["volumes", "images", "volume and image"],
)
async def test_it_mounts_its_own_weights(first: Json, second: Json, weights: Json, folder: str) -> None:
    world = await moved(first, second)
    world.edit(rollback=BACK)
    await world.run()

    spec = pod_spec(server_of(world, 1))
    assert {"name": "weights", **weights} in spec["volumes"]
    assert spec["containers"][0]["args"][0] == f"/var/lib/rag-model{folder}"


async def test_other_mounted_weights_are_another_model_under_the_same_name() -> None:
    world = await serving(declared(volume("a")))
    world.edit(model={"vllm": volume("b")})
    await settle(world)
    assert world.table.revisions[0].number == 2
    world.edit(model={"vllm": volume("a")})
    await settle(world)
    assert world.table.revisions[0].number == 1


async def test_it_is_downloaded_from_its_own_bucket() -> None:
    def bucket(name: str) -> Json:
        place = {"url": f"s3://{name}/m", "endpoint": f"https://{name}.example.com", "region": f"eu-{name}"}
        return {
            "source": {"s3": {**place, "credentialsSecretRef": {"name": f"{name}-keys"}}},
            "cache": {"type": "Volume"},
        }

    world = await moved(bucket("a"), {**bucket("b"), "cache": {"type": "Volume"}})
    for key in [key for key in world.objects if "model-fetch" in key.name]:
        del world.objects[key]  # what was downloaded is known no more
    world.edit(rollback=BACK)
    await world.run()

    (job,) = [body for key, body in world.objects.items() if "model-fetch" in key.name]
    told = variables(job)
    assert (told["RAG_FETCH_REPOSITORY"], told["RAG_FETCH_S3_URL"]) == (A, "s3://a/m")
    assert (told["RAG_FETCH_S3_ENDPOINT"], told["RAG_FETCH_S3_REGION"]) == ("https://a.example.com", "eu-a")
    assert told["AWS_ACCESS_KEY_ID"]["name"] == "a-keys"


async def test_it_asks_the_hub_that_it_came_from() -> None:
    hub = {"endpoint": "https://hub.example.com", "tokenSecretRef": {"name": "hub", "key": "token"}}
    world = await moved({"source": {"hub": hub}}, {**volume("b"), "source": {**volume("b")["source"], "hub": None}})
    world.edit(rollback=BACK)
    await world.run()

    server = server_of(world, 1)
    told = {entry["name"]: entry for entry in pod_spec(server)["containers"][0]["env"]}
    assert told["HF_ENDPOINT"]["value"] == "https://hub.example.com"
    assert told["HF_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "hub", "key": "token"}
    assert pod_spec(server)["containers"][0]["args"][0] == A


async def test_one_that_serves_is_not_restarted_when_the_new_one_finds_no_place() -> None:
    world = await serving(declared({"nodeSelector": {"pool": "a"}}))
    before = server_of(world, 1)["spec"]["template"]
    world.edit(model={"name": B, "vllm": {"nodeSelector": {"pool": "b"}, "gpu": {"count": 2}, "drainSeconds": 99}})
    await world.run()
    assert len(deployments(world)) == 2
    world.edit(rollback=BACK)
    await settle(world)

    assert server_of(world, 1)["spec"]["template"] == before
    assert len(deployments(world)) == 1
    await world.run()
    assert world.writes == []
    world.edit(model={"vllm": {"replicas": 2, "cache": {**EPHEMERAL, "accessMode": "ReadWriteMany"}}})
    await world.run()
    assert server_of(world, 1)["spec"]["replicas"] == 2, "how many there are is said of all models"
    assert server_of(world, 1)["spec"]["template"] == before


async def test_one_that_only_loads_follows_the_placement_of_the_spec() -> None:
    world = await moved({}, {})
    world.edit(rollback=BACK)
    await world.run()
    world.edit(model={"vllm": {"nodeSelector": {"pool": "a"}}})
    await world.run()

    assert pod_spec(server_of(world, 1))["nodeSelector"] == {"pool": "a"}


async def test_it_has_its_cache_although_the_spec_says_nothing_of_it_any_more() -> None:
    world = await moved({}, {})
    world.edit(model={"runtime": "External", "external": EXTERNAL, "vllm": None})
    await settle(world)
    await drained(world)
    world.edit(rollback=BACK)
    await world.run()
    assert f"{NAME}-model-cache" in world.claims
    fetched(world)
    await world.run()

    claims = [one["persistentVolumeClaim"]["claimName"] for one in pod_spec(server_of(world, 1))["volumes"][:1]]
    assert claims == [f"{NAME}-model-cache"]


async def test_who_reads_what_it_waits_for_is_told_that_the_other_model_is_stopped_meanwhile() -> None:
    world = await moved({"cache": {"type": "Volume"}}, {"cache": {"type": "Volume"}})
    for key in [key for key in world.objects if "model-fetch" in key.name]:
        del world.objects[key]
    world.edit(rollback=BACK)
    await world.run()
    assert "Revision 2 serves until then." in world.body["status"]["release"]["waitingFor"]

    fetched(world)
    await world.run()
    await world.run()
    assert server_of(world, 2)["spec"]["replicas"] == 0
    waits = world.body["status"]["release"]["waitingFor"]
    assert (
        "Revision 2 stays until then, but its model server is stopped: spec.model.vllm.cache.accessMode lets one"
        in waits
    )


async def test_api_pods_are_not_told_where_weights_lie() -> None:
    world = await serving(declared(volume("a")))
    record = world.objects[ChildKey("RagRevision", names.revision(NAME, 1))]["spec"]

    assert record["model"]["engine"]["weights"] == {"source": "Volume", "reference": "a"}
    assert world.table.revisions[0].model.engine is not None
    assert world.table.revisions[0].model.engine.weights is None


def as_recorded_by_an_earlier_operator(world: World) -> None:
    """It knew no weights: they were neither in the record of revision 1 nor in the hash of its model."""
    service = RagService.model_validate(world.body)
    now = wanted_model(service)
    assert now.engine is not None
    then = _named(service, service.spec.model, now.engine.model_copy(update={"weights": None}))
    assert then.hash != now.hash

    def renamed(value: Any) -> Any:
        return json.loads(json.dumps(value).replace(now.hash, then.hash).replace(now.hash[:8], then.hash[:8]))

    for body in list(world.objects.values()):
        note = kept.note_of(body) if component_of(body) == names.COMPONENT_MODEL else None
        del world.objects[key_of(body)]
        former = renamed(body)
        if note is not None:
            before = note._replace(subject=digest(model.subject(service, then)), template=renamed(note.template))
            former["metadata"]["annotations"][names.ANNOTATION_RENDERED] = kept.written(before)
        if body["kind"] == "RagRevision":
            del former["spec"]["model"]["engine"]["weights"]
        world.objects[key_of(former)] = former
    world.pods = renamed(world.pods)
    world.restart()
    world.pods_report()


@pytest.mark.parametrize("weights", [volume("a"), volume("a", "x"), image("m/a:1"), image("m/a:1", "x/y")], ids=str)
async def test_mounted_weights_of_an_earlier_operator_are_neither_loaded_anew_nor_released(weights: Json) -> None:
    world = await serving(declared(weights))
    as_recorded_by_an_earlier_operator(world)
    await world.run()
    await world.run()
    assert [write for write in world.writes if write[0] != "status"] == []
    assert len(deployments(world)) == 1
    assert [revision.number for revision in world.table.revisions] == [1]
    assert world.reason() == ("True", "AllChecksPassed")

    world.edit(model={"vllm": {"nodeSelector": {"pool": "b"}}})
    await settle(world)
    assert pod_spec(server_of(world, 1))["nodeSelector"] == {"pool": "b"}
    assert world.table.revisions[0].number == 1

    world.edit(prompt={"version": "answer-v2", "system": "Be brief."})
    await settle(world)
    assert world.table.revisions[0].number == 2
    world.edit(model={"vllm": volume("b")})
    await settle(world)
    await drained(world)
    assert world.table.revisions[0].number == 3
    world.edit(rollback={"revision": 2})
    await world.run()
    volumes = pod_spec(server_of(world, 2))["volumes"]
    assert {"name": "weights", **source_volume(weights)} in volumes, "the first record since then tells it"


async def test_downloaded_weights_of_an_earlier_operator_are_the_same_model() -> None:
    world = await serving(declared())
    del world.objects[ChildKey("RagRevision", names.revision(NAME, 1))]["spec"]["model"]["engine"]["weights"]
    await world.run()
    assert world.writes == []
    world.edit(model={"name": B})
    await settle(world)
    world.edit(model={"name": A})
    await settle(world)
    assert world.table.revisions[0].number == 1
