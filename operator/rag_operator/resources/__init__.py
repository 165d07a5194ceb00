"""Everything that one RagService becomes: `build_all` is the table of contents. Pure: equal inputs give equal objects."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from rag_contract.release_table import PromptRelease, Revision

from .. import names, quantities
from ..api import DeletionPolicy, Made, RagService
from ..observed import Observed
from ..releases import Plan
from ..releases.model import hosted_models
from ..settings import PACKAGE_VERSION, Settings
from . import (
    api,
    batch,
    index,
    index_sweep,
    kept,
    model,
    model_cache,
    model_fetch,
    model_keys,
    prompt,
    qdrant,
    releases,
    secrets,
)
from .retention import stuck_pods, unwanted

__all__ = ["build_all", "build_released", "claims", "outdated", "owned", "secrets", "stuck_pods", "unwanted"]

Json = dict[str, Any]


def build_all(svc: RagService, observed: Observed, plan: Plan, settings: Settings) -> list[Json]:
    """All children, in the order in which they are applied: what others name comes first."""
    stamp = key_stamp(svc, observed)
    settings_map, answering = _api(svc, observed, plan, settings, stamp)
    children = [
        api.service_account(svc),
        settings_map,
        *_prompts(svc, plan.retained, plan.prompt),
        *_vector_store(svc, observed, settings, stamp),
        *releases.revisions(svc, observed, plan, _made(plan, settings)),
        *model_fetch.jobs(svc, observed, plan, settings),
        *model.build(svc, observed, plan, settings),
        releases.table(svc, plan.table),
        api.service(svc),
        answering,
        *([api.disruption_budget(svc)] if svc.spec.api.replicas > 1 else []),
        *_index(svc, observed, plan, settings, stamp),
        *index_sweep.jobs(svc, observed, plan, settings, stamp),
    ]
    return [owned(svc, _as_it_was_started(child, observed)) for child in children]


def _as_it_was_started(child: Json, observed: Observed) -> Json:
    """A Job that exists keeps what cannot be changed of it, whichever build of the operator rendered it."""
    live = observed.child("Job", child["metadata"]["name"]) if child["kind"] == "Job" else None
    if live is None:
        return child
    stays = {name: live["spec"][name] for name in ("template", "podFailurePolicy") if name in live["spec"]}
    return {**child, "spec": {**child["spec"], **stays}}


def _api(svc: RagService, observed: Observed, plan: Plan, settings: Settings, stamp: str) -> tuple[Json, Json]:
    """Settings and Deployment of the API, both as they were rendered until an edit or a release.

    What is rendered now takes the default image of now: the image of an earlier operator may not know today's settings.
    """
    live = observed.child("Deployment", names.api(svc.metadata.name))
    image, keys = plan.api_image(settings.api_image), _api_keys(svc, observed, plan, settings, stamp)
    fresh = api.deployment(svc, plan.image or settings.api_image, keys)
    subject = api.subject(svc, image, keys)
    made = kept.keep_good(fresh, live, subject, settings, renew=plan.releases)
    name, current = api.settings_in(made), api.settings_map(svc)
    if name == current["metadata"]["name"]:
        return current, made
    stored = observed.child("ConfigMap", name)
    if stored is not None:
        return api.settings_as_stored(svc, stored), made
    return current, kept.keep(fresh, None, subject, settings)  # what its pods need is lost


def _api_keys(svc: RagService, observed: Observed, plan: Plan, settings: Settings, stamp: str) -> api.Keys:
    """The keys that the pods mount, as long as they are enough and nothing else exchanges the pods; else those that are needed."""
    live = observed.child("Deployment", names.api(svc.metadata.name))
    subject = partial(api.subject, svc, plan.api_image(settings.api_image))
    needed = api.Keys(stamp, model_keys.references(svc, plan))
    note = None if kept.is_made_of(live, subject(needed)) else kept.note_of(live)
    if note is None:
        return needed
    mounted = api.Keys(stamp, model_keys.mounted(note.template))
    enough = set(mounted.models) >= set(needed.models)
    return mounted if enough and kept.is_made_of(live, subject(mounted)) else needed


def outdated(svc: RagService, observed: Observed, plan: Plan, settings: Settings) -> tuple[str, ...]:
    """Components that run as another build of the operator rendered them, and would be rendered otherwise now."""
    stamp = key_stamp(svc, observed)
    answering = observed.child("Deployment", names.api(svc.metadata.name))

    def fresh() -> Json:
        keys = _api_keys(svc, observed, plan, settings, stamp)
        return api.deployment(svc, plan.image or settings.api_image, keys)

    found = [names.COMPONENT_API] if kept.is_outdated(fresh, answering, settings) else []
    spec, live = svc.spec.vector_store.qdrant, observed.child("StatefulSet", names.qdrant(svc.metadata.name))
    if spec is not None:
        store = partial(qdrant.statefulset, svc, spec, settings, live, stamp)
        found += [names.COMPONENT_QDRANT] if kept.is_outdated(store, live, settings) else []
    if any(model.is_outdated(svc, observed, one, settings) for one in hosted_models(plan.model, ())):
        found.append(names.COMPONENT_MODEL)
    return tuple(found)


def owned(svc: RagService, child: Json) -> Json:
    """The one place where a child gets its namespace, its owner and the common labels."""
    metadata = child["metadata"]
    own = metadata.get("labels", {})
    return {
        **child,
        "metadata": {
            **metadata,
            "namespace": svc.metadata.namespace,
            "labels": {**names.labels(svc.metadata.name, own[names.LABEL_COMPONENT]), **own},
            "ownerReferences": [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": "RagService",
                    "name": svc.metadata.name,
                    "uid": svc.metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
    }


def claims(svc: RagService, observed: Observed, plan: Plan) -> list[Json]:
    """Volume claims as they should be."""
    return [*_store_claims(svc, observed), *(_kept_apart(svc, made) for made in model_cache.claim(svc, observed, plan))]


def _store_claims(svc: RagService, observed: Observed) -> list[Json]:
    """Existing ones of the vector store. They belong to the StatefulSet: no owner, no labels of ours."""
    spec = svc.spec.vector_store.qdrant
    name = names.qdrant_claim(svc.metadata.name)
    if spec is None or name not in observed.claims:
        return []
    stored = observed.claims[name]["spec"]["resources"]["requests"]["storage"]
    if not quantities.less(stored, spec.storage.size):
        return []  # a volume cannot shrink; one that was grown by hand stays as it is
    body = qdrant.claim(svc, spec)
    return [{**body, "metadata": {**body["metadata"], "namespace": svc.metadata.namespace}}]


def _kept_apart(svc: RagService, claim: Json) -> Json:
    """A claim has an owner only where it goes with the RagService: the garbage collector deletes what is owned."""
    made = owned(svc, claim)
    if svc.spec.deletion_policy is DeletionPolicy.DELETE:
        return made
    return {**made, "metadata": {key: value for key, value in made["metadata"].items() if key != "ownerReferences"}}


def key_stamp(svc: RagService, observed: Observed) -> str:
    """Which making of the vector store key the pods hold: as recorded on the StatefulSet, empty for the first."""
    body = observed.child("StatefulSet", names.qdrant(svc.metadata.name))
    template = (body or {}).get("spec", {}).get("template", {}).get("metadata", {})
    return str(observed.new_key or (template.get("annotations") or {}).get(names.ANNOTATION_KEY, ""))


def build_released(svc: RagService, observed: Observed, plan: Plan, settings: Settings) -> list[Json]:
    """What is served and nothing else: all that may change while the spec is refused."""
    children = [
        *_prompts(svc, plan.retained),
        *releases.revisions(svc, observed, plan, _made(plan, settings)),
        releases.table(svc, plan.table),
    ]
    return [owned(svc, child) for child in children]


def _made(plan: Plan, settings: Settings) -> Made:
    return Made(
        image=plan.api_image(settings.api_image),
        image_declared=plan.image is not None,
        render_version=PACKAGE_VERSION,
        index_slot=plan.index_slot or None,
    )


def _prompts(svc: RagService, retained: Iterable[Revision], declared: PromptRelease | None = None) -> list[Json]:
    """Each content once, whichever of the kept revisions and the declared prompt name it."""
    kept = {revision.prompt.hash: revision.prompt for revision in retained}
    if declared is not None:
        kept.setdefault(declared.hash, declared)
    return [prompt.config_map(svc, content) for _, content in sorted(kept.items())]


def _vector_store(svc: RagService, observed: Observed, settings: Settings, stamp: str) -> list[Json]:
    spec = svc.spec.vector_store.qdrant
    if spec is None:
        return []
    live = observed.child("StatefulSet", names.qdrant(svc.metadata.name))
    made = qdrant.statefulset(svc, spec, settings, live, stamp)
    return [
        qdrant.peers_service(svc),
        qdrant.service(svc),
        kept.keep(made, live, qdrant.subject(svc, spec, stamp), settings),
    ]


def _index(svc: RagService, observed: Observed, plan: Plan, settings: Settings, stamp: str) -> list[Json]:
    """The Job of the declared index. One that exists with another template is left to `unwanted`: it cannot be changed."""
    if plan.index is None or svc.spec.suspend:
        return []
    live = observed.child("Job", names.index_job(svc.metadata.name, plan.index.hash))
    # What was made as the first stays so: its result is released before the Job itself has ended.
    first = plan.serving is None or (live is not None and index_sweep.names_alias(live))
    job = index.job(svc, plan.index, settings, stamp, first=first)
    if live is None and index_sweep.may_drop(observed, plan.index.collection):
        return []
    if live is not None and batch.template(live) != batch.template(job):
        return []
    return [job]
