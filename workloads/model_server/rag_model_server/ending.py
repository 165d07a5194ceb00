"""Why it ended: from exit code, state and log to the termination message. Pure but for `write`."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from rag_contract.engine_logs import diagnose, last_error
from rag_contract.model_server import EngineFault, ModelServerEnvironment, ModelServerResult

from .gpus import Seen

MAX_BYTES = 4096


class LaunchError(Exception):
    """The engine will not serve: why, and what to do."""

    def __init__(self, reason: EngineFault, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.reason: EngineFault = reason
        self.message = message
        self.detail = detail


def crashed(code: int, log: Sequence[str]) -> LaunchError:
    """The engine ended though nobody told it to."""
    found = diagnose(log)
    if found is not None:
        return LaunchError(found.reason, found.message, found.quote)
    if code == -signal.SIGKILL:
        return LaunchError(
            "OutOfMemory",
            "The engine was killed, most likely because the container's memory was full."
            " Raise spec.model.vllm.resources.limits.memory.",
            last_error(log),
        )
    how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return LaunchError("EngineCrashed", f"The engine ended {how}. Read the log of the pod that ended.", last_error(log))


def too_few_gpus(wanted: int, seen: Seen) -> LaunchError:
    """Told before anything is loaded."""
    said = f"The pod asked for {_gpus(wanted)} and sees {seen.devices}"
    cause = f"{said}: {seen.problem}." if seen.problem else f"{said}."
    if seen.driver_at_fault:
        return LaunchError(
            "UnsupportedDriver",
            f"{cause} Bring the driver of the node up to date, or set spec.model.vllm.image to a vLLM image built for its CUDA.",
        )
    return LaunchError(
        "GpuNotVisible",
        f"{cause} Check spec.model.vllm.runtimeClassName, and the device plugin and container runtime of the node.",
    )


def too_slow(seconds: int, doing: str) -> LaunchError:
    """Nothing was answered in time."""
    return LaunchError(
        "LoadDeadlineExceeded",
        f"The engine gave no answer within {seconds} s of its start."
        " Raise spec.model.vllm.loadDeadlineSeconds, or find in the log what takes so long.",
        doing,
    )


def stalled(seconds: int) -> LaunchError:
    """Ended by the liveness probe, or by us when that one does not come."""
    return LaunchError(
        "EngineStalled",
        f"Requests waited and the engine did no step for {seconds} s: it hung and was restarted."
        " When it happens again, read the log of the pod that ended, and try another vLLM image.",
    )


def bad_settings(error: ValidationError) -> LaunchError:
    """Ours, not the user's: the operator writes them."""
    prefix = ModelServerEnvironment.prefix
    faults = "; ".join(f"{prefix}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
    return LaunchError("InvalidSettings", faults)


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"


def failed(error: LaunchError, seconds: float) -> ModelServerResult:
    return ModelServerResult(
        outcome="Failed", seconds=round(seconds, 1), reason=error.reason, message=error.message, detail=error.detail
    )


def write(result: ModelServerResult, path: str) -> None:
    """Writes the result where the kubelet reads it, and to the log. Outside Kubernetes the path may not exist."""
    text = result.to_json()
    while len(text.encode()) > MAX_BYTES and (result.detail or result.message):
        result = result.model_copy(
            update={"detail": result.detail[: len(result.detail) // 2], "message": result.message[:1000]}
            if result.detail
            else {"message": result.message[: len(result.message) // 2]}
        )
        text = result.to_json()
    sys.stderr.write(f"rag_model_server: {text}\n")
    sys.stderr.flush()
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"rag_model_server: no termination message: {error.strerror}\n")
