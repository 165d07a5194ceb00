"""The keys of model and embedding servers that run elsewhere: one folder of the API pods, projected by the kubelet.

It holds the keys of the spec and of all retained revisions, so that going back needs no new pods. A key that none of them
names any more stays until the pods are exchanged for another reason. The operator knows their names only. Each Secret is
optional: without it the pods still start, and say on /ready which key is missing.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rag_contract.release_table import Endpoint, Policy, Revision

from .. import names
from ..api import RagService
from ..releases import Plan
from ..releases.embedding import wanted_embedder
from ..releases.model import wanted_model, wanted_policy
from .store import SecretKey

Json = dict[str, Any]

SECRET_MODE = 0o440


def references(svc: RagService, plan: Plan) -> tuple[SecretKey, ...]:
    """All keys that the API may need, each once, by Secret and key."""
    endpoints = [*wanted_model(svc).endpoints, *_of_policy(wanted_policy(svc.spec))]
    embedder = wanted_embedder(svc.spec)
    if embedder is not None:
        endpoints.append(embedder)
    for revision in (*plan.retained, *((plan.serving,) if plan.serving is not None else ())):
        endpoints += _of_revision(revision)
    files = sorted({endpoint.key for endpoint in endpoints if endpoint.key is not None})
    return tuple(SecretKey(*file.split("/", 1)) for file in files)


def mounted(template: Json) -> tuple[SecretKey, ...]:
    """The keys that a template of the API pods mounts, each once, in the order of `references`."""
    volumes = [volume for volume in template["spec"].get("volumes", ()) if volume["name"] == names.VOLUME_MODEL_KEYS]
    sources = [source["secret"] for volume in volumes for source in volume["projected"]["sources"]]
    files = sorted(item["path"] for source in sources for item in source["items"])
    return tuple(SecretKey(*file.split("/", 1)) for file in files)


def volume(keys: Iterable[SecretKey]) -> Json:
    """The keys in their files, one projection for each Secret."""
    ordered = sorted(keys, key=lambda each: (each.secret, each.key))
    sources = [_projection(secret, list(group)) for secret, group in groupby(ordered, key=lambda each: each.secret)]
    return {"name": names.VOLUME_MODEL_KEYS, "projected": {"sources": sources, "defaultMode": SECRET_MODE}}


def _projection(secret: str, keys: list[SecretKey]) -> Json:
    items = [{"key": each.key, "path": names.model_key_file(each.secret, each.key)} for each in keys]
    return {"secret": {"name": secret, "items": items, "optional": True}}


def _of_policy(policy: Policy) -> list[Endpoint]:
    return [fallback.endpoint for fallback in policy.fallbacks if fallback.endpoint is not None]


def _of_revision(revision: Revision) -> list[Endpoint]:
    embedder = revision.index.embedder
    return [*revision.model.endpoints, *((embedder,) if embedder is not None else ())]
