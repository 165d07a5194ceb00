"""What people may do: the roles for users by themselves, and through the cluster's own admin, edit and view."""

import time
from typing import NamedTuple

import pytest

from tests.cluster.fixtures import Cluster, new_namespace

from .conftest import Account

pytestmark = pytest.mark.control_plane
READ = ("get", "list", "watch")
WRITE = ("create", "update", "patch", "delete")
SERVICES, REVISIONS = "ragservices.ragserving.dev", "ragrevisions.ragserving.dev"


class Person(NamedTuple):
    """Who, by which of our roles, by which of the cluster's, and what that lets one do to RagServices."""

    name: str
    role: str
    aggregated: str
    verbs: tuple[str, ...]
    scales: bool


PEOPLE = (
    Person("viewer", "ragservice-viewer", "view", READ, scales=False),
    Person("editor", "ragservice-editor", "edit", READ + WRITE, scales=True),
    Person("admin", "ragservice-admin", "admin", (*READ, *WRITE, "deletecollection"), scales=True),
)


def bind(plane: Cluster, namespace: str, user: str, role: str) -> Account:
    """A user with one cluster role in one namespace."""
    plane.kubectl("-n", namespace, "create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}")
    return Account(plane, namespace, user)


@pytest.mark.parametrize("through", ["our role", "the cluster's role"])
@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
def test_each_may_what_the_name_says(program_plane: Cluster, space: str, person: Person, through: str) -> None:
    ours = through == "our role"
    account = bind(program_plane, space, f"one-{person.name}", person.role if ours else person.aggregated)
    deadline = time.monotonic() + 60
    while not account.can("list", SERVICES):  # a controller aggregates roles, and the API server's cache follows
        assert time.monotonic() < deadline, "the role has no effect"
        time.sleep(0.2)

    everything = (*READ, *WRITE, "deletecollection")
    assert person.verbs == tuple(verb for verb in everything if account.can(verb, SERVICES))
    assert READ == tuple(verb for verb in everything if account.can(verb, REVISIONS))
    assert person.scales is account.run("auth", "can-i", "patch", SERVICES, "--subresource=scale")[0]
    assert account.run("auth", "can-i", "get", SERVICES, "--subresource=status")[0]
    assert not account.run("auth", "can-i", "patch", SERVICES, "--subresource=status")[0]
    assert not account.can("list", SERVICES, namespace="default")
    if ours:
        assert not account.can("get", "secrets")
        assert not account.can("list", "pods")


def test_nobody_may_anything(program_plane: Cluster, space: str) -> None:
    stranger = Account(program_plane, space, "stranger")
    assert [] == [verb for verb in (*READ, *WRITE) if stranger.can(verb, SERVICES) or stranger.can(verb, REVISIONS)]


def test_an_editor_edits_and_a_viewer_is_refused(program_plane: Cluster) -> None:
    service = {
        "apiVersion": "ragserving.dev/v1alpha1",
        "kind": "RagService",
        "metadata": {"name": "faq"},
        "spec": {
            "prompt": {"version": "p1", "system": "Answer."},
            "index": {"version": "i1", "documents": {"configMapRef": {"name": "docs"}}},
        },
    }
    with new_namespace(program_plane, "people") as space:
        editor = bind(program_plane, space, "some-editor", "ragservice-editor")
        viewer = bind(program_plane, space, "some-viewer", "ragservice-viewer")
        ok, said = editor.apply(service, dry_run=False)
        assert ok, said
        ok, said = editor.run("scale", "ragservice", "faq", "--replicas=2")
        assert ok, said
        ok, said = viewer.run("get", "ragservice", "faq", "-o", "jsonpath={.spec.api.replicas}")
        assert (True, "2") == (ok, said)
        assert "cannot patch" in viewer.apply(service)[1]
        assert "cannot delete" in viewer.run("delete", "ragservice", "faq")[1]
