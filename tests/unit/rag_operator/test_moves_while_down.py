"""The prompt goes back although what it needs to answer is down: the table moves, and Ready is not True until all serves again."""

from rag_operator import names
from rag_operator.observed import ChildKey

from .test_model_deployment import declared
from .test_model_status import loading, serving, settle
from .test_rollback import V2, served, with_two_prompts
from .world import NAME, World


def goes_down(world: World, key: ChildKey) -> None:
    """None of its pods is ready any more."""
    world.objects[key]["status"] |= {"readyReplicas": 0, "availableReplicas": 0}


async def test_prompt_goes_back_while_the_model_server_is_down() -> None:
    world = await serving(declared())
    world.edit(prompt=V2)
    await settle(world)
    (model,) = [key for key in world.objects if key.kind == "Deployment" and f"{NAME}-model-" in key.name]
    loading(world)

    world.edit(rollback={"prompt": "answer-v1"})
    await world.run()
    world.pods_report()
    await world.run()
    assert served(world)[:2] == (1, "answer-v1")
    assert world.reason("ModelReady")[0] == "False"
    assert world.reason()[0] == "False"
    assert model in world.objects

    await settle(world)
    assert world.reason() == ("True", "AllChecksPassed")
    assert served(world)[:2] == (1, "answer-v1")


async def test_prompt_goes_back_while_the_vector_store_is_down() -> None:
    world = await with_two_prompts()
    goes_down(world, ChildKey("StatefulSet", names.qdrant(NAME)))
    world.edit(rollback={"prompt": "answer-v1"})
    await world.run()
    world.pods_report()
    await world.run()
    assert served(world)[:2] == (1, "answer-v1")
    assert world.reason("VectorStoreReady")[0] == "False"
    assert world.reason()[0] == "False"

    await settle(world)
    assert world.reason() == ("True", "AllChecksPassed")
