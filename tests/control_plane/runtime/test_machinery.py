"""Client, informer and Lease against the real API server."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from rag_operator.runtime import login
from rag_operator.runtime.client import ApiError, Client
from rag_operator.runtime.informer import Informer
from rag_operator.runtime.kinds import CONFIG_MAP, LEASE, NAMESPACE
from rag_operator.runtime.lease import LeaderElection, LeaseTimes
from rag_operator.runtime.login import Login, LoginError

from tests.cluster.fixtures import Cluster, PrivateControlPlane
from tests.unit.runtime.waiting import eventually

pytestmark = pytest.mark.control_plane
Json = dict[str, Any]


@pytest.fixture
async def client(access: Login) -> AsyncIterator[Client]:
    async with Client(access) as made:
        yield made


def config_map(namespace: str, name: str = "a", **data: str) -> Json:
    metadata = {"namespace": namespace, "name": name, "labels": {"test": "yes"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def test_an_apply_that_changes_nothing_keeps_the_version(client: Client, namespace: str) -> None:
    first = await client.apply(config_map(namespace, key="1"))
    again = await client.apply(config_map(namespace, key="1"))
    changed = await client.apply(config_map(namespace, key="2"))
    versions = [body["metadata"]["resourceVersion"] for body in (first, again, changed)]
    assert versions[0] == versions[1] != versions[2]
    assert {("ConfigMap", "apply"): 3} == client.writes


async def test_apply_gives_up_only_what_is_ours(client: Client, namespace: str) -> None:
    await client.apply(config_map(namespace, ours="1", shared="1"))
    await client.merge_patch(CONFIG_MAP, namespace, "a", {"data": {"theirs": "1"}})
    body = await client.apply(config_map(namespace, shared="2"))
    assert {"shared": "2", "theirs": "1"} == body["data"]


async def test_an_apply_of_something_new_never_changes_what_exists(client: Client, namespace: str) -> None:
    made = await client.apply(config_map(namespace, key="1"), only_new=True)
    assert ["Apply"] == [entry["operation"] for entry in made["metadata"]["managedFields"]]
    with pytest.raises(ApiError) as caught:
        await client.apply(config_map(namespace, key="2"), only_new=True)
    assert caught.value.is_conflict
    assert {"key": "1"} == (await client.get(CONFIG_MAP.path(namespace, "a")))["data"]


async def test_a_cache_of_metadata_is_sent_no_contents(client: Client, namespace: str) -> None:
    """By its lists and by its watches: so those of others cost neither wire nor memory."""
    sent: list[Json] = []

    def whole(obj: Json) -> Json:
        sent.append(obj)
        return obj

    await client.create(config_map(namespace, "listed", key="1"))
    informer = Informer(client, CONFIG_MAP, namespace=namespace, label_selector="test", metadata_only=True, trim=whole)
    running = asyncio.create_task(informer.run())
    try:
        await asyncio.wait_for(informer.synced.wait(), 10)
        await client.create(config_map(namespace, "watched", key="1"))
        await eventually(["listed", "watched"], lambda: [obj["metadata"]["name"] for obj in informer.items()])
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [{"apiVersion", "kind", "metadata"}] * 2 == [set(obj) for obj in sent]


async def test_dry_run_stores_nothing(client: Client, namespace: str) -> None:
    await client.apply(config_map(namespace, key="1"), dry_run=True)
    with pytest.raises(ApiError) as caught:
        await client.get(CONFIG_MAP.path(namespace, "a"))
    assert caught.value.is_not_found


async def test_delete_spares_what_was_changed_or_made_anew(client: Client, namespace: str) -> None:
    seen = (await client.apply(config_map(namespace, key="1")))["metadata"]
    now = (await client.apply(config_map(namespace, key="2")))["metadata"]
    for uid, version in ((now["uid"], seen["resourceVersion"]), ("another-uid", now["resourceVersion"])):
        with pytest.raises(ApiError) as caught:
            await client.delete(CONFIG_MAP, namespace, "a", uid=uid, resource_version=version)
        assert caught.value.is_conflict
    await client.delete(CONFIG_MAP, namespace, "a", uid=now["uid"], resource_version=now["resourceVersion"])
    await client.delete(CONFIG_MAP, namespace, "a", uid=now["uid"], resource_version=now["resourceVersion"])


async def test_a_second_create_is_told_apart_from_a_conflict(client: Client, namespace: str) -> None:
    await client.create(config_map(namespace))
    with pytest.raises(ApiError) as caught:
        await client.create(config_map(namespace))
    assert caught.value.is_already_exists
    assert not caught.value.is_conflict


async def test_the_informer_pages_follows_and_finds_what_it_missed(client: Client, namespace: str) -> None:
    for number in range(5):
        await client.create(config_map(namespace, f"m{number}", key="1"))
    changes: list[tuple[Json | None, Json | None]] = []
    informer = Informer(
        client,
        CONFIG_MAP,
        namespace=namespace,
        label_selector="test=yes",
        page_size=2,
        on_change=lambda old, new: changes.append((old, new)),
    )
    task = asyncio.create_task(informer.run())
    try:
        await asyncio.wait_for(informer.synced.wait(), 10)
        assert 5 == len(informer)
        await client.apply(config_map(namespace, "m1", key="2"))
        await eventually("2", lambda: value(informer, namespace, "m1"))
        await client.merge_patch(CONFIG_MAP, namespace, "m2", {"metadata": {"labels": {"test": None}}})
        await eventually(None, lambda: informer.get(namespace, "m2"))
        answer = await client.apply(config_map(namespace, "m3", key="3"))
        informer.absorb(answer)
        assert "3" == value(informer, namespace, "m3")
        before = len(changes)
        informer.resync()
        await eventually(2, lambda: informer.lists)
        await asyncio.sleep(0.1)
        assert before == len(changes), "an unchanged world is no change"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def value(informer: Informer, namespace: str, name: str) -> str | None:
    body = informer.get(namespace, name)
    return body["data"]["key"] if body else None


async def test_a_forgotten_version_is_recognised(private_control_plane: PrivateControlPlane) -> None:
    """A server that was started anew knows no event from before."""
    access = login.load(str(private_control_plane.kubeconfig))
    async with Client(access) as client:
        first = await client.apply(config_map("default", key="1"))
        for number in range(20):
            await client.apply(config_map("default", key=str(number)))
    await asyncio.to_thread(private_control_plane.stop)
    await asyncio.to_thread(private_control_plane.start)

    async def first_event(client: Client) -> Json:
        async for event in client.watch(CONFIG_MAP, "default", resource_version=first["metadata"]["resourceVersion"]):
            return event
        raise AssertionError("the stream ended")

    async with Client(access) as client:
        with pytest.raises(ApiError) as caught:
            await first_event(client)
        assert caught.value.is_gone


async def test_the_lead_passes_on(access: Login, namespace: str) -> None:
    times = LeaseTimes(duration=2.0, renew=1.4, retry=0.2, call=1.0)
    losses: list[str] = []
    async with Client(access) as one, Client(access) as two:

        def contender(client: Client, name: str) -> LeaderElection:
            return LeaderElection(
                client,
                namespace,
                "operator",
                name,
                now=lambda: datetime.now(UTC),
                lost=lambda: losses.append(name),
                times=times,
            )

        first, second = contender(one, "one"), contender(two, "two")
        first_task = asyncio.create_task(first.run())
        await asyncio.wait_for(first.leading.wait(), 5)
        second_task = asyncio.create_task(second.run())
        await asyncio.sleep(1.0)
        assert (True, False) == (first.held, second.held)
        first_task.cancel()  # as by SIGKILL: nothing is given back
        await asyncio.wait_for(second.leading.wait(), 6)
        assert not first.held
        lease = await two.get(LEASE.path(namespace, "operator"))
        assert ("two", 1) == (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"])
        second_task.cancel()
        await asyncio.gather(first_task, second_task, return_exceptions=True)
        await second.release()
        assert "" == (await two.get(LEASE.path(namespace, "operator")))["spec"].get("holderIdentity", "")
    assert [] == losses


# -- login -------------------------------------------------------------------------------------------------------------


def kubeconfig_with(cluster: Cluster, folder: Path, user: Json) -> str:
    """The bench's kubeconfig with another user in it."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = user
    config["contexts"][0]["context"]["namespace"] = "team-a"
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def service_account_token(cluster: Cluster, namespace: str) -> str:
    return cluster.kubectl("-n", namespace, "create", "token", "default").strip()


async def works(found: Login) -> None:
    """The server knows who asks: anonymous requests may not read this."""
    async with Client(found) as client:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}}
        session = client._transport._session
        async with session.post(
            found.server + "/apis/authentication.k8s.io/v1/selfsubjectreviews", json=review
        ) as said:
            name = (await said.json())["status"]["userInfo"]["username"]
    assert name not in {"", "system:anonymous"}


async def test_login_by_certificate_leaves_no_key_behind(cluster: Cluster) -> None:
    before = set(os.listdir(tempfile.gettempdir()))
    for _ in range(2):
        found = login.load(str(cluster.kubeconfig))
        async with Client(found) as client:
            await client.get(NAMESPACE.path(None, "default"))
    left = {name for name in set(os.listdir(tempfile.gettempdir())) - before if name.startswith(("login-", "tmp"))}
    holding = {name for name in left if holds_key(Path(tempfile.gettempdir()) / name)}
    assert set() == holding


def holds_key(path: Path) -> bool:
    return path.is_file() and b"PRIVATE KEY" in path.read_bytes()


async def test_login_by_token(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    found = login.load(kubeconfig_with(cluster, tmp_path, {"token": service_account_token(cluster, namespace)}))
    assert "team-a" == found.namespace
    await works(found)


async def test_login_by_exec_plugin(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    version = "client.authentication.k8s.io/v1"
    credential = {
        "apiVersion": version,
        "kind": "ExecCredential",
        "status": {"token": service_account_token(cluster, namespace)},
    }
    (tmp_path / "credential.json").write_text(json.dumps(credential))
    plugin = {"apiVersion": version, "command": "cat", "args": [str(tmp_path / "credential.json")]}
    await works(login.load(kubeconfig_with(cluster, tmp_path, {"exec": {**plugin, "interactiveMode": "Never"}})))


async def test_a_server_with_another_certificate_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    authority = cluster.control_plane.authority
    other = tmp_path / "other.pem"
    other.write_text(Path(authority.certificate).read_text())
    config["clusters"][0]["cluster"] |= {"tls-server-name": "somebody.else.example"}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    async with Client(login.load(str(path))) as client:
        with pytest.raises(Exception, match="ertificate"):
            await client.get("/api")


def test_no_kubeconfig_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(LoginError, match="KUBECONFIG"):
        login.load(str(tmp_path / "absent"))
