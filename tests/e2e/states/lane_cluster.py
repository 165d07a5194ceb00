"""Rows about what the cluster's owner sets: quotas, ranges, policies, classes, taints; and objects of others in the way."""

from .facts import refused_pods, unplaced, warned
from .parts import born, both, documents, gone, kill, present
from .place import Json, Place, until
from .run import Act, Lane, Row, nothing

CORE = "v1"
REFUSED = ("AdmissionRefused", "QuotaExceeded", "WaitingForIndex", "IndexBuilding", "QdrantStarting", "VolumePending")


def quota(**hard: str) -> Json:
    """A ResourceQuota; `__` stands for `/`."""
    limits = {name.replace("__", "/"): value for name, value in hard.items()}
    return {"apiVersion": CORE, "kind": "ResourceQuota", "metadata": {"name": "tight"}, "spec": {"hard": limits}}


RANGE: Json = {
    "apiVersion": CORE,
    "kind": "LimitRange",
    "metadata": {"name": "small"},
    "spec": {"limits": [{"type": "Container", "max": {"memory": "32Mi"}}]},
}


def set_first(plural: str, body: Json) -> Act:
    """The object is there before the service comes."""
    return both(documents(), present(plural, body), born())


def lifted(plural: str, name: str) -> Act:
    """The object goes."""
    return lambda place: place.delete(plural, name)


def policy(namespace: str, resource: str, group: str) -> tuple[Json, Json]:
    """A ValidatingAdmissionPolicy that takes no `resource` in one namespace, and its binding."""
    name = f"states-no-{resource}-{namespace}"[:63]
    kind = {"apiVersion": "admissionregistration.k8s.io/v1"}
    rules = [{"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"], "resources": [resource]}]
    spec: Json = {
        "matchConstraints": {"resourceRules": rules},
        "validations": [{"expression": "false", "message": f"house rule 7: no {resource} here"}],
    }
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": here}}
    return (
        {**kind, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec},
        {**kind, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": binding},
    )


def forbid(resource: str, group: str = "") -> Act:
    """The policy is in force."""

    def act(place: Place) -> None:
        rule, binding = policy(place.namespace, resource, group)
        place.put("validatingadmissionpolicies", rule)
        place.put("validatingadmissionpolicybindings", binding)
        _wait_in_force(place, resource)

    return act


RESTRICTED: Json = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
NO_RIGHTS: Json = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _wait_in_force(place: Place, resource: str) -> None:
    """The API server takes a policy up a moment after it is made."""
    probes: dict[str, Json] = {
        "pods": {
            "securityContext": RESTRICTED,
            "containers": [{"name": "x", "image": "x", "securityContext": NO_RIGHTS}],
        },
        "services": {"ports": [{"port": 80}]},
    }
    body = {"apiVersion": CORE, "kind": resource[:-1].title(), "metadata": {"name": "probe"}, "spec": probes[resource]}
    path = place.path(resource, query="dryRun=All")
    until("the policy", lambda: "house rule" in str(place.server.send("POST", path, body)[1]), 20, pause=0.3)


def allow(resource: str, group: str = "") -> Act:
    """The policy goes."""

    def act(place: Place) -> None:
        rule, binding = policy(place.namespace, resource, group)
        place.delete("validatingadmissionpolicybindings", binding["metadata"]["name"])
        place.delete("validatingadmissionpolicies", rule["metadata"]["name"])

    return act


def storage_class(place: Place) -> None:
    """The class that was missing, by the bench's own provisioner."""
    status, found = place.server.send("GET", place.path("storageclasses"))
    assert status == 200, found
    kept = {key: value for key, value in found["items"][0].items() if key != "metadata"}
    kind = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass"}
    place.put("storageclasses", {**kept, **kind, "metadata": {"name": class_name(place)}})


def class_name(place: Place) -> str:
    """A storage class of this namespace's own."""
    return f"states-{place.namespace}"[:60]


def without_class(place: Place) -> None:
    """A service whose storage class does not exist."""
    documents()(place)
    born(vectorStore={"qdrant": {"storage": {"size": "1Gi", "storageClassName": class_name(place)}}})(place)


def stranger(place: Place) -> None:
    """Somebody else's Service bears the name that ours would have."""
    documents()(place)
    spec = {"ports": [{"port": 80}], "selector": {"app": "theirs"}}
    place.put(
        "services", {"apiVersion": CORE, "kind": "Service", "metadata": {"name": f"{place.name}-api"}, "spec": spec}
    )
    born()(place)


def taint(place: Place, value: list[Json] | None) -> None:
    """Taints of the real node."""
    status, found = place.server.send("GET", place.path("nodes"))
    assert status == 200, found
    for node in found["items"]:
        if "rag-bench" in node["metadata"]["name"]:
            place.patch("nodes", node["metadata"]["name"], {"spec": {"taints": value}})


def tainted(place: Place) -> None:
    """A service on a node that takes no pods."""
    documents()(place)
    taint(place, [{"key": "maintenance", "value": "tonight", "effect": "NoSchedule"}])
    born()(place)


def untainted(place: Place) -> None:
    """The node takes pods again."""
    taint(place, None)


def one(name: str, row: Row, clean: Act = nothing) -> Lane:
    """A lane of one row in a namespace of its own."""
    return Lane(name, [row], born=True, own_namespace=True, clean=clean)


no_quota, no_range = lifted("resourcequotas", "tight"), lifted("limitranges", "small")
no_service = gone("services", "{}-api")


def rows_of_rules() -> list[Row]:
    """What the cluster's owner sets, in turn, on one service."""
    exceeded = ("QuotaExceeded", ("exceeded quota", "Raise the quota"))
    return [
        Row("quota leaves no pods to the api", set_first("resourcequotas", quota(pods="0")), "ApiReady", *exceeded,
            nothing, refused_pods, ready_reasons=REFUSED, stays=True),
        Row("quota leaves no pods to the store", nothing, "VectorStoreReady", *exceeded, nothing, warned("FailedCreate"),
            ready_reasons=REFUSED, stays=True),
        Row("quota leaves no pods to the index", nothing, "IndexReady", *exceeded, no_quota, warned("FailedCreate"),
            ready_reasons=REFUSED),
        Row("quota leaves no Services", both(present("resourcequotas", quota(services="0")), no_service), "ApiReady",
            "QuotaExceeded", ("Service rules-api", "exceeded quota"), no_quota, ready_reasons=REFUSED),
        Row("containers may not be that large", both(present("limitranges", RANGE), kill("api")), "ApiReady",
            "AdmissionRefused", ("maximum memory",), no_range, refused_pods, ready_reasons=REFUSED),
        Row("a policy takes no pods", both(forbid("pods"), kill("api")), "ApiReady", "AdmissionRefused",
            ("house rule 7",), allow("pods"), refused_pods, ready_reasons=REFUSED),
        Row("a policy takes no Services", both(forbid("services"), no_service), "ApiReady", "AdmissionRefused",
            ("Service rules-api", "house rule 7"), allow("services"), ready_reasons=REFUSED),
    ]  # fmt: skip


LANES = [
    Lane("rules", rows_of_rules(), born=True, own_namespace=True, clean=both(allow("pods"), allow("services"))),
    one("claimquota", Row("quota leaves no volume", set_first("resourcequotas", quota(persistentvolumeclaims="0")),
        "VectorStoreReady", "QuotaExceeded", ("exceeded quota",), no_quota, warned("FailedCreate"), ready_reasons=REFUSED)),
    one("noclass", Row("storage class is missing", without_class, "VectorStoreReady", "VolumePending",
        ("states-", "storage class"), storage_class, warned("ProvisioningFailed"),
        ready_reasons=REFUSED), clean=lambda place: place.delete("storageclasses", class_name(place))),
    one("stranger", Row("another Service has the name", stranger, "ApiReady", "NameTaken", ("Service stranger-api", "delete or rename"),
        lambda place: place.delete("services", f"{place.name}-api"), ready_reasons=REFUSED)),
]  # fmt: skip
LAST = [
    one("tainted", Row("the node is tainted", tainted, "ApiReady", "Unschedulable", ("untolerated taint", "Make a node fit"),
        untainted, unplaced("api"), ready_reasons=("Unschedulable", "VolumePending")), clean=untainted),
]  # fmt: skip
"""Alone, when the others are done: it concerns every pod that starts meanwhile."""
