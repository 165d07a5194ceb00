"""No apply without need, and none forgotten: what differs, what is owned and no longer wanted, what is not ours."""

import json
from typing import Any

import pytest
from rag_operator import quantities
from rag_operator.cluster.differs import differs

from .world import merged

Json = dict[str, Any]

DESIRED: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "a", "labels": {"team": "x"}, "ownerReferences": [{"uid": "u", "controller": True}]},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "api",
                        "image": "api:1",
                        "env": [],
                        "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}],
                        "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}},
                        "envFrom": [{"configMapRef": {"name": "s"}}],
                    }
                ]
            }
        },
    },
}
OWNED: Json = {
    "f:metadata": {"f:labels": {"f:team": {}}, "f:ownerReferences": {'k:{"uid":"u"}': {}}},
    "f:spec": {
        "f:replicas": {},
        "f:template": {
            "f:spec": {
                "f:containers": {
                    'k:{"name":"api"}': {
                        ".": {},
                        "f:name": {},
                        "f:image": {},
                        "f:env": {},
                        "f:envFrom": {},
                        "f:ports": {
                            'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:name": {}}
                        },
                        "f:resources": {"f:requests": {"f:cpu": {}, "f:memory": {}}},
                    }
                }
            }
        },
    },
}


def container(**more: Any) -> Json:
    base = DESIRED["spec"]["template"]["spec"]["containers"][0]
    stored = {
        **base,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
    }
    del stored["env"]
    return merged(stored, more)


def live(owned: Json = OWNED, **of_container: Any) -> Json:
    """As the server stores it: defaults added, empty lists dropped, quantities in its own form."""
    body = merged(DESIRED, {"metadata": {"uid": "d", "labels": {"other": "y"}}, "status": {"replicas": 1}})
    body["spec"]["template"]["spec"]["containers"] = [container(**of_container), {"name": "injected"}]
    body["metadata"]["managedFields"] = [
        {"manager": "rag-operator", "operation": "Apply", "fieldsV1": owned},
        {"manager": "other", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}},
    ]
    return body


def test_defaults_foreign_fields_and_other_spellings_are_no_difference() -> None:
    assert not differs(DESIRED, live())


@pytest.mark.parametrize(
    "change",
    [
        {"image": "api:2"},
        {"image": None},
        {"ports": []},
        {"ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"}]},
        {"resources": {"requests": {"cpu": "2"}}},
        {"envFrom": [{"configMapRef": {"name": "s"}}, {"configMapRef": {"name": "more"}}]},
        {"envFrom": None},
    ],
)
def test_changed_or_lost_fields_differ(change: Json) -> None:
    assert differs(DESIRED, live(**change))


@pytest.mark.parametrize("path", [("metadata", "labels"), ("metadata", "ownerReferences"), ("spec", "replicas")])
def test_lost_branches_differ(path: tuple[str, str]) -> None:
    body = live()
    del body[path[0]][path[1]]
    assert differs(DESIRED, body)


@pytest.mark.parametrize(
    "owned",
    [
        {"f:spec": {"f:paused": {}}},
        {"f:metadata": {"f:labels": {"f:gone": {}}}},
        {"f:metadata": {"f:ownerReferences": {'k:{"uid":"old"}': {}}}},
        {"f:metadata": {"f:finalizers": {".": {}, 'v:"x"': {}}}},
    ],
)
def test_owned_and_no_longer_wanted_differs(owned: Json) -> None:
    assert differs(DESIRED, live(owned))


def test_owned_item_of_a_list_that_is_no_longer_wanted_differs() -> None:
    more = json.loads(json.dumps(OWNED))
    more["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"sidecar"}'] = {".": {}, "f:name": {}}
    assert differs(DESIRED, live(more))


def test_what_others_own_is_not_ours_to_remove() -> None:
    assert not differs(DESIRED, live({}))


@pytest.mark.parametrize(
    ("one", "other"), [("1", "1000m"), ("1Gi", "1024Mi"), ("0.5", "500m"), ("1e3", "1k"), (".5", "500m"), ("2", "2")]
)
def test_equal_quantities(one: str, other: str) -> None:
    assert quantities.same(one, other)


@pytest.mark.parametrize(("one", "other"), [("1", "2"), ("1G", "1Gi"), ("a", "b"), ("1", ""), ("1Zi", "1")])
def test_unequal_quantities(one: str, other: str) -> None:
    assert not quantities.same(one, other)


def test_order_of_quantities() -> None:
    assert quantities.less("5Gi", "6Gi")
    assert not quantities.less("6Gi", "5Gi")
    assert not quantities.less("x", "5Gi")
