"""Where a model server finds its weights: on the cache's volume, on a volume or image of the user's, or in its own scratch space.

source \\ cache            Volume                                    Ephemeral
hub                       weights/<key> read-only, filled by Job    the engine downloads into its scratch space
s3                        weights/<key> read-only, filled by Job    (refused by the schema)
persistentVolumeClaim     the user's claim, read-only; compiled code on the volume or in scratch space
image                     the user's image, read-only; compiled code on the volume or in scratch space
"""

from dataclasses import dataclass
from typing import Any

from rag_contract.model_cache import CACHE_PATH, COMPILE, weights_folder, weights_path
from rag_contract.model_fetch import HUB_ENDPOINT_VARIABLE, HUB_TOKEN_VARIABLE
from rag_contract.release_table import ModelRelease

from .. import names, quantities
from ..api import ModelRuntime, RagService, Vllm
from ..api.model_source import CacheType
from ..observed import Observed
from ..releases import Plan
from ..releases.model import hosted_models, hosting
from ..releases.model_fetch import fetch_target
from ..releases.weights import MOUNTED_PATH
from . import pod

Json = dict[str, Any]

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
"""Weights are there: a library that asks the hub all the same would wait for it, or fail where it cannot be reached."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What a model server's pod needs to find its weights. `folder` None: it downloads them by name into `CACHE_PATH`."""

    folder: str | None
    volumes: list[Json]
    mounts: list[Json]
    variables: list[Json]


def weights(svc: RagService, model: ModelRelease) -> Weights:
    """Of one model."""
    spec, target = hosting(svc, model), fetch_target(svc, model)
    cache = _cache_volume(svc, spec)
    if target is not None:
        return _filled(cache, target.key)
    if spec.source.downloads:
        return Weights(None, [cache], [_whole()], hub_variables(spec))
    return _mounted(cache, spec)


def _filled(cache: Json, key: str) -> Weights:
    """By the fetch Job, which also made the folder for what the engine compiles."""
    path, folder = weights_path(key), weights_folder(key)
    read: Json = {"name": names.VOLUME_MODEL_CACHE, "mountPath": path, "subPath": folder, "readOnly": True}
    compiled: Json = {"name": names.VOLUME_MODEL_CACHE, "mountPath": f"{CACHE_PATH}/{COMPILE}", "subPath": COMPILE}
    return Weights(path, [cache], [read, compiled], pod.variables(OFFLINE))


def _mounted(cache: Json, spec: Vllm) -> Weights:
    """From the user."""
    path = MOUNTED_PATH
    mount: Json = {"name": names.VOLUME_WEIGHTS, "mountPath": path, "readOnly": True}
    claim, image = spec.source.persistent_volume_claim, spec.source.image
    if claim is not None:
        reference: Json = {"persistentVolumeClaim": {"claimName": claim.claim_name, "readOnly": True}}
        if claim.path:
            mount["subPath"] = claim.path
    else:
        assert image is not None  # noqa: S101 - what is not downloaded is one of the two
        reference = {"image": {"reference": image.reference, "pullPolicy": "IfNotPresent"}}
        path = f"{path}/{image.path}" if image.path else path
    volumes = [{"name": names.VOLUME_WEIGHTS, **reference}, cache]
    return Weights(path, volumes, [mount, _whole()], pod.variables(OFFLINE))


def _whole() -> Json:
    return {"name": names.VOLUME_MODEL_CACHE, "mountPath": CACHE_PATH}


def hub_variables(spec: Vllm) -> list[Json]:
    """How the hub's library reaches the hub; the token's value is known to the kubelet alone."""
    hub = spec.source.hub
    if hub is None:
        return []
    made = pod.variables({HUB_ENDPOINT_VARIABLE: hub.endpoint}) if hub.endpoint else []
    if hub.token_secret_ref is not None:
        made.append(pod.secret_variable(HUB_TOKEN_VARIABLE, hub.token_secret_ref.name, hub.token_secret_ref.key))
    return made


def needed(svc: RagService) -> bool:
    """Whether the declared model's pods mount the cache's claim."""
    model = svc.spec.model
    return model.runtime is ModelRuntime.VLLM and model.vllm is not None and model.vllm.cache.type is CacheType.VOLUME


def claim(svc: RagService, observed: Observed, plan: Plan) -> list[Json]:
    """The cache's claim: made when a model of ours is declared or gone back to, and kept when another runtime is declared."""
    name = names.model_cache(svc.metadata.name)
    live = observed.claims.get(name)
    spec = svc.spec.model.vllm
    if live is not None and spec is None:
        return []  # kept as it is: nobody says any more how it should be
    hosted = hosted_models(plan.model, plan.table.revisions)
    mounted = any(hosting(svc, model).cache.type is CacheType.VOLUME for model in hosted)
    if live is None and not (needed(svc) or mounted):
        return []
    cache = (spec or Vllm()).cache
    size = cache.size
    if live is not None:
        stored = live["spec"]["resources"]["requests"]["storage"]
        size = size if quantities.less(stored, size) else stored  # a volume cannot shrink
    storage_class = {"storageClassName": cache.storage_class_name} if cache.storage_class_name is not None else {}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "labels": {names.LABEL_COMPONENT: names.COMPONENT_MODEL_CACHE}},
            "spec": {
                "accessModes": [cache.access_mode.value],
                "resources": {"requests": {"storage": size}},
                **storage_class,
            },
        }
    ]


def _cache_volume(svc: RagService, spec: Vllm) -> Json:
    if spec.cache.type is CacheType.EPHEMERAL:
        return {"name": names.VOLUME_MODEL_CACHE, "emptyDir": {"sizeLimit": spec.cache.size}}
    return {
        "name": names.VOLUME_MODEL_CACHE,
        "persistentVolumeClaim": {"claimName": names.model_cache(svc.metadata.name)},
    }
