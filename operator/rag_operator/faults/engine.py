"""Faults of a model server: what its launcher, or the end of its log, says of why it ended.

    termination message --> the launcher's result, else the table of log signatures --> reason, cause and remedy

Loading takes minutes, so an end is told until the pod is ready, also while the container is loading again.
"""

from collections.abc import Iterable

from pydantic import ValidationError
from rag_contract.engine_logs import diagnose, last_error
from rag_contract.model_server import ModelServerResult

from ..api.reasons import Reason
from ..observed import Pod
from .words import Fault, Json, said, short

ENGINE_REASONS = frozenset(
    {
        Reason.InvalidEngineArgument,
        Reason.GpuNotVisible,
        Reason.UnsupportedDriver,
        Reason.UnsupportedGpu,
        Reason.GpuOutOfMemory,
        Reason.OutOfMemory,
        Reason.SharedMemoryTooSmall,
        Reason.CacheFull,
        Reason.WeightsMissing,
        Reason.ModelDownloadUnauthorized,
        Reason.UnsupportedModel,
        Reason.RemoteCodeRefused,
        Reason.UnsupportedQuantization,
        Reason.ContextTooLong,
        Reason.LoadDeadlineExceeded,
        Reason.EngineStalled,
        Reason.EngineCrashed,
        Reason.InvalidSettings,
    }
)
"""The contract's `EngineFault`, as reasons."""


def engine_fault(pods: Iterable[Pod]) -> Fault | None:
    """Of the first pod, by name, that is not ready and whose engine has ended."""
    for pod in sorted(pods, key=lambda pod: pod.name):
        ended = _ended(pod)
        if ended is not None:
            return _told(pod, ended)
    return None


def _ended(pod: Pod) -> Json | None:
    """How the container of a pod that is not ready ended last; None when it did not, or as it was told to."""
    if pod.ready or pod.deleting:
        return None
    for container in (pod.raw.get("status") or {}).get("containerStatuses") or ():
        state, last = container.get("state") or {}, container.get("lastState") or {}
        ended: Json | None = state.get("terminated") or last.get("terminated")
        if ended and ended.get("exitCode", 0) != 0 and ended.get("reason") not in {"StartError", "ContainerCannotRun"}:
            return ended
    return None


def _told(pod: Pod, ended: Json) -> Fault:
    text = ended.get("message") or ""
    see = f"See `kubectl logs {pod.name} --previous`."
    result = _result(text)
    if result is not None and result.reason:
        detail = f" ({said(result.detail)})" if result.detail else ""
        return Fault(Reason(result.reason), f"Pod {pod.name}: {short(result.message).rstrip('.')}{detail}. {see}")
    if ended.get("reason") == "OOMKilled":
        return Fault(
            Reason.OutOfMemory,
            f"The engine of pod {pod.name} was ended for using more memory than its limit: raise"
            " spec.model.vllm.resources.limits.memory.",
        )
    known = diagnose(text)
    if known is not None:
        return Fault(Reason(known.reason), f"Pod {pod.name}: {known.message.rstrip('.')} ({said(known.quote)}). {see}")
    words = f": {said(last_error(text))}" if text else ""
    return Fault(
        Reason.EngineCrashed, f"The engine of pod {pod.name} ends with exit code {ended.get('exitCode')}{words}. {see}"
    )


def _result(text: str) -> ModelServerResult | None:
    try:
        return ModelServerResult.model_validate_json(text)
    except ValidationError:
        return None
