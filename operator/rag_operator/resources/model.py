"""A model server: Deployment, Service, and a disruption budget above one replica, once for each model that is wanted or served.

    plan.model, models of served revisions --> one Deployment and Service for each, named by the model's hash

The model that the spec declares is rendered from it. Another one that runs stays as it runs, also where it is gone back to: an
edit of placement is for the declared model, and must not roll the pods that answer. One that is gone back to and has no server
any more is rendered with the engine, the GPUs and the weights of its record, where the spec places models today.
"""

from functools import partial
from typing import Any

from rag_contract.model_server import HEALTH_PATH, LAUNCHER_PORT, READY_PATH
from rag_contract.release_table import ModelRelease

from .. import names, quantities
from ..api import RagService, Resources, Vllm
from ..observed import Observed
from ..releases import Plan
from ..releases.model import hosted_models, hosting, wanted_model
from ..releases.model_fetch import weights_ready
from ..releases.roll_out import left_to, marked, pods_of, roll_out
from ..scheduling import Strategy
from ..settings import Settings
from . import engine, kept, pod
from .model_cache import Weights, weights

Json = dict[str, Any]

VOLUME_SHARED_MEMORY = "shm"
SCRATCH = "8Gi"
SHARED_MEMORY_PER_GPU = "1Gi"
NO_SHARING = {"key": "nvidia.com/gpu.sharing-strategy", "operator": "NotIn", "values": ["mps", "time-slicing"]}
"""Tensor parallelism over shares of one card is slower than one share, and may not start at all."""
PRODUCT_LABELS = {"amd.com": "amd.com/gpu.product-name"}
PRODUCT_LABEL = "nvidia.com/gpu.product"


def build(svc: RagService, observed: Observed, plan: Plan, settings: Settings) -> list[Json]:
    """Everything that the models of the plan need."""
    children: list[Json] = []
    wanted, rollout = _live(svc, observed, plan.model), None
    for model in hosted_models(plan.model, plan.table.revisions):
        live, spec = _live(svc, observed, model), hosting(svc, model)
        children.append(service(svc, model))
        if model.hash != plan.model.hash and live is not None:
            children.append(_as_it_runs(svc, model, live, rollout, wanted))
            continue
        if live is None and not weights_ready(observed, model):
            continue  # a GPU that waits for a download serves nobody
        made = deployment(svc, model, settings)
        if live is not None and _is_gone_back_to(svc, plan):
            made = _as_it_was_started(made, live)
        else:
            made = kept.keep(made, live, subject(svc, model), settings)
        rollout = roll_out(observed, spec, made["spec"]["template"], live, pods_of(observed, model.hash))
        children.append(marked(made, spec, rollout))
        if made["spec"]["replicas"] > 1:
            children.append(disruption_budget(svc, model))
    return children


def _live(svc: RagService, observed: Observed, model: ModelRelease) -> Json | None:
    return observed.child("Deployment", names.model(svc.metadata.name, model.hash))


def service(svc: RagService, model: ModelRelease) -> Json:
    """Where the API pods ask this model."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(svc, model),
        "spec": {
            "type": "ClusterIP",
            "selector": names.model_selector(svc.metadata.name, model.hash),
            "ports": [pod.service_port(names.MODEL_PORT)],
        },
    }


def disruption_budget(svc: RagService, model: ModelRelease) -> Json:
    """One pod at a time may be evicted. Only above one replica: else it would block every node drain."""
    selector = {"matchLabels": names.model_selector(svc.metadata.name, model.hash)}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(svc, model),
        "spec": {"maxUnavailable": 1, "selector": selector},
    }


def deployment(svc: RagService, model: ModelRelease, settings: Settings) -> Json:
    """The pods of one model; how they are exchanged comes on top (`releases.roll_out`)."""
    spec, labels = hosting(svc, model), names.model_selector(svc.metadata.name, model.hash)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(svc, model),
        "spec": {
            "replicas": 0 if svc.spec.suspend else spec.replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": engine.times(spec).progress_deadline,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": {**names.labels(svc.metadata.name, names.COMPONENT_MODEL), **labels}},
                "spec": _pod(svc, model, settings),
            },
        },
    }


def subject(svc: RagService, model: ModelRelease) -> Json:
    """What the pods' template is made of, the operator's own part left out."""
    volume = {"size", "storage_class_name", "access_mode"}
    apart: Json = {"replicas": True, "strategy": True, "prefetch": True, "cache": volume}
    spec = hosting(svc, model).model_dump(mode="json", exclude_defaults=True, exclude=apart)
    return {"model": model.hash, "vllm": spec}


def is_outdated(svc: RagService, observed: Observed, model: ModelRelease, settings: Settings) -> bool:
    """Whether the model's server runs as another build of the operator rendered it."""
    live = _live(svc, observed, model)
    return live is not None and kept.is_outdated(partial(deployment, svc, model, settings), live, settings)


def _as_it_runs(
    svc: RagService, model: ModelRelease, live: Json, rollout: Strategy | None, wanted: Json | None
) -> Json:
    """A former model, with what the roll-out of the wanted one leaves to it."""
    spec = hosting(svc, model)
    replicas = live["spec"].get("replicas", 1) or spec.replicas
    if rollout is not None:
        replicas = left_to(replicas, rollout, spec, wanted)
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(svc, model),
        "spec": {**live["spec"], "replicas": 0 if svc.spec.suspend else replicas},
    }
    note = kept.annotation(live)
    return kept.noted(body, note) if note else body


def _is_gone_back_to(svc: RagService, plan: Plan) -> bool:
    """Another model than the declared one serves, and is to serve. One that only loads follows the spec's placement."""
    serves = any(revision.model.hash == plan.model.hash for revision in plan.table.revisions)
    return serves and plan.overlay.model is not None and wanted_model(svc).hash != plan.model.hash


def _as_it_was_started(made: Json, live: Json) -> Json:
    """Its own template, whatever the spec says of the declared model."""
    note = kept.note_of(live)
    template = note.template if note is not None else live["spec"]["template"]
    same = {**made, "spec": {**made["spec"], "template": template}}
    return kept.noted(same, kept.annotation(live)) if note is not None else same


def _metadata(svc: RagService, model: ModelRelease) -> Json:
    labels = {names.LABEL_COMPONENT: names.COMPONENT_MODEL, names.LABEL_MODEL: model.hash[:8]}
    return {"name": names.model(svc.metadata.name, model.hash), "labels": labels}


def _pod(svc: RagService, model: ModelRelease, settings: Settings) -> Json:
    spec = hosting(svc, model)
    more: Json = {
        "terminationGracePeriodSeconds": engine.times(spec).grace,
        **place(spec),
        # Whatever the number of pods: raising it must not exchange those that run.
        "topologySpreadConstraints": [_spread(svc, model)],
    }
    if spec.resource_claims:
        more["resourceClaims"] = [claim.model_dump(mode="json", by_alias=True) for claim in spec.resource_claims]
    if spec.runtime_class_name is not None:
        more["runtimeClassName"] = spec.runtime_class_name
    if spec.priority_class_name is not None:
        more["priorityClassName"] = spec.priority_class_name
    found = weights(svc, model)
    return pod.pod_spec(_container(model, spec, settings, found), [*found.volumes, *_volumes(spec)], **more)


def _container(model: ModelRelease, spec: Vllm, settings: Settings, found: Weights) -> Json:
    image = model.engine.image if model.engine is not None else None
    launched = _launched(model)
    environment = engine.environment(spec) | (engine.launcher(model, spec).to_env() if launched else {})
    ports = [pod.port(names.PORT_HTTP, names.MODEL_PORT)]
    shared = _shared_memory(spec)
    mounts = [
        *found.mounts,
        {"name": names.VOLUME_TEMPORARY, "mountPath": "/tmp"},  # noqa: S108 - the pod's own
        *([{"name": VOLUME_SHARED_MEMORY, "mountPath": engine.SHARED_MEMORY_PATH}] if shared else []),
    ]
    made = pod.container(
        "model",
        image or settings.model_image,
        spec.resources,
        **({} if launched else {"command": ["vllm", "serve"]}),
        args=engine.arguments(model, spec, found.folder),
        env=[*pod.variables(environment), *found.variables],
        ports=[*ports, pod.port(names.PORT_PROBES, LAUNCHER_PORT)] if launched else ports,
        volumeMounts=mounts,
        lifecycle={"preStop": {"sleep": {"seconds": pod.PRE_STOP_SECONDS}}},
        **_probes(model, spec),
    )
    return {**made, "resources": _resources(spec, spec.resources, shared)}


def _probes(model: ModelRelease, spec: Vllm) -> Json:
    """Of the launcher where there is one: it is ready after a real answer, and counts the steps of a busy engine.

    A hung engine is ended without draining: nothing would come of it.
    """
    launched, times = _launched(model), engine.times(spec)
    ready = READY_PATH if launched else HEALTH_PATH
    startup = _probe(launched, ready, period=engine.STARTUP_PERIOD_SECONDS, failures=times.startup_failures, timeout=5)
    silence = engine.HANG_PERIOD_SECONDS, times.hang_failures
    period, failures = (engine.STALLED_PERIOD_SECONDS, engine.STALLED_FAILURES) if launched else silence
    hang = _probe(launched, HEALTH_PATH, period=period, failures=failures, timeout=10)
    brief = {"terminationGracePeriodSeconds": pod.PRE_STOP_SECONDS + engine.TEARDOWN_SECONDS}
    return {
        "startupProbe": {**startup, **brief},
        "readinessProbe": _probe(launched, ready, period=5, failures=3, timeout=5),
        "livenessProbe": {**hang, **brief},
    }


def _probe(launched: bool, path: str, *, period: int, failures: int, timeout: int) -> Json:
    return pod.http_probe(
        path,
        port=names.PORT_PROBES if launched else names.PORT_HTTP,
        period=period,
        failures=failures,
        timeout=timeout,
    )


def _launched(model: ModelRelease) -> bool:
    return model.engine is not None and model.engine.launcher


def _resources(spec: Vllm, resources: Resources, shared: str | None) -> Json:
    """GPUs in limits only: requests then are equal by definition. Shared memory counts as memory of the container."""
    made: Json = resources.model_dump(mode="json", by_alias=True, exclude_none=True)
    if shared is not None:
        for part in made.values():
            part["memory"] = quantities.total(part["memory"], shared)
    if spec.resource_claims:
        made["claims"] = [{"name": claim.name} for claim in spec.resource_claims]
    elif spec.gpu.count > 0:
        made["limits"][spec.gpu.resource_name] = str(spec.gpu.count)
    return made


def _shared_memory(spec: Vllm) -> str | None:
    """Size of /dev/shm; None leaves the container runtime's 64 MiB, which is too little for several GPUs."""
    if spec.shared_memory is not None:
        return spec.shared_memory
    return quantities.total(*[SHARED_MEMORY_PER_GPU] * spec.gpu.count) if spec.gpu.count > 1 else None


def _volumes(spec: Vllm) -> list[Json]:
    shared = _shared_memory(spec)
    memory = {"name": VOLUME_SHARED_MEMORY, "emptyDir": {"medium": "Memory", "sizeLimit": shared}}
    return [pod.temporary(SCRATCH), *([memory] if shared else [])]


def _vendor(spec: Vllm) -> str:
    return spec.gpu.resource_name.partition("/")[0]


def _node_selector(spec: Vllm) -> dict[str, str]:
    product = PRODUCT_LABELS.get(_vendor(spec), PRODUCT_LABEL)
    return {**spec.node_selector, **({product: spec.gpu.product} if spec.gpu.product is not None else {})}


def _tolerations(spec: Vllm) -> list[Json]:
    """The usual taint of GPU nodes, which keeps other pods off them, and what the user adds."""
    usual = [{"key": f"{_vendor(spec)}/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    added = [entry.model_dump(mode="json", by_alias=True, exclude_none=True) for entry in spec.tolerations]
    return [*(usual if spec.gpu.count > 0 else []), *added]


def _affinity(spec: Vllm) -> Json:
    required = [entry.model_dump(mode="json", by_alias=True) for entry in spec.node_affinity.required]
    if spec.gpu.count > 1 and not spec.resource_claims:
        required.append(NO_SHARING)
    preferred = [
        {
            "weight": entry.weight,
            "preference": {"matchExpressions": [entry.model_dump(mode="json", by_alias=True, exclude={"weight"})]},
        }
        for entry in spec.node_affinity.preferred
    ]
    made: Json = {}
    if required:
        terms = [{"matchExpressions": required}]
        made["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
    if preferred:
        made["preferredDuringSchedulingIgnoredDuringExecution"] = preferred
    return made


def place(spec: Vllm) -> Json:
    """Which nodes a pod of the model may run on, GPUs apart; the fetch Job goes there too, where its volume is bound."""
    affinity = _affinity(spec)
    return {
        "nodeSelector": _node_selector(spec),
        "tolerations": _tolerations(spec),
        **({"affinity": {"nodeAffinity": affinity}} if affinity else {}),
    }


def _spread(svc: RagService, model: ModelRelease) -> Json:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": names.model_selector(svc.metadata.name, model.hash)},
    }
