"""Rows about the vector store: ours, and one by URL."""

from .facts import ended, listening, silent, unplaced, waiting
from .parts import ABSENT, INDEXER, PULLS, SILENT, born, both, by_hand, edit, kill, make, secret
from .place import Json, Place
from .run import Lane, Row, nothing

SLOW = 8.0
OWN_IMAGE = edit(vectorStore={"qdrant": {"image": None}})
STORE_PARTS = ("QdrantStarting", "ApiStarting")


def qdrant(**more: object) -> Json:
    """A patch of spec.vectorStore.qdrant."""
    return {"qdrant": more}


def rows_of_store() -> list[Row]:
    """Each edit makes the StatefulSet replace its one pod; each repair must get past the broken one."""
    room = {"resources": {"requests": {"cpu": "40m"}}}
    return [
        Row("store image from nowhere", edit(vectorStore=qdrant(image=ABSENT)), "VectorStoreReady", "ImagePullFailed",
            (ABSENT,), OWN_IMAGE, waiting("qdrant", *PULLS)),
        Row("store image is the indexer's", edit(vectorStore=qdrant(image=INDEXER)), "VectorStoreReady", "CrashLoop",
            ("exit code",), OWN_IMAGE, ended("qdrant")),
        Row("store image listens to nobody", edit(vectorStore=qdrant(image=SILENT)), "VectorStoreReady", "ProbeFailing",
            ("refused",), OWN_IMAGE, silent("qdrant", SLOW)),
        Row("store asks for more CPU than there is",
            edit(vectorStore=qdrant(resources={"requests": {"cpu": "900"}})), "VectorStoreReady",
            "InsufficientResources", ("Insufficient cpu",), edit(vectorStore=qdrant(**room)), unplaced("qdrant")),
        Row("store pod is deleted", kill("qdrant"), "VectorStoreReady", "QdrantStarting", ("starting",), nothing,
            ready_reasons=STORE_PARTS),
        Row("store roll-out is held by hand",
            both(by_hand("statefulsets", "{}-qdrant", spec={"updateStrategy": {"rollingUpdate": {"partition": 1}}}),
                 edit(vectorStore=qdrant(resources={"requests": {"cpu": "41m"}}))),
            "VectorStoreReady", "RollOutHeld", ("partition 1",),
            by_hand("statefulsets", "{}-qdrant", spec={"updateStrategy": {"rollingUpdate": {"partition": 0}}})),
    ]  # fmt: skip


def rows_of_key() -> list[Row]:
    """spec.vectorStore.qdrant.apiKeySecretRef."""

    def named(name: str, key: str = "key") -> Json:
        return qdrant(apiKeySecretRef={"name": name, "key": key})

    refused = "CreateContainerConfigError"
    return [
        Row("store key Secret is missing", born(vectorStore=named("admin")), "VectorStoreReady", "SecretMissing",
            ('"admin"', "create it"), secret("admin", key="chosen"), waiting("qdrant", refused)),
        Row("store key is missing in its Secret", edit(vectorStore=named("admin", "other")), "VectorStoreReady",
            "SecretKeyMissing", ('"other"', '"admin"', "add it"), secret("admin", key="chosen", other="chosen"),
            waiting("qdrant", refused)),
    ]  # fmt: skip


def neighbour(place: Place) -> None:
    """Another service's store with a key of its own, to be named by URL."""
    make(
        Place(place.server, place.namespace, "shared"),
        {"vectorStore": qdrant(apiKeySecretRef={"name": "shared", "key": "key"})},
    )
    secret("shared", key="known-key")(place)
    secret("wrong", key="another-key")(place)


def by_url(url: str, key: str = "shared") -> Json:
    """An external store."""
    return {"qdrant": None, "external": {"url": url, "apiKeySecretRef": {"name": key, "key": "key"}}}


def rows_of_url() -> list[Row]:
    """spec.vectorStore.external. The neighbour's store is a good one."""
    good = edit(vectorStore=by_url("http://shared-qdrant:6333"))
    unreachable = ("VectorStoreReady", "VectorStoreUnreachable", ("cannot be reached", "spec.vectorStore.external.url"))
    return [
        Row("external store is nowhere", born(vectorStore=by_url("http://nowhere.invalid:6333")), *unreachable, good,
            listening("api"), true_within=120),
        Row("external store speaks no TLS", edit(vectorStore=by_url("https://shared-qdrant:6333")), *unreachable, good,
            listening("api")),
        Row("external store refuses the key", edit(vectorStore=by_url("http://shared-qdrant:6333", "wrong")),
            "VectorStoreReady", "VectorStoreUnauthorized", ("refused", "apiKeySecretRef"), good, listening("api")),
        Row("external store does not listen there", edit(vectorStore=by_url("http://shared-qdrant:1")), *unreachable,
            good, listening("api")),
    ]  # fmt: skip


LANES = [
    Lane("store", rows_of_store()),
    Lane("storekey", rows_of_key(), born=True),
    Lane("url", rows_of_url(), prepare=neighbour, born=True),
]
