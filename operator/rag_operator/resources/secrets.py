"""Generated Secrets. Each is created whole in one request and never read back: the operator has no right to.

The random text is handed in, so that building stays pure; it is in no log, status, event or annotation.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from rag_contract.environment import API_KEYS_FILE, ApiKey

from .. import names
from ..api import AuthMode, RagService
from ..observed import Observed
from . import store

Json = dict[str, Any]
Token = Callable[[], str]

DEFAULT_KEY_ID = "default"
TEMPLATED = ("Deployment", "StatefulSet")


def wanted(svc: RagService) -> list[str]:
    """Names of the Secrets that the operator makes for this service."""
    return [name for name, _ in _builders(svc)]


def build(svc: RagService, name: str, token: Token) -> Json:
    """The body of one of them, with fresh random content from `token`."""
    return dict(_builders(svc))[name](svc, token)


def mounted(observed: Observed, name: str) -> bool:
    """Whether a stored pod template names this Secret: it was made before that was written."""
    templates = (body["spec"]["template"]["spec"] for kind in TEMPLATED for body in observed.of_kind(kind))
    return any(name in _named_in(template) for template in templates)


def _named_in(pod: Json) -> Iterator[str]:
    """The Secrets of volumes and of variables."""
    for volume in pod.get("volumes") or ():
        yield (volume.get("secret") or {}).get("secretName", "")
    for container in (*(pod.get("initContainers") or ()), *pod["containers"]):
        for variable in container.get("env") or ():
            yield ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name", "")


def _builders(svc: RagService) -> list[tuple[str, Callable[[RagService, Token], Json]]]:
    builders: list[tuple[str, Callable[[RagService, Token], Json]]] = []
    if store.generates_key(svc):
        builders.append((names.qdrant_key(svc.metadata.name), _qdrant_key))
    auth = svc.spec.api.auth
    if auth.mode is AuthMode.API_KEY and auth.keys_secret_ref is None:
        builders.append((names.client_key(svc.metadata.name), _client_key))
    return builders


def _qdrant_key(svc: RagService, token: Token) -> Json:
    content = {names.QDRANT_API_KEY: token(), names.QDRANT_READ_ONLY_KEY: token()}
    return _secret(names.qdrant_key(svc.metadata.name), content)


def _client_key(svc: RagService, token: Token) -> Json:
    """The plain key is for people; the API pods mount the hashed list only."""
    plain = token()
    hashed = ApiKey(id=DEFAULT_KEY_ID, sha256=hashlib.sha256(plain.encode()).hexdigest())
    keys = json.dumps([hashed.model_dump(mode="json", by_alias=True)])
    return _secret(names.client_key(svc.metadata.name), {names.CLIENT_KEY: plain, API_KEYS_FILE: keys})


def _secret(name: str, content: dict[str, str]) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {names.LABEL_COMPONENT: names.COMPONENT_KEYS}},
        "type": "Opaque",
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in content.items()},
    }
