"""`spec.rollback` resolved: the kept content that it names, or what is wrong with the name. Pure.

rollback.prompt, index, model --> that part of the newest kept record that has it
rollback.revision             --> every part of that record, and its API image
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rag_contract.release_table import IndexRelease, ModelRelease, PromptRelease, Retrieval, Revision

from ..api import Rollback
from .records import Record, Records

LISTED = 10


@dataclass(frozen=True, slots=True)
class Overlay:
    """The parts that are gone back to; None: as the spec says. `sources` are the oldest records that have them.

    `problem` names a target that is not kept, and what is; nothing is gone back to then.
    """

    prompt: PromptRelease | None = None
    index: IndexRelease | None = None
    model: ModelRelease | None = None
    retrieval: Retrieval | None = None
    record: Record | None = None
    """The record that is gone back to as a whole, its API image included."""
    sources: tuple[int, ...] = ()
    problem: str = ""

    @property
    def active(self) -> bool:
        """Whether anything is gone back to."""
        return bool(self.sources)


def resolve(rollback: Rollback, records: Records, declared: ModelRelease) -> Overlay:
    """`declared` is the model of the spec: a bare model name means another than that."""
    if rollback.revision is not None:
        return _whole(rollback.revision, records)
    newest = [records[number].revision for number in sorted(records, reverse=True)]
    problems = []
    parts: tuple[tuple[str, str | None, Callable[[str], Revision | None], Iterable[str]], ...] = (
        ("prompt", rollback.prompt, lambda name: _first(newest, lambda r: r.prompt.version == name), _prompts(newest)),
        ("index", rollback.index, lambda name: _first(newest, lambda r: r.index.version == name), _indexes(newest)),
        ("model", rollback.model, lambda name: _model(newest, name, declared), _models(newest)),
    )
    found: dict[str, Revision] = {}
    for field, name, find, available in parts:
        if name is None:
            continue
        source = find(name)
        if source is None:
            problems.append(_unknown(f"spec.rollback.{field}", f'"{name}"', available))
        else:
            found[field] = source
    if problems:
        return Overlay(problem=" ".join(problems))
    return Overlay(
        prompt=found["prompt"].prompt if "prompt" in found else None,
        index=found["index"].index if "index" in found else None,
        model=found["model"].model if "model" in found else None,
        sources=tuple(sorted({_origin(field, source, newest) for field, source in found.items()})),
    )


def _origin(field: str, source: Revision, newest: Sequence[Revision]) -> int:
    """Number of the oldest record with this very part. It stays the same when the part is recorded in a new combination, so
    which records go does not hang on how many passes were made since."""
    part = getattr(source, field)
    return next(revision.number for revision in reversed(newest) if getattr(revision, field) == part)


def _whole(number: int, records: Records) -> Overlay:
    record: Record | None = records.get(number)
    if record is None:
        return Overlay(problem=_unknown("spec.rollback.revision", str(number), map(str, sorted(records, reverse=True))))
    content = record.revision
    return Overlay(content.prompt, content.index, content.model, content.retrieval, record, (number,))


def _first(revisions: Iterable[Revision], fits: Callable[[Revision], bool]) -> Revision | None:
    return next(filter(fits, revisions), None)


def _model(newest: Iterable[Revision], name: str, declared: ModelRelease) -> Revision | None:
    """By hash or full name; a bare name prefers one that is not the declared one: that is what is gone back from."""
    revisions = list(newest)
    exact = _first(revisions, lambda r: name in {r.model.hash, f"{r.model.name}@{r.model.revision}"})
    other = _first(revisions, lambda r: r.model.name == name and r.model.hash != declared.hash)
    return exact or other or _first(revisions, lambda r: r.model.name == name)


def _prompts(revisions: Iterable[Revision]) -> list[str]:
    return [revision.prompt.version for revision in revisions]


def _indexes(revisions: Iterable[Revision]) -> list[str]:
    return [revision.index.version for revision in revisions]


def _models(revisions: Iterable[Revision]) -> list[str]:
    return [f"{r.model.name}@{r.model.revision}" if r.model.revision else r.model.name for r in revisions]


def _unknown(field: str, name: str, available: Iterable[str]) -> str:
    choice = list(dict.fromkeys(available))
    listed = ", ".join(choice[:LISTED]) + (", ..." if len(choice) > LISTED else "")
    rest = f"kept are {listed}: name one of them, or" if choice else "nothing was released yet:"
    return f"{field} names {name}, which is not kept; {rest} remove {field}."
