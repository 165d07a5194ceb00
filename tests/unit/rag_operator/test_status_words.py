"""What the running programs say becomes the right reason, and what is history does not."""

import inspect

import rag_api.retriever
from rag_contract.reports import ReadyCheck
from rag_operator import status
from rag_operator.status.facts import KEY_REFUSED

from .world import NAME, World, running_pod, service

EXTERNAL = {
    "qdrant": None,
    "external": {"url": "http://store.example:6333", "apiKeySecretRef": {"name": "k", "key": "k"}},
}


async def ready_world(**spec: object) -> World:
    world = World(service(**spec))
    await world.until_ready()
    return world


def test_the_apis_words_for_a_refused_key_are_known() -> None:
    assert KEY_REFUSED in inspect.getsource(rag_api.retriever)


async def test_a_refused_store_key_is_not_a_lost_collection() -> None:
    world = await ready_world(vectorStore=EXTERNAL)
    said = ReadyCheck(name="collections", ok=False, message=f"Collection c: The vector store {KEY_REFUSED}.")
    world.pods_report(checks=(said,))
    await world.run()
    assert ("False", "VectorStoreUnauthorized") == world.reason()
    assert ("False", "VectorStoreUnauthorized") == world.reason("IndexReady")
    assert "apiKeySecretRef" in world.condition("VectorStoreReady")["message"]
    assert not status.missing_collection(world.answers)


async def test_a_try_that_failed_is_told_while_the_job_goes_on() -> None:
    world = World()
    await world.run()
    world.controllers_finish()
    world.job_ends("Failed", reason="VectorStoreUnauthorized")
    world.only("Job")["status"] = {"active": 1, "failed": 1}
    await world.run()
    assert ("False", "VectorStoreUnauthorized") == world.reason("IndexReady")
    assert "tries again" in world.condition("IndexReady")["message"]


async def test_an_evicted_api_pod_beside_its_successor_is_history() -> None:
    world = await ready_world()
    evicted = running_pod(f"{NAME}-api-evicted", "api")
    evicted["status"] = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}
    world.pods["evicted"] = evicted
    await world.run()
    assert ("True", "AllChecksPassed") == world.reason()
