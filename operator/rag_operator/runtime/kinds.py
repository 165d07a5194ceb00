"""Kinds of objects and where the API server keeps them. The table holds what the operator watches or writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource type. `group` is empty for the core API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As in `apiVersion` of an object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Path of the collection, of one object, or of its subresource. Without namespace: across all namespaces."""
        parts = ["/apis" if self.group else "/api", self.api_version]
        if namespace and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        if subresource is not None:
            parts.append(subresource)
        return "/".join(parts)


RAG_SERVICE: Final = Kind("ragserving.dev", "v1alpha1", "ragservices", "RagService")
RAG_REVISION: Final = Kind("ragserving.dev", "v1alpha1", "ragrevisions", "RagRevision")
DEPLOYMENT: Final = Kind("apps", "v1", "deployments", "Deployment")
REPLICA_SET: Final = Kind("apps", "v1", "replicasets", "ReplicaSet")
STATEFUL_SET: Final = Kind("apps", "v1", "statefulsets", "StatefulSet")
JOB: Final = Kind("batch", "v1", "jobs", "Job")
SERVICE: Final = Kind("", "v1", "services", "Service")
SERVICE_ACCOUNT: Final = Kind("", "v1", "serviceaccounts", "ServiceAccount")
CONFIG_MAP: Final = Kind("", "v1", "configmaps", "ConfigMap")
SECRET: Final = Kind("", "v1", "secrets", "Secret")
POD: Final = Kind("", "v1", "pods", "Pod")
PERSISTENT_VOLUME_CLAIM: Final = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
POD_DISRUPTION_BUDGET: Final = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NETWORK_POLICY: Final = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
EVENT: Final = Kind("events.k8s.io", "v1", "events", "Event")
LEASE: Final = Kind("coordination.k8s.io", "v1", "leases", "Lease")
NODE: Final = Kind("", "v1", "nodes", "Node", namespaced=False)
NAMESPACE: Final = Kind("", "v1", "namespaces", "Namespace", namespaced=False)

ALL: Final = (
    RAG_SERVICE,
    RAG_REVISION,
    DEPLOYMENT,
    REPLICA_SET,
    STATEFUL_SET,
    JOB,
    SERVICE,
    SERVICE_ACCOUNT,
    CONFIG_MAP,
    SECRET,
    POD,
    PERSISTENT_VOLUME_CLAIM,
    POD_DISRUPTION_BUDGET,
    NETWORK_POLICY,
    EVENT,
    LEASE,
    NODE,
    NAMESPACE,
)
_BY_NAME: Final = {(kind.api_version, kind.kind): kind for kind in ALL}


def kind_of(obj: Mapping[str, Any]) -> Kind:
    """The kind of an object's body. Raises KeyError for one that is not in the table."""
    return _BY_NAME[obj["apiVersion"], obj["kind"]]
