"""What makes a declared service impossible although its schema is right. Ordered; the first that fires is shown.

Each check reads as the fault it finds and raises `InvalidSpec` with the remedy. Nothing is applied then: what serves goes on
serving.
"""

from collections.abc import Callable

from .api.reasons import Reason
from .errors import InvalidSpec
from .observed import Observed
from .releases import Plan

Check = Callable[[Observed, Plan], None]


def prompt_version_reused(observed: Observed, plan: Plan) -> None:
    """A prompt version names one content for ever."""
    prompt = plan.prompt
    for revision in plan.history if prompt is not None else ():
        if prompt and revision.prompt.version == prompt.version and revision.prompt.hash != prompt.hash:
            raise InvalidSpec(
                Reason.PromptVersionReused,
                f'The prompt "{prompt.version}" of revision {revision.number} has other content: give the new content'
                " a new spec.prompt.version, or put the old content back.",
            )


def index_version_reused(observed: Observed, plan: Plan) -> None:
    """An index version names one content for ever; an index whose analysis the operator itself changed is rebuilt."""
    index = plan.index
    for revision in plan.history if index is not None else ():
        known = revision.index
        if index and known.version == index.version and known.hash != index.hash and known.identity == index.identity:
            raise InvalidSpec(
                Reason.IndexVersionReused,
                f'The index "{index.version}" of revision {revision.number} has other documents or settings: give the'
                " new content a new spec.index.version, or put the old content back.",
            )


CHECKS: tuple[Check, ...] = (prompt_version_reused, index_version_reused)


def first_problem(observed: Observed, plan: Plan) -> InvalidSpec | None:
    """Run the checks in order."""
    for check in CHECKS:
        try:
            check(observed, plan)
        except InvalidSpec as problem:
            return problem
    return None
