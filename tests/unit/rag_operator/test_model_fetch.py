"""Weights before GPUs: the cache's claim, the fetch Job, what follows from how it ends, and what people read meanwhile."""

from typing import Any

import pytest
from rag_contract.model_cache import content_key
from rag_contract.model_fetch import FetchProgress, FetchResult
from rag_operator import names
from rag_operator.observed import ChildKey, component_of

from .test_model_status import settle
from .world import NAME, World, running_pod, service

Json = dict[str, Any]

MODEL = "made-up/tiny"
REVISION = "a" * 40
KEY = content_key(MODEL, REVISION)
JOB = ChildKey("Job", f"{NAME}-model-fetch-{KEY[:8]}")
CLAIM = f"{NAME}-model-cache"
GIB = 1 << 30


def world(**vllm: Any) -> World:
    """A service with a model server of ours."""
    model = {"runtime": "VLLM", "name": MODEL, "revision": REVISION, "vllm": vllm}
    return World(service(model=model))


def deployments(world: World) -> list[Json]:
    return [
        o for key, o in world.objects.items() if key.kind == "Deployment" and component_of(o) == names.COMPONENT_MODEL
    ]


def fetch_pod(world: World) -> Json:
    pod = running_pod(f"{JOB.name}-x", names.COMPONENT_MODEL_FETCH)
    pod["metadata"]["labels"]["job-name"] = JOB.name
    world.pods[pod["metadata"]["name"]] = pod
    return pod


def ends(world: World, reason: str = "", message: str = "", /, size: int = 0, **more: Any) -> None:
    """The Job is over, its pod has reported."""
    kind = "Failed" if reason else "Complete"
    time = world.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": kind, "status": "True", "lastTransitionTime": time, "message": "m", **more}
    world.objects[JOB]["status"] = {"conditions": [condition]}
    told = FetchResult(
        outcome="Failed" if reason else "Succeeded",
        key=KEY,
        repository=MODEL,
        reason=reason,
        message=message,
        size=size,
    )
    pod = fetch_pod(world)
    pod["status"] = {
        "phase": "Failed" if reason else "Succeeded",
        "containerStatuses": [{"state": {"terminated": {"exitCode": 2, "message": told.to_json()}}}],
    }


def claim_exists(world: World, created: str = "2026-11-21T07:00:00Z") -> None:
    world.claims[CLAIM]["metadata"] |= {"creationTimestamp": created, "uid": "claim"}


def container(job: Json) -> Json:
    found: Json = job["spec"]["template"]["spec"]["containers"][0]
    return found


def variables(job: Json) -> dict[str, Any]:
    return {v["name"]: v.get("value") or v["valueFrom"]["secretKeyRef"] for v in container(job)["env"]}


async def test_no_gpu_is_asked_for_before_the_weights_are_there() -> None:
    cluster = world()
    await cluster.run()
    assert JOB in cluster.objects
    assert CLAIM in cluster.claims
    assert deployments(cluster) == []
    assert cluster.reason("ModelReady") == ("False", "ModelFetching")
    ends(cluster)
    await cluster.run()
    (server,) = deployments(cluster)
    mounts = {mount["mountPath"]: mount for mount in container(server)["volumeMounts"]}
    weights = mounts[f"/var/cache/rag-model/weights/{KEY}"]
    assert (weights["readOnly"], weights["subPath"]) == (True, f"weights/{KEY}")
    assert f"/var/cache/rag-model/weights/{KEY}" in container(server)["args"]
    assert variables(server)["HF_HUB_OFFLINE"] == "1"
    assert cluster.reason("ModelReady") != ("False", "ModelFetching")


async def test_a_settled_job_costs_no_write() -> None:
    cluster = world()
    await cluster.run()
    await cluster.run()
    await cluster.run()
    assert cluster.writes == []
    ends(cluster)
    await cluster.run()
    await cluster.run()
    await cluster.run()
    assert cluster.writes == []


async def test_how_far_it_is_stands_in_the_status() -> None:
    cluster = world()
    await cluster.run()
    pod = fetch_pod(cluster)
    told = FetchProgress(
        stage="Downloading", bytes_done=3 * GIB, bytes_total=12 * GIB, bytes_per_second=GIB // 10, seconds_left=90
    )
    cluster.fetches[pod["metadata"]["name"]] = told
    cluster.later(3600)  # what is not a download is asked seldom by now
    again = await cluster.run()
    assert again is not None
    assert again <= 5
    assert cluster.body["status"]["modelFetch"] == {
        "bytes": 3 * GIB,
        "totalBytes": 12 * GIB,
        "percent": 25,
        "bytesPerSecond": GIB // 10,
        "secondsLeft": 90,
    }
    message = cluster.condition("ModelReady")["message"]
    assert "25 % of 12.0 GiB at 102.4 MiB/s, 2 min left" in message
    assert JOB.name in message
    await cluster.run()
    assert cluster.writes == []
    cluster.fetches.clear()
    ends(cluster)
    await cluster.run()
    assert "modelFetch" not in cluster.body["status"]


async def test_what_is_kept_and_its_size_stand_in_the_status() -> None:
    cluster = world()
    await cluster.run()
    assert cluster.body["status"]["modelCache"]["kept"] == [{"model": MODEL, "revision": REVISION, "key": KEY}]
    cluster.controllers_finish()
    cluster.job_ends()
    ends(cluster, size=5 * GIB)
    await settle(cluster)
    first = {"model": MODEL, "revision": REVISION, "key": KEY, "bytes": 5 * GIB}
    assert cluster.body["status"]["modelCache"] == {"claim": CLAIM, "bytes": 5 * GIB, "kept": [first]}

    del cluster.objects[JOB]
    del cluster.pods[f"{JOB.name}-x"]
    cluster.edit(model={"name": "made-up/other"})
    await cluster.run()
    other = {"model": "made-up/other", "revision": REVISION, "key": content_key("made-up/other", REVISION)}
    assert cluster.body["status"]["modelCache"] == {"claim": CLAIM, "bytes": 5 * GIB, "kept": [other, first]}

    del cluster.claims[CLAIM]
    await cluster.run()
    assert cluster.body["status"]["modelCache"]["bytes"] == 0, "they went with the volume"


async def test_the_fetchers_own_words_are_shown() -> None:
    cluster = world()
    await cluster.run()
    ends(cluster, "ModelDownloadUnauthorized", 'The hub answers 403: put a token into the Secret "hub".')
    again = await cluster.run()
    assert cluster.reason("ModelReady") == ("False", "ModelDownloadUnauthorized")
    assert 'Secret "hub"' in cluster.condition("ModelReady")["message"]
    assert again is not None
    assert deployments(cluster) == []


async def test_a_failed_job_is_tried_again_after_a_while_and_at_once_after_an_edit() -> None:
    cluster = world()
    await cluster.run()
    ends(cluster, "ModelCacheFull", "The model cache needs more.")
    await cluster.run()
    assert ("delete", "Job", JOB.name) not in cluster.writes
    cluster.later(301)
    await cluster.run()
    assert ("delete", "Job", JOB.name) in cluster.writes
    await cluster.run()
    assert ("apply", "Job", JOB.name) in cluster.writes
    ends(cluster, "ModelCacheFull", "The model cache needs more.")
    cluster.edit(model={"vllm": {"cache": {"size": "200Gi"}}})
    await cluster.run()
    assert ("delete", "Job", JOB.name) in cluster.writes


async def test_a_deadline_is_named() -> None:
    cluster = world()
    await cluster.run()
    ends(cluster, "Interrupted", "stopped", reason="DeadlineExceeded")
    await cluster.run()
    assert "spec.model.vllm.prefetch.deadlineSeconds" in cluster.condition("ModelReady")["message"]


async def test_a_volume_that_was_deleted_is_filled_again() -> None:
    cluster = world()
    await cluster.run()
    claim_exists(cluster)
    ends(cluster)
    await cluster.run()
    assert len(deployments(cluster)) == 1
    claim_exists(cluster, created="2026-11-21T09:00:00Z")
    cluster.later(7200)
    await cluster.run()
    assert ("delete", "Job", JOB.name) in cluster.writes
    assert len(deployments(cluster)) == 1, "what runs is left alone"


async def test_a_job_that_was_cleaned_away_is_not_needed_again_while_the_server_exists() -> None:
    cluster = world()
    await cluster.run()
    ends(cluster)
    await cluster.run()
    del cluster.objects[JOB]
    await cluster.run()
    assert JOB not in cluster.objects
    assert cluster.reason("ModelReady")[1] != "ModelFetching"


async def test_another_model_is_fetched_beside_and_the_old_job_goes() -> None:
    cluster = world()
    await cluster.run()
    cluster.edit(model={"name": "made-up/other"})
    await cluster.run()
    assert ("delete", "Job", JOB.name) in cluster.writes
    await cluster.run()
    assert [key.name for key in cluster.objects if key.kind == "Job" and "fetch" in key.name] != [JOB.name]


async def test_the_claim_is_the_users_unless_it_is_to_be_deleted() -> None:
    cluster = world()
    await cluster.run()
    assert "ownerReferences" not in cluster.claims[CLAIM]["metadata"]
    assert cluster.claims[CLAIM]["metadata"]["labels"][names.LABEL_SERVICE] == NAME
    cluster.edit(deletionPolicy="Delete")
    await cluster.run()
    (owner,) = cluster.claims[CLAIM]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("RagService", NAME)


@pytest.mark.parametrize(("asked", "stored"), [("200Gi", "200Gi"), ("50Gi", "100Gi")])
async def test_the_claim_grows_and_never_shrinks(asked: str, stored: str) -> None:
    cluster = world()
    await cluster.run()
    cluster.edit(model={"vllm": {"cache": {"size": asked}}})
    await cluster.run()
    assert cluster.claims[CLAIM]["spec"]["resources"]["requests"]["storage"] == stored


async def test_without_a_server_of_ours_there_is_no_cache_and_no_job() -> None:
    cluster = World(service())
    await cluster.run()
    assert CLAIM not in cluster.claims
    assert not [key for key in cluster.objects if "fetch" in key.name]


async def test_leaving_the_runtime_keeps_the_weights_and_ends_the_download() -> None:
    cluster = world()
    await cluster.run()
    cluster.edit(model={"runtime": "Extractive"})
    await cluster.run()
    await cluster.run()
    assert CLAIM in cluster.claims
    assert JOB not in cluster.objects
    assert cluster.reason("ModelReady") == ("True", "ExtractiveServing")


async def test_suspending_ends_the_download() -> None:
    cluster = world()
    await cluster.run()
    cluster.edit(suspend=True)
    await cluster.run()
    assert JOB not in cluster.objects
    assert CLAIM in cluster.claims


async def test_the_job_goes_where_the_model_will_run() -> None:
    cluster = world(nodeSelector={"pool": "gpu"}, gpu={"product": "NVIDIA-L4"})
    await cluster.run()
    spec = cluster.objects[JOB]["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"pool": "gpu", "nvidia.com/gpu.product": "NVIDIA-L4"}
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    assert "nvidia.com/gpu" not in container(cluster.objects[JOB])["resources"]["limits"]
    assert spec["volumes"][0]["persistentVolumeClaim"]["claimName"] == CLAIM


async def test_sources_and_their_secrets() -> None:
    hub = {"endpoint": "http://hub.example.com", "tokenSecretRef": {"name": "hub", "key": "token"}}
    cluster = world(source={"hub": hub})
    await cluster.run()
    told = variables(cluster.objects[JOB])
    assert told["HF_ENDPOINT"] == "http://hub.example.com"
    assert told["HF_TOKEN"] == {"name": "hub", "key": "token"}
    assert told["RAG_FETCH_SECRET"] == '"hub" (key "token")'

    bucket = {"url": "s3://models/tiny", "endpoint": "http://store", "credentialsSecretRef": {"name": "store"}}
    cluster = world(source={"s3": bucket})
    await cluster.run()
    (job,) = [o for key, o in cluster.objects.items() if "model-fetch" in key.name]
    told = variables(job)
    assert (told["RAG_FETCH_SOURCE"], told["RAG_FETCH_S3_URL"]) == ("S3", "s3://models/tiny")
    assert told["AWS_ACCESS_KEY_ID"] == {"name": "store", "key": "AWS_ACCESS_KEY_ID"}
    assert told["AWS_SESSION_TOKEN"]["optional"] is True


@pytest.mark.parametrize(
    ("vllm", "location", "volume"),
    [
        (
            {"source": {"persistentVolumeClaim": {"claimName": "models", "path": "tiny"}}},
            "/var/lib/rag-model",
            {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}},
        ),
        (
            {"source": {"image": {"reference": "example.com/models/tiny:1", "path": "files"}}},
            "/var/lib/rag-model/files",
            {"image": {"reference": "example.com/models/tiny:1", "pullPolicy": "IfNotPresent"}},
        ),
    ],
)
async def test_mounted_weights_need_no_job(vllm: Json, location: str, volume: Json) -> None:
    cluster = world(**vllm)
    await cluster.run()
    assert not [key for key in cluster.objects if "model-fetch" in key.name]
    (server,) = deployments(cluster)
    assert location in container(server)["args"]
    volumes = {v["name"]: v for v in server["spec"]["template"]["spec"]["volumes"]}
    assert volumes["weights"] == {"name": "weights", **volume}
    assert variables(server)["HF_HUB_OFFLINE"] == "1"


async def test_an_ephemeral_cache_needs_no_job_and_no_claim() -> None:
    cluster = world(cache={"type": "Ephemeral", "size": "30Gi"})
    await cluster.run()
    assert not [key for key in cluster.objects if "model-fetch" in key.name]
    assert CLAIM not in cluster.claims
    (server,) = deployments(cluster)
    volumes = {v["name"]: v for v in server["spec"]["template"]["spec"]["volumes"]}
    assert volumes["model-cache"] == {"name": "model-cache", "emptyDir": {"sizeLimit": "30Gi"}}
    assert MODEL in container(server)["args"]
    assert "HF_HUB_OFFLINE" not in variables(server)


async def test_what_stays_in_the_cache_is_said_once_and_does_not_make_the_job_anew() -> None:
    cluster = world()
    await cluster.run()
    job = cluster.objects[JOB]
    assert KEY in variables(job)["RAG_FETCH_KEEP"].split(",")
    for variable in container(job)["env"]:
        if variable["name"] == "RAG_FETCH_KEEP":
            variable["value"] = "0123456789abcdef"
    await cluster.run()
    assert [write for write in cluster.writes if write[1] == "Job"] == []
