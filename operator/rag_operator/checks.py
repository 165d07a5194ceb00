"""What makes a declared service impossible although its schema is right. Ordered; the first that fires is shown.

Each check reads as the fault it finds and raises `InvalidSpec` with the remedy. Nothing is applied then: what serves goes on
serving.
"""

from collections.abc import Callable

from rag_contract.release_table import Revision

from . import names
from .api.reasons import Reason
from .errors import InvalidSpec
from .releases import Plan

Check = Callable[[Plan], None]


def rollback_target_unknown(plan: Plan) -> None:
    """What is gone back to must be kept."""
    if plan.overlay.problem:
        raise InvalidSpec(Reason.RollbackTargetUnknown, plan.overlay.problem)


def prompt_version_reused(plan: Plan) -> None:
    """A prompt version names one content for ever."""
    prompt = plan.prompt
    if prompt is None or plan.overlay.prompt is not None:
        return
    for revision in plan.history:
        if revision.prompt.version == prompt.version and revision.prompt.hash != prompt.hash:
            raise InvalidSpec(
                Reason.PromptVersionReused,
                f'The prompt "{prompt.version}" of revision {revision.number} has other content: give the new content'
                f" a new spec.prompt.version, or put the old content back, which {_record(plan, revision)} holds.",
            )


def _record(plan: Plan, revision: Revision) -> str:
    return f"RagRevision {names.revision(plan.table.service, revision.number)}"


def index_version_reused(plan: Plan) -> None:
    """An index version names one content for ever; an index whose analysis the operator itself changed is rebuilt."""
    index = plan.index
    if index is None or plan.overlay.index is not None:
        return
    for revision in plan.history:
        known = revision.index
        if known.version == index.version and known.hash != index.hash and known.identity == index.identity:
            raise InvalidSpec(
                Reason.IndexVersionReused,
                f'The index "{index.version}" of revision {revision.number} has other documents or settings: give the'
                " new content a new spec.index.version, or put the old content back. The old"
                f' collection is kept: spec.rollback.index "{index.version}" serves it whatever spec.index says.',
            )


def refresh_schedule_impossible(plan: Plan) -> None:
    """A schedule that no calendar ever meets would never build anything."""
    if plan.refresh is not None and plan.refresh.problem:
        raise InvalidSpec(
            Reason.RefreshScheduleImpossible,
            f'spec.index.refresh.schedule "{plan.refresh.schedule}" never comes: correct its day or month, or remove it.',
        )


CHECKS: tuple[Check, ...] = (
    rollback_target_unknown,
    prompt_version_reused,
    index_version_reused,
    refresh_schedule_impossible,
)


def first_problem(plan: Plan) -> InvalidSpec | None:
    """Run the checks in order."""
    for check in CHECKS:
        try:
            check(plan)
        except InvalidSpec as problem:
            return problem
    return None
