"""What the spec says of the model: the part that makes a release, and the policy that changes at once. Pure."""

from collections.abc import Iterable
from typing import Any

from rag_contract.release_table import Endpoint, Engine, Fallback, ModelRelease, Policy, Prices, ReleaseTable, Revision

from .. import names
from ..api import ExternalModel, Model, ModelRuntime, RagService, RagServiceSpec, Vllm
from ..api.model_source import CacheType
from ..api.reasons import Reason
from ..errors import NotReady
from ..observed import Observed
from .identity import digest
from .records import Records
from .weights import identity_of, mounts, recorded, source_of

EXTRACTIVE = "extractive"


def wanted_model(service: RagService) -> ModelRelease:
    """What turns sources into answers, as declared."""
    spec = service.spec.model
    if spec.runtime is ModelRuntime.VLLM:
        return _hosted(service, spec)
    if spec.runtime is ModelRuntime.EXTERNAL:
        return _external(spec)
    sentences = spec.extractive.max_sentences
    return ModelRelease(
        runtime="Extractive",
        name=EXTRACTIVE,
        hash=digest({"runtime": "Extractive", "sentences": sentences}),
        max_sentences=sentences,
    )


def _hosted(service: RagService, spec: Model) -> ModelRelease:
    """A model server of ours. The hash covers what the model is; where it runs and how many pods there are does not."""
    return _named(service, spec, _engine(spec.vllm or Vllm()))


def _named(service: RagService, spec: Model, engine: Engine) -> ModelRelease:
    assert spec.name is not None  # noqa: S101 - the schema demands it
    tokens = spec.vllm.max_model_tokens if spec.vllm is not None else None
    what = {
        "runtime": "VLLM",
        "name": spec.name,
        "revision": spec.revision,
        "engine": engine.model_dump(mode="json", exclude_defaults=True, exclude={"weights"}),
        "tokens": tokens,
        "weights": identity_of(engine.weights),
    }
    made = digest({key: value for key, value in what.items() if value is not None})
    url = names.model_url(service.metadata.namespace, service.metadata.name, made)
    return ModelRelease(
        runtime="VLLM",
        name=spec.name,
        revision=spec.revision,
        hash=made,
        endpoints=(Endpoint(url=url, model=names.SERVED_MODEL),),
        context_tokens=tokens,
        engine=engine,
    )


def _engine(spec: Vllm) -> Engine:
    return Engine(
        image=spec.image,
        launcher=spec.launcher if spec.launcher is not None else spec.image is None,
        arguments=spec.args,
        gpus=spec.gpu.count,
        gpu_memory_percent=spec.gpu_memory_percent,
        trust_remote_code=spec.trust_remote_code,
        weights=recorded(spec.source),
    )


def declared_model(observed: Observed, records: Records) -> ModelRelease:
    """What turns sources into answers, as declared: as it was recorded, if it was.

    Models of an earlier operator have records that do not say where their weights come from. What runs tells it then, so that
    no server is exchanged for another one with the same weights; the next record says it.
    """
    service = observed.service
    made = wanted_model(service)
    engine = made.engine
    if engine is None or engine.weights is None:
        return made
    if identity_of(engine.weights) is not None:
        before = _named(service, service.spec.model, engine.model_copy(update={"weights": None}))
        body = observed.child("Deployment", names.model(service.metadata.name, before.hash))
        same = body is not None and mounts(body, engine.weights)
        made = before.model_copy(update={"engine": engine}) if same else made
    known = (record.revision.model for record in records.values())
    return next(
        (m for m in known if m.hash == made.hash and m.engine is not None and m.engine.weights is not None), made
    )


def hosting(service: RagService, model: ModelRelease) -> Vllm:
    """How a model server of ours runs: as the spec says, or by defaults when it no longer does. Another model than the declared
    one has the GPUs and the weights of its own record."""
    spec, engine = service.spec.model.vllm or Vllm(), model.engine
    declared = service.spec.model.runtime is ModelRuntime.VLLM and wanted_model(service).hash == model.hash
    if declared or engine is None:
        return spec
    changed: dict[str, Any] = {"gpu": spec.gpu.model_copy(update={"count": engine.gpus})}
    if engine.weights is not None:
        changed["source"] = source_of(engine.weights)
    if engine.weights is not None and engine.weights.source == "S3":  # only the Job can read a bucket
        changed["cache"] = spec.cache.model_copy(update={"type": CacheType.VOLUME})
    return spec.model_copy(update=changed)


def _external(spec: Model) -> ModelRelease:
    external = spec.external
    assert external is not None  # noqa: S101 - the schema demands it
    name = spec.name or external.model
    what = {
        "runtime": "External",
        "name": name,
        "revision": spec.revision,
        "url": external.url,
        "model": external.model,
        "protocol": external.protocol.value,
    }
    return ModelRelease(
        runtime="External",
        name=name,
        revision=spec.revision,
        hash=digest({key: value for key, value in what.items() if value is not None}),
        endpoints=(_endpoint(external),),
    )


def _endpoint(external: ExternalModel) -> Endpoint:
    reference = external.api_key_secret_ref
    key = names.model_key_file(reference.name, reference.key) if reference is not None else None
    return Endpoint(url=external.url, model=external.model, key=key)


def wanted_policy(spec: RagServiceSpec) -> Policy:
    """How answers are made, whatever the revision."""
    model = spec.model
    prices = model.prices
    return Policy(
        model_enabled=model.enabled,
        fallbacks=tuple(
            Fallback(endpoint=_endpoint(entry.external) if entry.external is not None else None)
            for entry in model.fallback
        ),
        prices=Prices(
            currency=prices.currency,
            prompt_per_million=prices.prompt_per_million,
            completion_per_million=prices.completion_per_million,
        )
        if prices is not None
        else None,
    )


def has_stand_in(table: ReleaseTable) -> bool:
    """Whether something answers when a served model does not: then the API pods stay ready without it."""
    armed = table.policy.model_enabled and bool(table.policy.fallbacks)
    return armed and any(revision.model.endpoints for revision in table.revisions)


def hosted_models(wanted: ModelRelease, revisions: Iterable[Revision]) -> tuple[ModelRelease, ...]:
    """The models that need a server of ours: the wanted one first, then those that these revisions name, each once."""
    found: dict[str, ModelRelease] = {}
    for model in (wanted, *(revision.model for revision in revisions)):
        if model.runtime == "VLLM":
            found.setdefault(model.hash, model)
    return tuple(found.values())


def serves(observed: Observed, model: ModelRelease) -> NotReady | None:
    """Why the model cannot take requests yet; None when it can. Models without a server of ours always can."""
    if model.runtime != "VLLM":
        return None
    name = names.model(observed.service.metadata.name, model.hash)
    body = observed.child("Deployment", name)
    if ((body or {}).get("status") or {}).get("readyReplicas", 0) > 0:
        return None
    return NotReady(Reason.ModelLoading, f'No pod of Deployment {name} has loaded the model "{model.name}" yet.')
