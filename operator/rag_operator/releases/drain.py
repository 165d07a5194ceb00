"""Former models: how long their servers stay after the release table has moved to another model. Pure.

table names another model --> until every API pod has said that it serves the new table: stays
the pods' word            --> as long as an answer that was begun before may last: stays
after that                --> goes

A ready pod that does not say so now is doubt, whatever was confirmed before: the table may have moved and come back since, and
that pod may ask the model between.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from ..observed import Observed
from .plan import Plan
from .records import Record

FOR_EVER = float("inf")


def former_models(observed: Observed, plan: Plan, now: datetime, *, doubted: bool = False) -> dict[str, float]:
    """Seconds for which each released model that the table no longer names is still needed, by hash; infinite until the pods'
    word. Those that are no longer needed are not in it, nor are models that no table ever named. `doubted`: a ready API pod
    does not say that it serves the table."""
    if plan.serving is None or observed.service.spec.suspend:
        return {}
    limits, drain = observed.service.spec.api.limits, observed.service.spec.api.drain_seconds
    lasts = timedelta(seconds=max(drain, limits.request_timeout_seconds, limits.stream_timeout_seconds))
    served = plan.records.get(plan.serving.number)
    confirmed = served is not None and served.serves and not doubted
    needed: dict[str, float] = {}
    for record in _of_other_models(plan):
        if not confirmed or record.serves or not record.left:
            seconds = FOR_EVER
        else:
            seconds = (datetime.fromisoformat(record.left) + lasts - now).total_seconds()
        if seconds > 0:
            needed[record.revision.model.hash] = max(seconds, needed.get(record.revision.model.hash, 0.0))
    return needed


def _of_other_models(plan: Plan) -> Iterator[Record]:
    named = {plan.model.hash, *(revision.model.hash for revision in plan.table.revisions)}
    for record in plan.records.values():
        if record.revision.model.runtime == "VLLM" and record.revision.model.hash not in named:
            yield record
