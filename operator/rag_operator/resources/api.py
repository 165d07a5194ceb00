"""The RAG API: Deployment, Service, ServiceAccount, its settings, and a disruption budget above one replica."""

from dataclasses import dataclass
from typing import Any

from rag_contract.environment import (
    API_KEYS_FILE,
    API_KEYS_PATH,
    API_PORT,
    MODEL_KEYS_PATH,
    QDRANT_API_KEY_VARIABLE,
    RELEASES_PATH,
    ApiEnvironment,
)

from .. import names
from ..api import AuthMode, RagService
from ..releases.identity import digest
from . import model_keys as model_key_files
from . import pod, store
from .store import SecretKey

Json = dict[str, Any]

GRACE_MARGIN_SECONDS = 10
PROGRESS_SECONDS = 600
"""A new pod that is not ready by then has failed: the former template is put back."""
SECRET_MODE = 0o440


def environment(svc: RagService) -> ApiEnvironment:
    """Everything that an API pod is told, secrets apart."""
    spec, tracing = svc.spec.api, svc.spec.api.tracing
    return ApiEnvironment(
        service=svc.metadata.name,
        qdrant_url=store.url(svc),
        auth_mode=spec.auth.mode.value,
        request_timeout_seconds=spec.limits.request_timeout_seconds,
        stream_timeout_seconds=spec.limits.stream_timeout_seconds,
        first_token_timeout_seconds=spec.limits.first_token_timeout_seconds,
        token_timeout_seconds=spec.limits.token_timeout_seconds,
        queue_timeout_milliseconds=spec.limits.queue_timeout_milliseconds,
        max_concurrent_requests=spec.limits.max_concurrent_requests,
        requests_per_minute=spec.limits.requests_per_minute,
        drain_seconds=spec.drain_seconds,
        # All absent without a collector: the settings of everybody else stay as they are.
        tracing_endpoint=tracing.endpoint if tracing else None,
        tracing_namespace=svc.metadata.namespace if tracing else None,
        tracing_sample_ratio=tracing.sample_ratio if tracing else None,
        tracing_trust_parent=tracing.trust_parent if tracing else None,
    )


def settings_hash(svc: RagService) -> str:
    """Names the settings: another hash is another ConfigMap and rolls the pods."""
    return digest(environment(svc).to_env())


def settings_map(svc: RagService) -> Json:
    """The environment as an immutable ConfigMap."""
    data = environment(svc).to_env()
    version = digest(data)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.api_settings(svc.metadata.name, version),
            "labels": {names.LABEL_COMPONENT: names.COMPONENT_SETTINGS, names.LABEL_SETTINGS: version[:8]},
        },
        "immutable": True,
        "data": data,
    }


def service_account(svc: RagService) -> Json:
    """An account of its own, with no rights and no token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(svc),
        "automountServiceAccountToken": False,
    }


def service(svc: RagService) -> Json:
    """Where clients ask."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(svc),
        "spec": {
            "type": "ClusterIP",
            "selector": names.selector(svc.metadata.name, names.COMPONENT_API),
            "ports": [pod.service_port(names.SERVICE_PORT)],
        },
    }


@dataclass(frozen=True, slots=True)
class Keys:
    """What the pods hold of keys. `stamp` names the generated vector store key, empty when none was made anew."""

    stamp: str = ""
    models: tuple[SecretKey, ...] = ()


def deployment(svc: RagService, image: str, keys: Keys) -> Json:
    """The pods of this image, with the keys of the vector store, the clients and the model servers."""
    spec = svc.spec.api
    replicas = 0 if svc.spec.suspend else spec.replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(svc),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": PROGRESS_SECONDS,
            "selector": {"matchLabels": names.selector(svc.metadata.name, names.COMPONENT_API)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {
                    "labels": {
                        **names.labels(svc.metadata.name, names.COMPONENT_API),
                        names.LABEL_SETTINGS: settings_hash(svc)[:8],
                    },
                    **({"annotations": {names.ANNOTATION_KEY: keys.stamp}} if keys.stamp else {}),
                },
                "spec": _pod(svc, image, keys.models),
            },
        },
    }


def subject(svc: RagService, image: str, keys: Keys) -> Json:
    """What the pods' template is made of, the operator's own part left out."""
    spec, vectors = svc.spec.api, svc.spec.vector_store
    reference = vectors.qdrant.api_key_secret_ref if vectors.qdrant is not None else None
    named = [part.model_dump(mode="json") if part is not None else None for part in (vectors.external, reference)]
    return {
        "api": spec.model_dump(mode="json", exclude_defaults=True, exclude={"image", "replicas"}),
        "image": image,
        "store": named,
        "keys": [keys.stamp, *([key.secret, key.key] for key in keys.models)],
    }


def settings_in(deployment: Json) -> str:
    """Name of the settings that its pods are started with."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return str(container["envFrom"][0]["configMapRef"]["name"])


def settings_as_stored(svc: RagService, stored: Json) -> Json:
    """Settings that another build of the operator made, for pods that keep them. They are immutable."""
    metadata = stored["metadata"]
    label = metadata["labels"][names.LABEL_SETTINGS]
    made = settings_map(svc)
    labels = {**made["metadata"]["labels"], names.LABEL_SETTINGS: label}
    return {**made, "metadata": {"name": metadata["name"], "labels": labels}, "data": stored["data"]}


def disruption_budget(svc: RagService) -> Json:
    """One pod at a time may be evicted. Only above one replica: else it would block every node drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(svc),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": names.selector(svc.metadata.name, names.COMPONENT_API)},
        },
    }


def _metadata(svc: RagService) -> Json:
    return {"name": names.api(svc.metadata.name), "labels": {names.LABEL_COMPONENT: names.COMPONENT_API}}


def _pod(svc: RagService, image: str, model_keys: tuple[SecretKey, ...]) -> Json:
    spec = svc.spec.api
    grace = pod.PRE_STOP_SECONDS + spec.drain_seconds + GRACE_MARGIN_SECONDS
    more: Json = {
        "serviceAccountName": names.api(svc.metadata.name),
        "terminationGracePeriodSeconds": grace,
        # Whatever the number of pods: raising it must not exchange those that run.
        "topologySpreadConstraints": [_spread(svc)],
    }
    main, volumes = _container(svc, image), _volumes(svc)
    if model_keys:
        volumes.append(model_key_files.volume(model_keys))
        mount = {"name": names.VOLUME_MODEL_KEYS, "mountPath": MODEL_KEYS_PATH, "readOnly": True}
        main = {**main, "volumeMounts": [*main["volumeMounts"], mount]}
    return pod.pod_spec(main, volumes, **more)


def _container(svc: RagService, image: str) -> Json:
    key = store.read_key(svc)
    secret = [pod.secret_variable(QDRANT_API_KEY_VARIABLE, key.secret, key.key)] if key is not None else []
    mounts = [
        {"name": names.VOLUME_RELEASES, "mountPath": RELEASES_PATH, "readOnly": True},
        {"name": names.VOLUME_TEMPORARY, "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
    ]
    if svc.spec.api.auth.mode is AuthMode.API_KEY:
        mounts.append({"name": names.VOLUME_KEYS, "mountPath": API_KEYS_PATH, "readOnly": True})
    return pod.container(
        "api",
        image,
        svc.spec.api.resources,
        envFrom=[{"configMapRef": {"name": names.api_settings(svc.metadata.name, settings_hash(svc))}}],
        env=secret,
        ports=[pod.port(names.PORT_HTTP, API_PORT)],
        volumeMounts=mounts,
        startupProbe=pod.http_probe("/health", period=1, failures=60),
        readinessProbe=pod.http_probe("/ready", period=2, failures=2, timeout=3),
        livenessProbe=pod.http_probe("/health", period=10, failures=3, timeout=5),
        lifecycle={"preStop": {"sleep": {"seconds": pod.PRE_STOP_SECONDS}}},
    )


def _volumes(svc: RagService) -> list[Json]:
    volumes: list[Json] = [
        {"name": names.VOLUME_RELEASES, "configMap": {"name": names.releases(svc.metadata.name)}},
        pod.temporary("64Mi"),
    ]
    auth = svc.spec.api.auth
    if auth.mode is AuthMode.API_KEY:
        reference = auth.keys_secret_ref
        secret = reference.name if reference is not None else names.client_key(svc.metadata.name)
        key = reference.key if reference is not None else API_KEYS_FILE
        # Optional: without it the pod still starts and says on /ready that its keys are missing, which can be lifted
        # into a condition; a pod that cannot start says less.
        volume = {
            "secretName": secret,
            "items": [{"key": key, "path": API_KEYS_FILE}],
            "optional": True,
            "defaultMode": SECRET_MODE,
        }
        volumes.append({"name": names.VOLUME_KEYS, "secret": volume})
    return volumes


def _spread(svc: RagService) -> Json:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": names.selector(svc.metadata.name, names.COMPONENT_API)},
    }
