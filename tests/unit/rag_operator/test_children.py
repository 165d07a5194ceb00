"""Taking back a child that lost its label or its owner."""

from typing import Any, cast

import pytest
from rag_operator import names
from rag_operator.cluster.caches import Caches
from rag_operator.cluster.children import Children
from rag_operator.runtime.client import Client
from rag_operator.runtime.errors import ApiError, Unreachable
from rag_operator.runtime.kinds import Kind

Json = dict[str, Any]

OURS = {"kind": "RagService", "name": "handbook", "uid": "u", "controller": True}
THEIRS = {"kind": "ConfigMap", "name": "theirs", "uid": "v"}


class Server:
    """A double of the client: one object is there, under the name that is to be made."""

    def __init__(self, body: Json) -> None:
        self.body = body
        self.patches: list[Json] = []
        self.error: ApiError | None = None

    async def apply(self, desired: Json, *, only_new: bool = False) -> Json:
        raise ApiError(409, "Conflict", "the resourceVersion is another")

    async def find(self, kind: Kind, namespace: str, name: str) -> Json:
        return self.body

    async def merge_patch(self, kind: Kind, namespace: str, name: str, patch: Json) -> Json:
        if self.error is not None:
            raise self.error
        self.patches.append(patch["metadata"])
        return {**self.body, "metadata": self.body["metadata"] | patch["metadata"]}


class Cache:
    """A double of an informer."""

    def absorb(self, obj: Json, *, quiet: bool = False) -> None:
        """Nothing is looked up here."""


def child(owners: list[Json], labels: Json | None = None) -> Json:
    metadata: Json = {
        "namespace": "n",
        "name": "handbook-api",
        "uid": "c",
        "resourceVersion": "1",
        "ownerReferences": owners,
    }
    applied = {"manager": names.FIELD_MANAGER, "operation": "Apply", "fieldsV1": {}}
    metadata |= {"labels": labels or {}, "managedFields": [applied]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata}


WANTED = child([OURS], {names.LABEL_SERVICE: "handbook"})


def children_on(server: Server) -> Children:
    return Children(cast(Client, server), cast(Caches, {"Service": Cache()}), lambda uid: None)


@pytest.mark.parametrize("left", [[THEIRS, OURS], [THEIRS], [THEIRS, OURS | {"controller": False}]])
async def test_owners_that_others_gave_stay(left: list[Json]) -> None:
    server = Server(child(left))
    await children_on(server).apply(WANTED, None)
    (patch,) = server.patches
    assert [THEIRS, OURS] == patch["ownerReferences"]
    assert WANTED["metadata"]["labels"] == patch["labels"]
    assert ("c", "1") == (patch["uid"], patch["resourceVersion"]), "of what was seen and nothing else"


async def test_what_is_changed_meanwhile_is_tried_again_and_no_refusal() -> None:
    server = Server(child([THEIRS]))
    server.error = ApiError(409, "Conflict", "the object has been modified")
    with pytest.raises(Unreachable):
        await children_on(server).apply(WANTED, None)
