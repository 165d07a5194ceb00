"""The vector store that the operator runs: StatefulSet with a volume, a headless Service and one for clients."""

from typing import Any

from .. import names
from ..api import DeletionPolicy, Qdrant, RagService
from ..observed import Json as Body
from ..settings import Settings
from . import pod, store

Json = dict[str, Any]

UID = 1000
GID = 3000
ROOT = "/qdrant"
STORAGE_PATH = f"{ROOT}/storage"
INIT_PATH = f"{ROOT}/init"
GRACE_SECONDS = 60

# Source: Qdrant's configuration reference: every setting is a variable QDRANT__<section>__<name>. The server also writes a
# marker file at its start, by default beside its binary; everything it writes goes to the volume or to scratch space.
ENVIRONMENT = {
    "QDRANT__SERVICE__HTTP_PORT": str(names.QDRANT_HTTP_PORT),
    "QDRANT__STORAGE__STORAGE_PATH": STORAGE_PATH,
    "QDRANT__STORAGE__SNAPSHOTS_PATH": f"{STORAGE_PATH}/snapshots",
    "QDRANT__STORAGE__TEMP_PATH": f"{STORAGE_PATH}/temporary",
    "QDRANT__TELEMETRY_DISABLED": "true",
    "QDRANT_INIT_FILE_PATH": f"{INIT_PATH}/.qdrant-initialized",
}


def service(svc: RagService) -> Json:
    """For clients: ready servers only."""
    return _service(svc, names.qdrant(svc.metadata.name))


def peers_service(svc: RagService) -> Json:
    """Headless: names for the pods, known before they are ready."""
    return _service(svc, names.qdrant_peers(svc.metadata.name), clusterIP="None", publishNotReadyAddresses=True)


def statefulset(svc: RagService, spec: Qdrant, settings: Settings, live: Body | None, key_stamp: str) -> Json:
    """One server. The claim template is immutable: once made it keeps its size, and the claim itself grows (`claim`)."""
    retain = "Delete" if svc.spec.deletion_policy is DeletionPolicy.DELETE else "Retain"
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": _metadata(names.qdrant(svc.metadata.name)),
        "spec": {
            "replicas": 0 if svc.spec.suspend else 1,
            "serviceName": names.qdrant_peers(svc.metadata.name),
            "podManagementPolicy": "Parallel",
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": names.selector(svc.metadata.name, names.COMPONENT_QDRANT)},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": retain, "whenScaled": "Retain"},
            "template": {
                "metadata": {
                    "labels": names.labels(svc.metadata.name, names.COMPONENT_QDRANT),
                    **({"annotations": {names.ANNOTATION_KEY: key_stamp}} if key_stamp else {}),
                },
                "spec": _pod(svc, spec, settings),
            },
            "volumeClaimTemplates": [_claim_template(spec, live)],
        },
    }


def subject(svc: RagService, spec: Qdrant, key_stamp: str) -> Json:
    """What the pod's template is made of, the operator's own part left out."""
    return {
        "qdrant": spec.model_dump(mode="json", exclude_defaults=True, exclude={"storage"}),
        "keys": [store.generates_key(svc), key_stamp],
    }


def claim(svc: RagService, spec: Qdrant) -> Json:
    """The size of the existing claim, which Kubernetes can grow in place where the storage class allows it."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": names.qdrant_claim(svc.metadata.name)},
        "spec": {"resources": {"requests": {"storage": spec.storage.size}}},
    }


def _metadata(name: str) -> Json:
    return {"name": name, "labels": {names.LABEL_COMPONENT: names.COMPONENT_QDRANT}}


def _service(svc: RagService, name: str, **more: Any) -> Json:
    spec = {
        "type": "ClusterIP",
        "selector": names.selector(svc.metadata.name, names.COMPONENT_QDRANT),
        "ports": [pod.service_port(names.QDRANT_HTTP_PORT)],
        **more,
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(name), "spec": spec}


def _claim_template(spec: Qdrant, live: Body | None) -> Json:
    template: Json = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": names.VOLUME_STORAGE},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": "Filesystem",
            "resources": {"requests": {"storage": spec.storage.size}},
        },
    }
    if spec.storage.storage_class_name is not None:
        template["spec"]["storageClassName"] = spec.storage.storage_class_name
    if live is not None:
        made = live["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
        template["spec"]["resources"]["requests"]["storage"] = made
    return template


def _pod(svc: RagService, spec: Qdrant, settings: Settings) -> Json:
    environment = pod.variables(ENVIRONMENT)
    key = store.write_key(svc)
    if key is not None:
        environment.append(pod.secret_variable("QDRANT__SERVICE__API_KEY", key.secret, key.key))
    if store.generates_key(svc):
        secret = names.qdrant_key(svc.metadata.name)
        environment.append(
            pod.secret_variable("QDRANT__SERVICE__READ_ONLY_API_KEY", secret, names.QDRANT_READ_ONLY_KEY)
        )
    main = pod.container(
        "qdrant",
        spec.image or settings.qdrant_image,
        spec.resources,
        env=environment,
        ports=[pod.port(names.PORT_HTTP, names.QDRANT_HTTP_PORT)],
        volumeMounts=[
            {"name": names.VOLUME_STORAGE, "mountPath": STORAGE_PATH},
            {"name": names.VOLUME_TEMPORARY, "mountPath": INIT_PATH, "subPath": "init"},
            {"name": names.VOLUME_TEMPORARY, "mountPath": "/tmp", "subPath": "tmp"},  # noqa: S108 - the pod's own
        ],
        # A large store replays its log before it answers: ten minutes, then the container is started anew.
        startupProbe=pod.http_probe("/livez", period=1, failures=600),
        readinessProbe=pod.http_probe("/readyz", period=2, failures=3),
        livenessProbe=pod.http_probe("/livez", period=10, failures=6, timeout=5),
    )
    return pod.pod_spec(main, [pod.temporary("64Mi")], uid=UID, gid=GID, terminationGracePeriodSeconds=GRACE_SECONDS)
