"""Every name, label, selector, port name and annotation that the operator makes: nothing is spelled elsewhere.

Selectors use the service's name and the component only: both never change in the life of a child.
"""

from collections.abc import Mapping
from typing import Final

GROUP: Final = "ragserving.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
FIELD_MANAGER: Final = "rag-operator"

LABEL_SERVICE: Final = f"{GROUP}/service"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_SETTINGS: Final = f"{GROUP}/settings"
LABEL_MODEL: Final = f"{GROUP}/model"
"""On a model server's Deployment, Service and pods: hash of the model, so that two models are never mixed."""
LABEL_PROMPT: Final = f"{GROUP}/prompt-version"
ANNOTATION_TABLE: Final = f"{GROUP}/table"
"""On API pods: changing it makes the kubelet refresh the mounted release table at once."""
ANNOTATION_TEMPLATE: Final = f"{GROUP}/template"
"""On Jobs: hash of what the Job was made from. A Job's template is immutable: another hash means another Job."""
ANNOTATION_ROLL_OUT: Final = f"{GROUP}/roll-out"
"""On a model's Deployment: how its pods are exchanged, and a hash of what that was chosen for."""
ANNOTATION_RENDERED: Final = f"{GROUP}/rendered"
"""On Deployments and StatefulSets: their pod template as it was rendered, and what for (`resources.kept`)."""
ANNOTATION_LAST_GOOD: Final = f"{GROUP}/last-good"
"""On the API's Deployment: the template with which it was last rolled out whole, as a note like the one above."""
ANNOTATION_RETURNED: Final = f"{GROUP}/returned"
"""On the API's Deployment: that the declared template failed, and the one above was put back."""
ANNOTATION_SLOT: Final = f"{GROUP}/slot"
"""On an index Job: the moment of the refresh schedule that it builds."""
ANNOTATION_KEY: Final = f"{GROUP}/key"
"""On pod templates that hold a generated key: changes when the key was made anew, so that everybody gets the same."""

EVICTION_HINTS: Final = {
    "karpenter.sh/do-not-disrupt": "true",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
}
"""On pods that load a model: asks node autoscalers to leave them where they are."""

COMPONENT_API: Final = "api"
COMPONENT_QDRANT: Final = "qdrant"
COMPONENT_INDEX: Final = "index"
COMPONENT_SWEEP: Final = "index-sweep"
COMPONENT_MODEL: Final = "model"
COMPONENT_MODEL_CACHE: Final = "model-cache"
COMPONENT_MODEL_FETCH: Final = "model-fetch"
COMPONENT_RELEASES: Final = "releases"
COMPONENT_PROMPT: Final = "prompt"
COMPONENT_SETTINGS: Final = "settings"
COMPONENT_REVISION: Final = "revision"
COMPONENT_KEYS: Final = "keys"

PORT_HTTP: Final = "http"
PORT_GRPC: Final = "grpc"
PORT_PROBES: Final = "probes"
QDRANT_HTTP_PORT: Final = 6333
QDRANT_GRPC_PORT: Final = 6334
QDRANT_PEER_PORT: Final = 6335
MODEL_PORT: Final = 8000
SERVICE_PORT: Final = 80

VOLUME_RELEASES: Final = "releases"
VOLUME_KEYS: Final = "keys"
VOLUME_TEMPORARY: Final = "tmp"
VOLUME_STORAGE: Final = "storage"
VOLUME_DOCUMENTS: Final = "documents"
VOLUME_MODEL_KEYS: Final = "model-keys"
VOLUME_MODEL_CACHE: Final = "model-cache"
VOLUME_WEIGHTS: Final = "weights"

SERVED_MODEL: Final = "rag"
"""The name by which a model server of ours knows its model, whichever it is: clients need not follow a change."""

PROMPT_SYSTEM_KEY: Final = "system"
PROMPT_REFUSAL_KEY: Final = "refusal"
QDRANT_API_KEY: Final = "api-key"
QDRANT_READ_ONLY_KEY: Final = "read-only-api-key"
CLIENT_KEY: Final = "api-key"

MAX_COLLECTION: Final = 128


def api(service: str) -> str:
    """Deployment, Service, ServiceAccount and PodDisruptionBudget of the RAG API."""
    return f"{service}-api"


def api_settings(service: str, digest: str) -> str:
    """Immutable ConfigMap with the environment of the API pods."""
    return f"{service}-api-{digest[:8]}"


def prompt(service: str, digest: str) -> str:
    """Immutable ConfigMap with one prompt content."""
    return f"{service}-prompt-{digest[:8]}"


def releases(service: str) -> str:
    """ConfigMap with the release table."""
    return f"{service}-releases"


def qdrant(service: str) -> str:
    """StatefulSet and client Service of the vector store."""
    return f"{service}-qdrant"


def qdrant_peers(service: str) -> str:
    """Headless Service that gives the StatefulSet's pods their names."""
    return f"{service}-qdrant-peers"


def qdrant_claim(service: str, ordinal: int = 0) -> str:
    """Volume claim that the StatefulSet controller makes from the claim template."""
    return f"{VOLUME_STORAGE}-{qdrant(service)}-{ordinal}"


def qdrant_key(service: str) -> str:
    """Generated Secret with the vector store's keys."""
    return f"{service}-qdrant-key"


def client_key(service: str) -> str:
    """Generated Secret with the first client's API key, and the list of hashed keys that the API reads."""
    return f"{service}-client-key"


def model_key_file(secret: str, key: str) -> str:
    """Where the API pods find a model server's key, below the folder of such keys; it tells the Secret and its key again."""
    return f"{secret}/{key}"


def index_job(service: str, digest: str) -> str:
    """Job that builds one collection."""
    return f"{service}-index-{digest[:8]}"


def index_sweep(service: str, digest: str) -> str:
    """Job that drops old collections and moves the alias for outside readers."""
    return f"{service}-index-sweep-{digest[:8]}"


def index_alias(namespace: str, service: str) -> str:
    """Alias for outside readers of the vector store. With a dot behind it, every collection of the service begins with it."""
    return f"{namespace}.{service}"


def model(service: str, digest: str) -> str:
    """Deployment, Service and PodDisruptionBudget of one model: two models live side by side while one is exchanged."""
    return f"{service}-model-{digest[:8]}"


def model_url(namespace: str, service: str, digest: str) -> str:
    """Where the API pods reach a model server of ours."""
    return f"http://{model(service, digest)}.{namespace}.svc:{MODEL_PORT}"


def model_selector(service: str, digest: str) -> dict[str, str]:
    """Immutable identity of the pods that run one model."""
    return {**selector(service, COMPONENT_MODEL), LABEL_MODEL: digest[:8]}


def model_cache(service: str) -> str:
    """Volume claim that keeps weights and compiled code."""
    return f"{service}-model-cache"


def model_fetch_job(service: str, key: str) -> str:
    """Job that downloads the weights with this content key."""
    return f"{service}-model-fetch-{key[:8]}"


def revision(service: str, number: int) -> str:
    """RagRevision of that number."""
    return f"{service}-r{number}"


def collection(namespace: str, service: str, version: str, digest: str) -> str:
    """Name of a collection, at most 128 characters: two services that share one external store cannot collide.

    When it is too long the readable part is cut; the namespace and service stay, as does the content hash.
    """
    tail = f".{digest[:16]}"
    return f"{index_alias(namespace, service)}.{version}"[: MAX_COLLECTION - len(tail)] + tail


def api_url(namespace: str, service: str) -> str:
    """Where clients inside the cluster reach the RAG API."""
    return f"http://{api(service)}.{namespace}.svc"


def qdrant_url(namespace: str, service: str) -> str:
    """Where our pods reach the vector store that the operator runs."""
    return f"http://{qdrant(service)}.{namespace}.svc:{QDRANT_HTTP_PORT}"


def selector(service: str, component: str) -> dict[str, str]:
    """Immutable identity of a component's pods."""
    return {LABEL_SERVICE: service, LABEL_COMPONENT: component}


def labels(service: str, component: str) -> dict[str, str]:
    """Labels that every child carries."""
    return {
        **selector(service, component),
        "app.kubernetes.io/name": f"rag-{component}",
        "app.kubernetes.io/instance": service,
        "app.kubernetes.io/part-of": "ragservice",
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
    }


def selector_text(labels: Mapping[str, str]) -> str:
    """The form in which `status.selector` and list calls want a selector."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
