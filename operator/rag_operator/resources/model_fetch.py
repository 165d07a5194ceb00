"""The fetch Job: downloads the weights of one model into the cache's volume before a GPU is asked for."""

from collections.abc import Iterable
from typing import Any

from rag_contract.model_cache import CACHE_PATH
from rag_contract.model_fetch import FETCH_PORT, S3_KEY_VARIABLES, FetchEnvironment

from .. import names
from ..api import RagService, Vllm
from ..observed import Observed
from ..releases import Plan
from ..releases.model_fetch import FetchTarget, fetch_target, fetch_targets, kept_keys, weights_ready
from ..settings import Settings
from . import batch, model, model_cache, pod

Json = dict[str, Any]

RETRIES = 6
"""Each goes on where the last was; the pauses between them double."""
GRACE_SECONDS = 30
CONTAINER = "model-fetch"
KEEP_VARIABLE = f"{FetchEnvironment.prefix}KEEP"


def jobs(svc: RagService, observed: Observed, plan: Plan, settings: Settings) -> list[Json]:
    """A Job for all weights that are not there; one that exists with another template is left to `unwanted`."""
    if svc.spec.suspend:
        return []
    built = []
    for target in fetch_targets(svc, plan):
        live = observed.child("Job", target.job)
        if live is None and _served(observed, plan, target):
            continue
        made = job(svc, target, settings, _kept(live) or kept_keys(plan))
        if live is None or batch.template(live) == batch.template(made):
            built.append(made)
    return built


def job(svc: RagService, target: FetchTarget, settings: Settings, keep: Iterable[str]) -> Json:
    """One run. Which other weights stay is not part of what it is made from.

    It changes with every release, and need not be new to download the same.
    """
    spec = target.hosting
    environ = environment(svc, spec, target)
    resources = spec.prefetch.resources.model_dump(mode="json", exclude_none=True)
    made_from = {
        "image": settings.model_fetch_image,
        "environment": environ.to_env(),
        "source": spec.source.model_dump(mode="json", exclude_none=True),
        "resources": resources,
        "deadline": spec.prefetch.deadline_seconds,
        "place": model.place(spec),
        "size": spec.cache.size,
    }
    pod_spec = _pod(svc, spec, environ.model_copy(update={"keep": ",".join(keep)}), settings)
    return batch.job(
        svc.metadata.name,
        names.COMPONENT_MODEL_FETCH,
        target.job,
        made_from,
        pod_spec,
        backoffLimit=RETRIES,
        activeDeadlineSeconds=spec.prefetch.deadline_seconds,
        podFailurePolicy=batch.failure_policy(pod_spec),
    )


def environment(svc: RagService, spec: Vllm, target: FetchTarget) -> FetchEnvironment:
    """Everything that the fetcher is told, keys and tokens apart."""
    s3 = spec.source.s3
    return FetchEnvironment(
        service=svc.metadata.name,
        source=target.source,
        repository=target.repository,
        revision=target.revision,
        s3_url=s3.url if s3 is not None else None,
        s3_endpoint=s3.endpoint if s3 is not None else None,
        s3_region=s3.region if s3 is not None else None,
        secret=_secret(spec),
    )


def _secret(spec: Vllm) -> str | None:
    """The Secret with the credentials, as messages name it."""
    s3, hub = spec.source.s3, spec.source.hub
    if s3 is not None and s3.credentials_secret_ref is not None:
        return f'"{s3.credentials_secret_ref.name}"'
    if hub is not None and hub.token_secret_ref is not None:
        return f'"{hub.token_secret_ref.name}" (key "{hub.token_secret_ref.key}")'
    return None


def _pod(svc: RagService, spec: Vllm, environ: FetchEnvironment, settings: Settings) -> Json:
    main = pod.container(
        CONTAINER,
        settings.model_fetch_image,
        spec.prefetch.resources,
        env=[*pod.variables(environ.to_env()), *model_cache.hub_variables(spec), *_s3_keys(spec)],
        ports=[pod.port(names.PORT_HTTP, FETCH_PORT)],
        volumeMounts=[
            {"name": names.VOLUME_MODEL_CACHE, "mountPath": CACHE_PATH},
            {"name": names.VOLUME_TEMPORARY, "mountPath": "/tmp"},  # noqa: S108 - the pod's own
        ],
    )
    claim = {"claimName": names.model_cache(svc.metadata.name)}
    place = model.place(spec)
    return pod.pod_spec(
        main,
        [{"name": names.VOLUME_MODEL_CACHE, "persistentVolumeClaim": claim}, pod.temporary("256Mi")],
        restartPolicy="Never",
        terminationGracePeriodSeconds=GRACE_SECONDS,
        **{**place, "affinity": {**place.get("affinity", {}), "podAffinity": _beside_model(svc)}},
    )


def _beside_model(svc: RagService) -> Json:
    """On the node of a running model server where possible: a volume that one node may mount is mounted there."""
    selector = {"matchLabels": names.selector(svc.metadata.name, names.COMPONENT_MODEL)}
    term = {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}


def _s3_keys(spec: Vllm) -> list[Json]:
    s3 = spec.source.s3
    if s3 is None or s3.credentials_secret_ref is None:
        return []
    keys = [pod.secret_variable(name, s3.credentials_secret_ref.name, name) for name in S3_KEY_VARIABLES]
    keys[-1]["valueFrom"]["secretKeyRef"]["optional"] = True
    return keys


def _served(observed: Observed, plan: Plan, target: FetchTarget) -> bool:
    """A model server that exists has its weights, and a Job that was cleaned away is not needed again."""
    models = (plan.model, *(revision.model for revision in plan.table.revisions))
    same = [found for found in models if fetch_target(observed.service, found) == target]
    return all(weights_ready(observed, found) for found in same)


def _kept(live: Json | None) -> list[str]:
    """What an existing Job was told to keep."""
    containers = live["spec"]["template"]["spec"]["containers"] if live is not None else []
    values = [v.get("value", "") for c in containers for v in c.get("env") or () if v["name"] == KEEP_VARIABLE]
    return [key for value in values for key in value.split(",") if key]
