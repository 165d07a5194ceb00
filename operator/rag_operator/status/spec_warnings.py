"""What is worth a warning in a spec that can be carried out: for the condition SpecValid, from the moment of `kubectl apply`."""

import re

from ..api.engine import LOGGING_FLAGS, RECORDED_VERSION, stands_for, unknown_flags
from .facts import Facts

_COMMIT = re.compile(r"^[0-9a-f]{40}$")


def spec_warnings(facts: Facts) -> list[str]:
    """Sentences about the wanted model, each with what to do; none for a model without a server of ours."""
    engine = facts.plan.model.engine
    if engine is None:
        return []
    return [*_unknown(engine.arguments), *_logged(engine.arguments), *_unpinned(facts)]


def _unknown(arguments: tuple[str, ...]) -> list[str]:
    unknown = unknown_flags(arguments)
    if not unknown:
        return []
    version = ".".join(map(str, RECORDED_VERSION))
    return [
        f"vLLM {version} does not know {', '.join(unknown)} of spec.model.vllm.args: where the image's vLLM does not either, it"
        " will not start. Correct the spelling, or leave it out."
    ]


def _logged(arguments: tuple[str, ...]) -> list[str]:
    """vLLM logs no question unless it is told to."""
    told = [argument for argument in arguments if stands_for(argument) & LOGGING_FLAGS]
    if not told:
        return []
    return [
        f"{', '.join(told)} of spec.model.vllm.args writes what people ask, or are answered, into the logs of the model's pods:"
        " leave it out where they may not be read."
    ]


def _unpinned(facts: Facts) -> list[str]:
    """Only a hub has revisions."""
    spec, revision = facts.observed.service.spec.model.vllm, facts.plan.model.revision
    by_hub = spec is None or (spec.source.downloads and spec.source.s3 is None)
    if not by_hub or (revision is not None and _COMMIT.match(revision)):
        return []
    return ["The model's files may change under its name: pin spec.model.revision to a commit (40 hex digits)."]
