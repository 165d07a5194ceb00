"""What makes a declared model server impossible, by its version of vLLM, by the operator's settings, or by its context.

As in `checks`: each reads as the fault it finds, and the first that fires is shown. Only a model that is wanted now is judged.
"""

from collections.abc import Callable
from typing import NamedTuple

from rag_contract.release_table import Engine

from .api import RagService
from .api.engine import CODE_FLAGS, OLDEST_VERSION, abbreviated, engine_version, stands_for
from .api.reasons import Reason
from .errors import InvalidSpec
from .releases import Plan
from .settings import Settings

BYTES_PER_TOKEN = 3
"""As the API counts: more tokens than there will be."""
FRAME_TOKENS = 350
"""The rules that stand around the sources, and the chat template."""
ANSWER_TOKENS = 512
"""Of an answer when the client asks for no other length."""


class Judged(NamedTuple):
    """What the checks look at."""

    service: RagService
    plan: Plan
    engine: Engine
    settings: Settings


Check = Callable[[Judged], None]


def model_problem(service: RagService, plan: Plan, settings: Settings) -> InvalidSpec | None:
    """Run the checks in order; None when nothing is wrong, or when no model server of ours is wanted."""
    engine = plan.model.engine
    if engine is None:
        return None
    for check in CHECKS:
        try:
            check(Judged(service, plan, engine, settings))
        except InvalidSpec as problem:
            return problem
    return None


def engine_too_old(judged: Judged) -> None:
    """An image of vLLM from before the arguments that the operator writes."""
    version = engine_version(judged.engine.image or judged.settings.model_image)
    if version is not None and version < OLDEST_VERSION:
        raise InvalidSpec(
            Reason.EngineNotSupported,
            f'The image "{judged.engine.image}" holds vLLM {_dotted(version)}, which cannot finish its answers before it'
            f" ends: name an image of vLLM {_dotted(OLDEST_VERSION)} or newer in spec.model.vllm.image.",
        )


def argument_abbreviated(judged: Judged) -> None:
    """vLLM's parser takes the beginning of a flag for the flag, which the rules of the schema cannot see."""
    found = abbreviated(judged.engine.arguments)
    if found is not None:
        argument, flag = found
        raise InvalidSpec(
            Reason.InvalidEngineArgument,
            f'"{argument}" of spec.model.vllm.args is short for {flag.name}, which {flag.instead}.',
        )


def remote_code_forbidden(judged: Judged) -> None:
    """Who runs the operator does not let code of models run."""
    if judged.settings.allow_remote_code:
        return
    engine = judged.engine
    plugins = [argument for argument in engine.arguments if stands_for(argument) & CODE_FLAGS]
    what = [*(["trustRemoteCode is true"] if engine.trust_remote_code else []), *(f"args has {p}" for p in plugins)]
    if what:
        raise InvalidSpec(
            Reason.RemoteCodeForbidden,
            f"spec.model.vllm.{what[0]}, which the operator's setting RAG_OPERATOR_ALLOW_REMOTE_CODE forbids: choose a model"
            " that needs no code of its own.",
        )


def runtime_class_forbidden(judged: Judged) -> None:
    """Runtime classes decide how far a container is kept from its node: who runs the operator lists them."""
    spec = judged.service.spec.model.vllm
    wanted = spec.runtime_class_name if spec is not None else None
    allowed = sorted(filter(None, (name.strip() for name in judged.settings.runtime_classes.split(","))))
    if wanted is not None and wanted not in allowed:
        listed = f"choose one of {', '.join(allowed)}" if allowed else "leave it out"
        raise InvalidSpec(
            Reason.RuntimeClassForbidden,
            f'spec.model.vllm.runtimeClassName "{wanted}" is not allowed by the operator\'s setting'
            f" RAG_OPERATOR_RUNTIME_CLASSES: {listed}.",
        )


def context_too_short(judged: Judged) -> None:
    """The model's context does not hold the prompt, one source and an answer."""
    context, prompt = judged.plan.model.context_tokens, judged.plan.prompt
    if context is None or prompt is None:
        return
    source = -(-judged.service.spec.index.chunking.max_characters // BYTES_PER_TOKEN)
    system = -(-len(f"{prompt.system}{prompt.refusal}".encode()) // BYTES_PER_TOKEN)
    least = FRAME_TOKENS + system + source + ANSWER_TOKENS
    if context < least:
        raise InvalidSpec(
            Reason.ContextTooShort,
            f"spec.model.vllm.maxModelTokens is {context}, but the prompt ({system} tokens and {FRAME_TOKENS} around it), one"
            f" source ({source}) and an answer ({ANSWER_TOKENS}) may take {least}: raise it, or shorten the prompt or"
            " spec.index.chunking.maxCharacters.",
        )


CHECKS: tuple[Check, ...] = (
    engine_too_old,
    argument_abbreviated,
    remote_code_forbidden,
    runtime_class_forbidden,
    context_too_short,
)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
