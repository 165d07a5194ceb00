"""The plan of one pass: what is wanted, what is verified, and therefore what is served.

    spec, referenced ConfigMaps -> declared prompt, index, model, retrieval
    spec.rollback, RagRevisions -> parts that are gone back to instead
    index Job's result, RagRevisions -> verified counts of the declared index
    all parts there -> the desired revision takes all requests
    else            -> those parts that were released before, and of the others what was served

The release table is computed anew from the RagRevisions on every pass. The only thing read from the stored table is
which number it serves, so that an edit by hand is undone and a lost table comes back.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from rag_contract.release_table import IndexRelease, ModelRelease, PromptRelease, ReleaseTable, Retrieval, Revision

from .. import names
from ..api.reasons import Reason
from ..errors import NotReady
from ..observed import Observed
from .identity import prompt_hash
from .model import declared_model, serves, wanted_policy
from .overlay import Overlay, resolve
from .records import FULL, Records, kept, live_table, numbered, read_records, served_before
from .references import named_config_map
from .refresh import Refresh, refresh_of
from .target import IndexTarget, verified, wanted_index

T = TypeVar("T")
PARTS = ("prompt", "index", "model", "retrieval")
"""What a revision is made of, its API image apart."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Content on its way to a revision; None is not there yet. `image` is the API image that the user names."""

    prompt: PromptRelease | None
    index: IndexRelease | None
    model: ModelRelease | None
    retrieval: Retrieval
    image: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What this pass works towards. Parts that cannot be known yet are None, with the cause in `faults`.

    `prompt`, `model` and `retrieval` are those to serve, gone back to or declared. `index` is the declared one, which is built
    also while another is gone back to, `verified` its collection, and `served_index` the one to serve.
    `desired` is None until all its parts are there; `retained` are the revisions to keep, by rising number.
    """

    prompt: PromptRelease | None
    index: IndexTarget | None
    model: ModelRelease
    retrieval: Retrieval
    image: str | None
    """The API image to run where the user names one or goes back to one that was named, None for the default."""
    faults: Mapping[str, NotReady]
    verified: IndexRelease | None
    served_index: IndexRelease | None
    overlay: Overlay
    desired: Revision | None
    standby: Revision | None
    """What is served while the spec is refused: what was, with the parts that were released before."""
    table: ReleaseTable
    retained: tuple[Revision, ...]
    records: Records
    before: Revision | None
    """What was served until this pass."""
    refresh: Refresh | None = None
    """The schedule of builds, None without one."""

    @property
    def serving(self) -> Revision | None:
        """The revision that takes the requests, None before the first."""
        return self.table.revisions[0] if self.table.revisions else None

    @property
    def history(self) -> tuple[Revision, ...]:
        """All recorded revisions by rising number."""
        return tuple(record.revision for record in self.records.values())

    @property
    def releases(self) -> bool:
        """Whether this pass makes a revision with a part that was never released before.

        A new combination of released parts is a way of going back, by the overlay or in the spec. That exchanges no pods.
        """
        serving = self.serving
        if serving is None or serving.number in self.records or self.overlay.active:
            return False
        return any(all(getattr(serving, part) != getattr(was, part) for was in self.history) for part in PARTS)

    def api_image(self, default: str) -> str:
        """The image that the API pods run. Where nobody names one, it is the `default` of the time of the newest release.

        So another operator with another default restarts nothing until something new is released, and going back restarts
        nothing either, but to a revision whose image was named.
        """
        by_default = [record.image for record in self.records.values() if record.image and not record.image_declared]
        if self.image is not None or self.releases or not by_default:
            return self.image or default
        return by_default[-1]

    @property
    def serves_declared_index(self) -> bool:
        """Whether what serves asks the collection that the index Job of this spec builds."""
        serving = self.serving
        return serving is not None and self.index is not None and serving.index.hash == self.index.hash

    @property
    def refreshing(self) -> bool:
        """Whether a build by schedule is on its way while an earlier one of the same index is as good as declared."""
        return self.verified is None and self.index is not None and self.served_index == self.index.standby is not None

    @property
    def index_slot(self) -> str:
        """The slot of the schedule that the index that serves was built for, empty for other builds."""
        if self.serving is None:
            return ""
        if self.serves_declared_index and self.index is not None:
            return self.index.slot
        digest = self.serving.index.hash
        return next((one.slot for one in self.records.values() if one.revision.index.hash == digest), "")

    def held(self) -> "Plan":
        """The same plan with nothing new released: only what was released before is served."""
        revisions = (self.standby,) if self.standby is not None else ()
        table = self.table.model_copy(update={"revisions": revisions})
        everything = {revision.number: revision for revision in (*self.history, *revisions)}
        retained = tuple(everything[number] for number in sorted(everything))
        return replace(self, desired=None, table=table, retained=retained, image=self.image_before)

    @property
    def image_before(self) -> str | None:
        """The API image that the user had named for what was served until this pass."""
        record = self.records.get(self.before.number) if self.before is not None else None
        return record.declared_image if record is not None else None


def make_plan(observed: Observed, now: datetime | None = None) -> Plan:
    """Pure: equal observations at equal times give equal plans. Without the time nothing is due by schedule."""
    spec = observed.service.spec
    records, live = read_records(observed), live_table(observed)
    before = served_before(observed, records, live)
    declared = declared_model(observed, records)
    overlay = resolve(spec.rollback, records, declared)
    faults: dict[str, NotReady] = {}
    prompt = overlay.prompt or _attempt(faults, names.COMPONENT_PROMPT, lambda: _wanted_prompt(observed))
    refresh = refresh_of(observed, now, pinned=overlay.index is not None) if now is not None else None
    index = _attempt(faults, names.COMPONENT_INDEX, lambda: wanted_index(observed, records, refresh))
    if overlay.index is not None:
        faults.pop(names.COMPONENT_INDEX, None)
    built = verified(observed, index, records)
    model = overlay.model or declared
    missing = serves(observed, model)
    if missing is not None:
        faults[names.COMPONENT_MODEL] = missing
    wish = Parts(
        prompt=prompt,
        index=overlay.index or built or (index.standby if index is not None else None),
        model=None if missing is not None else model,
        retrieval=overlay.retrieval or _declared_retrieval(observed),
        image=overlay.record.declared_image if overlay.record is not None else spec.api.image,
    )
    number = _Numbering(observed, records, live, index)
    desired = number(wish)
    standby = serving = before
    if before is not None and not overlay.problem:
        known = _known(wish, before, records)
        record = records.get(before.number)
        standby = number(replace(known, image=record.declared_image if record is not None else None))
        serving = number(known)
    serving = desired or serving
    return Plan(
        prompt=prompt,
        index=index,
        model=model,
        retrieval=wish.retrieval,
        image=wish.image,
        faults=faults,
        verified=built,
        served_index=wish.index,
        overlay=overlay,
        desired=desired,
        standby=standby,
        table=ReleaseTable(
            service=observed.service.metadata.name, revisions=(serving,) if serving else (), policy=wanted_policy(spec)
        ),
        retained=_retained(records, serving, overlay, spec.release.history),
        records=records,
        before=before,
        refresh=refresh,
    )


@dataclass(frozen=True, slots=True)
class _Numbering:
    """Parts to a revision: the number of equal content, or a new one; None while a part is missing."""

    observed: Observed
    records: Records
    live: ReleaseTable
    declared: IndexTarget | None

    def __call__(self, parts: Parts) -> Revision | None:
        prompt, index, model = parts.prompt, parts.index, parts.model
        if prompt is None or index is None or model is None:
            return None
        retrieval = parts.retrieval
        if self.declared is None or index.hash != self.declared.hash:
            retrieval = _fitting(retrieval, index, self.records)
        content = Revision(number=1, weight=FULL, prompt=prompt, index=index, model=model, retrieval=retrieval)
        return numbered(content, parts.image, self.observed, self.records, self.live)


def _fitting(wanted: Retrieval, index: IndexRelease, records: Records) -> Retrieval:
    """An index without vectors cannot be asked for them: then as when it last served."""
    if wanted.mode == "Sparse" or index.identity.dimension is not None:
        return wanted
    served = [r.revision.retrieval for r in records.values() if r.revision.index.hash == index.hash]
    return served[-1] if served else wanted.model_copy(update={"mode": "Sparse"})


def _known(wish: Parts, before: Revision, records: Records) -> Parts:
    """While not all parts are there: those that were released before, and of the others what serves.

    So going back in one part, by the overlay or in the spec, never waits for another part to be built. A part counts as a whole:
    a known text under another version would take that name from its own text, and a known model by another key may be asked by
    pods that do not mount the key.
    """
    known = [record.revision for record in records.values()]
    return Parts(
        prompt=_released(wish.prompt, before.prompt, (revision.prompt for revision in known)),
        index=_released(wish.index, before.index, (revision.index for revision in known)),
        model=_released(wish.model, before.model, (revision.model for revision in known)),
        retrieval=_released(wish.retrieval, before.retrieval, (revision.retrieval for revision in known)),
        image=wish.image,
    )


def _released(wanted: T | None, before: T, known: Iterable[T]) -> T:
    return wanted if wanted is not None and wanted in known else before


def _retained(records: Records, serving: Revision | None, overlay: Overlay, keep: int) -> tuple[Revision, ...]:
    """Nothing that is to serve, that pods serve until they confirm the next, or that is gone back to is among those that go."""
    everything = {number: record.revision for number, record in records.items()}
    if serving is not None:
        everything[serving.number] = serving
    may_serve = (number for number, record in records.items() if record.serves or not record.left)
    always = (*overlay.sources, *may_serve, *((serving.number,) if serving is not None else ()))
    return tuple(everything[number] for number in kept(everything, records, always, keep))


def _declared_retrieval(observed: Observed) -> Retrieval:
    spec = observed.service.spec.retrieval
    return Retrieval(mode=spec.mode.value, top_k=spec.top_k, minimum_score=spec.minimum_score)


def _attempt(faults: dict[str, NotReady], part: str, make: Callable[[], T]) -> T | None:
    try:
        return make()
    except NotReady as fault:
        faults[part] = fault
        return None


def _wanted_prompt(observed: Observed) -> PromptRelease:
    spec = observed.service.spec.prompt
    system = spec.system
    if spec.config_map_ref is not None:
        reference = named_config_map(observed, spec.config_map_ref.name, "spec.prompt.configMapRef")
        system = reference.texts.get(spec.config_map_ref.key)
        if not system:
            raise NotReady(
                Reason.ConfigMapKeyMissing,
                f'ConfigMap "{reference.name}" has no text under the key "{spec.config_map_ref.key}" that'
                " spec.prompt.configMapRef names: add it.",
            )
    text = system or ""
    return PromptRelease(version=spec.version, hash=prompt_hash(text, spec.refusal), system=text, refusal=spec.refusal)
