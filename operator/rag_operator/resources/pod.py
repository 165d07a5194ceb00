"""What every pod of the stack shares: it passes the Pod Security level "restricted" and gets no rights in the cluster."""

from typing import Any

from .. import names
from ..api import Resources

Json = dict[str, Any]

WORKLOAD_UID = 10001
PRE_STOP_SECONDS = 5
"""Endpoints need this long to forget a pod before it may stop answering."""


def security_context(uid: int, gid: int) -> Json:
    """Of the pod: numeric, not root, files of volumes belong to the group."""
    return {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": gid,
        "fsGroup": gid,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container(name: str, image: str, resources: Resources, **more: Any) -> Json:
    """A container without any privilege. `more` are further fields of the container."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": resources.model_dump(mode="json", by_alias=True, exclude_none=True),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **more,
    }


def pod_spec(main: Json, volumes: list[Json], *, uid: int = WORKLOAD_UID, gid: int = WORKLOAD_UID, **more: Any) -> Json:
    """A pod of one container. Service links are off: their variables could be taken for settings."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security_context(uid, gid),
        "containers": [main],
        "volumes": volumes,
        **more,
    }


def secret_variable(variable: str, secret: str, key: str) -> Json:
    """An environment variable whose value only the kubelet reads."""
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def variables(environment: dict[str, str]) -> list[Json]:
    """Environment of a container, by name."""
    return [{"name": name, "value": value} for name, value in sorted(environment.items())]


def port(name: str, number: int) -> Json:
    """A container port; the protocol is written out because it is part of the list's merge key."""
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def http_probe(path: str, *, period: int, failures: int, timeout: int = 2, port: str = names.PORT_HTTP) -> Json:
    """A probe of one of the pod's named ports; seconds."""
    return {
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": timeout,
    }


def service_port(port_number: int, target: str = names.PORT_HTTP) -> Json:
    """A port of a Service."""
    return {"name": target, "port": port_number, "targetPort": target, "protocol": "TCP"}


def temporary(size: str) -> Json:
    """A bounded scratch folder: the root file system is read-only."""
    return {"name": names.VOLUME_TEMPORARY, "emptyDir": {"sizeLimit": size}}
