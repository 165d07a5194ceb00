"""The API server itself holds the operator's account to restricted pods that belong to a RagService."""

import copy
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.fixtures import Cluster
from tests.e2e.kube import wait_for
from tests.golden.rendering import CASES, children

from .conftest import Account, Json, built

pytestmark = pytest.mark.control_plane


@pytest.fixture(scope="module", autouse=True)
def _enforced(program_plane: Cluster) -> None:
    """The API server learns of a new policy a moment after it was made."""
    account = Account(program_plane, "default")
    stray = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stray"}}
    deadline = time.monotonic() + 60
    while account.apply(stray)[0]:
        assert time.monotonic() < deadline, "no policy is enforced"
        time.sleep(0.2)


def child(kind: str) -> Json:
    """A child as the operator makes it."""
    found = next(o for o in children("served") if o["kind"] == kind and o.get("spec", {}).get("clusterIP") != "None")
    return copy.deepcopy(found)


def secret() -> Json:
    """A generated Secret's shape."""
    config_map = child("ConfigMap")
    return {"apiVersion": "v1", "kind": "Secret", "metadata": config_map["metadata"], "type": "Opaque"}


@pytest.mark.parametrize("case", CASES)
def test_everything_that_the_operator_makes_is_let_through(account: Account, case: str) -> None:
    ok, said = account.apply(*children(case))
    assert ok, said
    ok, said = account.create(secret())
    assert ok, said


Change = Callable[[Json], Any]


def pod(change: Change) -> Change:
    """A change of the pod template's spec."""
    return lambda obj: change(obj["spec"]["template"]["spec"])


def container(**fields: Any) -> Change:
    """Other fields of the first container's security context; None takes one away."""

    def change(spec: Json) -> None:
        context = spec["containers"][0]["securityContext"]
        context.update(fields)
        for name in [name for name, value in fields.items() if value is None]:
            del context[name]

    return pod(change)


def token_secret(obj: Json) -> None:
    """The type that makes a controller write an account's token into it."""
    obj["type"] = "kubernetes.io/service-account-token"
    obj["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "default"}


def init_container(spec: Json) -> None:
    """A second container, privileged, that runs first."""
    main = copy.deepcopy(spec["containers"][0])
    for name in ("lifecycle", "startupProbe", "readinessProbe", "livenessProbe"):
        main.pop(name, None)
    main["name"] = "first"
    main["securityContext"]["privileged"] = True
    main["securityContext"]["allowPrivilegeEscalation"] = True
    spec["initContainers"] = [main]


def whole_proc(obj: Json) -> None:
    """Kubernetes itself lets only pods with users of their own have it."""
    obj["spec"]["template"]["spec"]["hostUsers"] = False
    container(procMount="Unmasked")(obj)


def owner(**fields: Any) -> Change:
    """Another owner."""
    return lambda obj: obj["metadata"]["ownerReferences"][0].update(fields)


def of_pod(**fields: Any) -> Change:
    """Other fields of the pod's security context."""
    return pod(lambda spec: spec["securityContext"].update(fields))


BAD: list[tuple[str, str, Change, str]] = [
    ("no owner", "ConfigMap", lambda o: o["metadata"].pop("ownerReferences"), "controller is a RagService"),
    ("an owner that does not control", "ConfigMap", owner(controller=False), "controller is a RagService"),
    (
        "an owner of another kind",
        "Deployment",
        owner(kind="Deployment", apiVersion="apps/v1", blockOwnerDeletion=False),
        "controller is a Rag",
    ),
    (
        "an owner of another group",
        "Service",
        owner(apiVersion="example.com/v1", blockOwnerDeletion=False),
        "controller is a RagService",
    ),
    ("an own Secret", "Secret", lambda o: o["metadata"].pop("ownerReferences"), "controller is a RagService"),
    ("an own revision", "RagRevision", lambda o: o["metadata"].pop("ownerReferences"), "controller is a RagService"),
    ("a token by Secret", "Secret", token_secret, "of type Opaque"),
    ("host network", "Deployment", pod(lambda s: s.update(hostNetwork=True)), "no host namespaces"),
    ("host processes", "StatefulSet", pod(lambda s: s.update(hostPID=True)), "no host namespaces"),
    ("host IPC", "Job", pod(lambda s: s.update(hostIPC=True)), "no host namespaces"),
    ("a host port", "Deployment", pod(lambda s: s["containers"][0]["ports"][0].update(hostPort=8000)), "no host"),
    (
        "a host path",
        "Deployment",
        pod(lambda s: s["volumes"].append({"name": "h", "hostPath": {"path": "/"}})),
        "volumes are ConfigMaps",
    ),
    (
        "a projected token",
        "Job",
        pod(
            lambda s: s["volumes"].append(
                {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
            )
        ),
        "what is projected are Secrets",
    ),
    (
        "a projected token among Secrets",
        "Deployment",
        pod(
            lambda s: s["volumes"].append(
                {
                    "name": "t",
                    "projected": {
                        "sources": [{"secret": {"name": "keys"}}, {"serviceAccountToken": {"path": "token"}}]
                    },
                }
            )
        ),
        "what is projected are Secrets",
    ),
    ("root allowed", "Deployment", of_pod(runAsNonRoot=False), "the pod is not root"),
    ("the user 0", "StatefulSet", of_pod(runAsUser=0), "the pod is not root"),
    ("no seccomp", "Job", of_pod(seccompProfile={"type": "Unconfined"}), "the pod is not root"),
    ("a sysctl", "Deployment", of_pod(sysctls=[{"name": "kernel.msgmax", "value": "1"}]), "the pod is not root"),
    ("an SELinux type", "Deployment", of_pod(seLinuxOptions={"type": "spc_t"}), "the pod is not root"),
    ("no AppArmor", "Deployment", of_pod(appArmorProfile={"type": "Unconfined"}), "the pod is not root"),
    ("no security context", "Job", pod(lambda s: s.pop("securityContext")), "the pod is not root"),
    ("escalation", "Deployment", container(allowPrivilegeEscalation=True), "no privilege, no escalation"),
    ("escalation left open", "Deployment", container(allowPrivilegeEscalation=None), "no privilege, no escalation"),
    ("privileged", "Job", container(privileged=True, allowPrivilegeEscalation=True), "no privilege, no escalation"),
    ("a writable root", "StatefulSet", container(readOnlyRootFilesystem=False), "no privilege, no escalation"),
    ("capabilities kept", "Deployment", container(capabilities=None), "no privilege, no escalation"),
    ("a capability", "Job", container(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}), "no privilege"),
    ("a privileged first container", "Deployment", pod(init_container), "no privilege, no escalation"),
    ("a root container", "Deployment", container(runAsUser=0), "no container lowers"),
    ("a container that may be root", "Deployment", container(runAsNonRoot=False), "no container lowers"),
    ("an open container", "Job", container(seccompProfile={"type": "Unconfined"}), "no container lowers"),
    ("the whole /proc", "Deployment", whole_proc, "no container lowers"),
    ("a token", "Deployment", pod(lambda s: s.update(automountServiceAccountToken=True)), "get no service account"),
    ("a token by default", "Job", pod(lambda s: s.pop("automountServiceAccountToken")), "get no service account"),
    ("a load balancer", "Service", lambda o: o["spec"].update(type="LoadBalancer"), "of type ClusterIP"),
    ("an external address", "Service", lambda o: o["spec"].update(externalIPs=["192.0.2.7"]), "of type ClusterIP"),
    ("another name", "Service", lambda o: o.update(spec={"type": "ExternalName", "externalName": "a.b"}), "of type"),
    ("others' pods", "Service", lambda o: o["spec"].update(selector={"app": "bank"}), "select the pods of a Rag"),
    ("a token by account", "ServiceAccount", lambda o: o.update(automountServiceAccountToken=True), "mount no token"),
]


@pytest.mark.parametrize(("kind", "change", "said"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_the_operator_never_makes_is_refused(program_plane: Cluster, kind: str, change: Change, said: str) -> None:
    account = Account(program_plane, "default")  # which asks nothing of pods by itself
    obj = secret() if kind == "Secret" else child(kind)
    change(obj)
    ok, answer = account.create(obj) if kind == "Secret" else account.apply(obj)
    assert not ok
    assert said in answer
    assert "ValidatingAdmissionPolicy" in answer


def test_others_are_not_held_to_it(program_plane: Cluster, space: str) -> None:
    """Not even an account whose name only resembles the operator's."""
    for name, held in (("robot", False), ("my-rag-operator", False), ("rag-operator", True)):
        user = f"system:serviceaccount:{space}:{name}"
        program_plane.kubectl(
            "-n",
            space,
            "create",
            "rolebinding",
            f"{name}-edits",
            "--clusterrole=edit",
            f"--serviceaccount={space}:{name}",
        )
        stray = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stray"}}
        ok, said = Account(program_plane, space, user).apply(stray)
        assert held is not ok, said


@pytest.fixture
def owned(account: Account) -> Json:
    """A ConfigMap that the operator made for a RagService that exists."""
    service = {
        "apiVersion": "ragserving.dev/v1alpha1",
        "kind": "RagService",
        "metadata": {"name": "served", "namespace": account.namespace},
        "spec": {
            "prompt": {"version": "p1", "system": "Answer."},
            "index": {"version": "i1", "documents": {"configMapRef": {"name": "docs"}}},
        },
    }
    account.cluster.apply(service)
    uid = account.cluster.get("-n", account.namespace, "ragservice", "served")["metadata"]["uid"]
    config_map = child("ConfigMap")
    config_map.pop("immutable", None)
    config_map["metadata"]["ownerReferences"][0]["uid"] = uid
    ok, said = account.apply(config_map, dry_run=False)
    assert ok, said
    return config_map


def test_its_own_are_changed_taken_back_and_deleted(account: Account, owned: Json) -> None:
    name = owned["metadata"]["name"]
    owned["data"] = {"a": "b"}
    assert (True, "") == (account.apply(owned)[0], "")
    strip = '[{"op": "remove", "path": "/metadata/ownerReferences"}, {"op": "remove", "path": "/metadata/labels"}]'
    account.cluster.kubectl("-n", account.namespace, "patch", "configmap", name, "--type=json", "-p", strip)
    ok, said = account.apply(owned)
    assert ok, said
    ok, said = account.run("delete", "configmap", name)
    assert ok, said


def test_what_somebody_else_made_is_neither_taken_nor_deleted(account: Account, owned: Json) -> None:
    metadata = {"name": "users", "namespace": account.namespace}
    account.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}})
    ok, said = account.apply({**owned, "metadata": {**owned["metadata"], "name": "users"}})
    assert not ok
    assert "controls already" in said
    ok, said = account.run("delete", "configmap", "users")
    assert not ok
    assert "controls already" in said


def test_of_pods_one_annotation_is_changed(account: Account) -> None:
    user_pod(account, "ours", {"ragserving.dev/service": "served"})
    user_pod(account, "theirs", {"app": "bank"})

    def annotate(key: str, value: str | None) -> Json:
        return {"metadata": {"annotations": {key: value}}}

    ok, said = account.patch("pods", "ours", annotate("ragserving.dev/table", "abc"))
    assert ok, said
    image = {"spec": {"activeDeadlineSeconds": 5}}
    refused = {
        "another annotation": account.patch("pods", "ours", annotate("seccomp", "x")),
        "an annotation taken away": account.patch("pods", "ours", annotate("team", None)),
        "the spec": account.patch("pods", "ours", image),
        "a label": account.patch("pods", "ours", {"metadata": {"labels": {"app": "bank"}}}),
        "a finalizer": account.patch("pods", "ours", {"metadata": {"finalizers": ["example.com/hold"]}}),
        "another's pod": account.patch("pods", "theirs", annotate("ragserving.dev/table", "abc")),
    }
    assert [] == [name for name, (ok, _) in refused.items() if ok]
    assert [] == [name for name, (_, said) in refused.items() if "ValidatingAdmissionPolicy" not in said]


def test_of_pods_only_a_stores_are_deleted(account: Account) -> None:
    labels = {"ragserving.dev/service": "served", "app.kubernetes.io/component": "qdrant"}
    theirs = {"app.kubernetes.io/component": "qdrant"}
    for name, found in (
        ("store", labels),
        ("api", {**labels, "app.kubernetes.io/component": "api"}),
        ("other", theirs),
    ):
        user_pod(account, name, found)
    ok, said = account.run("delete", "pod", "store", "--wait=false", "--dry-run=server")
    assert ok, said
    assert "only Qdrant's" in account.run("delete", "pod", "api", "--wait=false", "--dry-run=server")[1]
    assert "pods of RagServices" in account.run("delete", "pod", "other", "--wait=false", "--dry-run=server")[1]


def user_pod(account: Account, name: str, labels: dict[str, str]) -> None:
    """A pod that the administrator makes."""
    spec = copy.deepcopy(child("Deployment")["spec"]["template"]["spec"])
    spec.pop("serviceAccountName", None)
    metadata = {"name": name, "namespace": account.namespace, "labels": labels, "annotations": {"team": "a"}}
    default = {"name": "default", "namespace": account.namespace}
    account.cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": default})
    account.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def test_of_pods_only_those_of_the_store_are_deleted(account: Account) -> None:
    account_of_pods = {"name": "default", "namespace": account.namespace}
    account.cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account_of_pods})
    outcomes = {}
    for component, service in (("qdrant", "served"), ("api", "served"), ("qdrant", None)):
        spec = copy.deepcopy(child("Deployment")["spec"]["template"]["spec"])
        spec.pop("serviceAccountName", None)
        labels = {"app.kubernetes.io/component": component} | ({"ragserving.dev/service": service} if service else {})
        metadata = {"name": "doomed", "namespace": account.namespace, "labels": labels}
        account.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        outcomes[component, service] = account.run("delete", "pod", "doomed", "--dry-run=server")
        account.cluster.kubectl(
            "delete", "pod", "doomed", f"--namespace={account.namespace}", "--grace-period=0", "--force"
        )
    assert [("qdrant", "served")] == [case for case, (ok, _) in outcomes.items() if ok]
    assert "only Qdrant" in outcomes["api", "served"][1]


def test_of_volume_claims_the_size_is_changed(account: Account) -> None:
    for name, labels in (("ours", {"ragserving.dev/service": "served"}), ("theirs", {"app": "bank"})):
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        metadata = {"name": name, "namespace": account.namespace, "labels": labels}
        account.cluster.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    larger = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    # The claim is bound to no volume yet, so the API server refuses the growth itself, after the policy has let it pass.
    assert "ValidatingAdmissionPolicy" not in account.patch("persistentvolumeclaims", "ours", larger)[1]
    label = {"metadata": {"labels": {"app": "shop"}}}
    assert "volume claims of RagServices" in account.patch("persistentvolumeclaims", "theirs", label)[1]
    assert "nothing of a volume claim" in account.patch("persistentvolumeclaims", "ours", label)[1]
    assert (
        "nothing of a volume claim"
        in account.patch("persistentvolumeclaims", "ours", {"metadata": {"finalizers": None}})[1]
    )


def test_owner_references_need_the_right_to_finalizers(account: Account) -> None:
    """Where the API server enforces it, a child that blocks its owner's deletion needs `ragservices/finalizers`."""
    role = json.loads(account.cluster.kubectl("get", "clusterrole", "rag-operator", "-o", "json"))
    without = [r for r in role["rules"] if r["resources"] != ["ragservices/finalizers"]]
    assert len(without) == len(role["rules"]) - 1
    patch = {"metadata": {"name": "rag-operator"}, "apiVersion": role["apiVersion"], "kind": "ClusterRole"}
    assert account.apply(child("ConfigMap"))[0]
    try:
        account.cluster.apply({**patch, "rules": without})
        deadline = time.monotonic() + 60
        while (answer := account.apply(child("ConfigMap")))[0]:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert "blockOwnerDeletion" in answer[1]
    finally:
        account.cluster.apply({**patch, "rules": role["rules"]})


def test_the_expressions_fit_the_types(program_plane: Cluster) -> None:
    """The API server's own type check of every policy, done by a controller a moment after it was made."""
    names = [
        o["metadata"]["name"] for o in built(program_plane, "config/admission-policy") if "Binding" not in o["kind"]
    ]
    assert len(names) == 7
    for name in names:
        status = wait_for(
            f"type check of {name}",
            lambda name=name: program_plane.get("validatingadmissionpolicy", name).get("status"),  # type: ignore[misc]
            60,
        )
        assert [] == status.get("typeChecking", {}).get("expressionWarnings", [])
