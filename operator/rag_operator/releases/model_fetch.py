"""Which weights must be downloaded, and whether they are there. Pure.

model of the plan, spec.model.vllm --> FetchTarget (None: nothing is downloaded by a Job)
fetch Job, claim, running Deployments --> are the weights there?
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from rag_contract.model_cache import DEFAULT_REVISION, Source, content_key, weights_folder
from rag_contract.model_fetch import FetchResult
from rag_contract.release_table import ModelRelease

from .. import names
from ..api import RagService, Vllm
from ..api.model_source import CacheType
from ..observed import Json, Observed, finished
from .model import hosted_models, hosting
from .plan import Plan


@dataclass(frozen=True, slots=True)
class FetchTarget:
    """Weights that a Job puts into the cache's volume. `key` is their content key, `job` the Job's name, `hosting` how the model
    that needs them runs."""

    key: str
    source: Source
    repository: str
    revision: str
    job: str
    hosting: Vllm = field(compare=False, repr=False)


def fetch_target(service: RagService, model: ModelRelease) -> FetchTarget | None:
    """What a Job downloads for this model; None for a model without a server of ours, and for weights that are mounted or that
    each pod downloads for itself."""
    spec = hosting(service, model)
    if model.runtime != "VLLM" or spec.cache.type is not CacheType.VOLUME or not spec.source.downloads:
        return None
    source: Source = "S3" if spec.source.s3 is not None else "Hub"
    revision = model.revision or DEFAULT_REVISION
    key = content_key(model.name, revision, source)
    job = names.model_fetch_job(service.metadata.name, key)
    return FetchTarget(key, source, model.name, revision, job, spec)


def fetch_targets(service: RagService, plan: Plan) -> tuple[FetchTarget, ...]:
    """Of the wanted model first, then of others that serve; each once."""
    targets = (fetch_target(service, model) for model in hosted_models(plan.model, plan.table.revisions))
    return tuple({target.key: target for target in targets if target is not None}.values())


def kept_keys(plan: Plan) -> tuple[str, ...]:
    """Content keys of all weights that a kept revision names: going back to one downloads nothing."""
    models = hosted_models(plan.model, (*plan.retained, *plan.table.revisions))
    sources: tuple[Source, ...] = ("Hub", "S3")
    return tuple(sorted({content_key(model.name, model.revision, source) for model in models for source in sources}))


def weights_ready(observed: Observed, model: ModelRelease) -> bool:
    """Whether a pod of this model would find its weights. A model server that exists is proof: it was made after them."""
    target = fetch_target(observed.service, model)
    if target is None:
        return True
    mounted = weights_folder(target.key)
    return fetched(observed, target) or any(_mounts(body, mounted) for body in observed.of_kind("Deployment"))


def fetched(observed: Observed, target: FetchTarget) -> bool:
    """Whether the Job has ended well, on the volume that is there now."""
    job = observed.child("Job", target.job)
    end = finished(job) if job is not None else None
    return end is not None and end[0] == "Complete" and not on_lost_volume(observed, end[1])


def on_lost_volume(observed: Observed, ended: datetime) -> bool:
    """Whether the claim was made after the Job ended: somebody deleted the volume that it had filled."""
    claim = observed.claims.get(names.model_cache(observed.service.metadata.name))
    made = claim["metadata"].get("creationTimestamp") if claim is not None else None
    return made is not None and datetime.fromisoformat(made) > ended


def fetch_result(observed: Observed, target: FetchTarget) -> FetchResult | None:
    """What the Job's pods reported of exactly these weights, as long as one is there. Success wins, then the newest."""
    found: FetchResult | None = None
    for pod in sorted(fetch_pods(observed, target), key=lambda pod: str(pod.raw["metadata"].get("creationTimestamp"))):
        try:
            result = FetchResult.model_validate_json(pod.message or "{}")
        except ValidationError:
            continue
        if result.key == target.key and (found is None or found.outcome != "Succeeded"):
            found = result
    return found


def fetch_pods(observed: Observed, target: FetchTarget) -> list[Any]:
    """Pods of the target's Job that are not on their way out."""
    pods = observed.pods_of(names.COMPONENT_MODEL_FETCH)
    return [pod for pod in pods if pod.labels.get("job-name") == target.job]


def _mounts(deployment: Mapping[str, Any], folder: str) -> bool:
    containers: Iterable[Json] = deployment["spec"]["template"]["spec"].get("containers") or ()
    return any(
        mount.get("subPath") == folder
        for container in containers
        for mount in container.get("volumeMounts") or ()
        if mount["name"] == names.VOLUME_MODEL_CACHE
    )
