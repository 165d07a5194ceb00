"""What the operator and the launcher of a model server tell each other: settings, state, and how it ended."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .base import Contract
from .environment import TERMINATION_PATH, Environment

ENGINE_PORT = 8000
"""vLLM's own port: the OpenAI protocol, `/metrics`, `/health`. The launcher does not stand between."""
LAUNCHER_PORT = 8003
"""The launcher's: the probes."""
READY_PATH = "/ready"
"""200 only after a real answer of one token, and not while it drains. 503 else. The body is a `ModelServerState`."""
HEALTH_PATH = "/health"
"""503 when the engine hangs: restart it. 200 else, also while it loads. The body is a `ModelServerState`."""


class ModelServerEnvironment(Environment):
    """Settings of the launcher. What the engine is told are the container's arguments, which are those of `vllm serve`.

    `gpus` is how many the pod asked for: with fewer visible nothing is started. `task` says which question proves that the
    engine answers. `drain_seconds` is what `--shutdown-timeout` says: only some seconds later the engine is killed.
    """

    prefix: ClassVar[str] = "RAG_MODEL_"

    served_name: str = "rag"
    task: Literal["Generate", "Embed"] = "Generate"
    gpus: Annotated[int, Field(ge=0)] = 0
    engine_port: Annotated[int, Field(ge=1, le=65535)] = ENGINE_PORT
    port: Annotated[int, Field(ge=0, le=65535)] = LAUNCHER_PORT
    load_deadline_seconds: Annotated[int, Field(ge=1)] = 1800
    drain_seconds: Annotated[int, Field(ge=0)] = 60
    stall_seconds: Annotated[int, Field(ge=1)] = 120
    """With requests running and no step of the engine for this long, it hangs."""
    poll_seconds: Annotated[float, Field(gt=0)] = 2.0
    termination_path: str = TERMINATION_PATH


Stage = Literal["Starting", "Loading", "Serving", "Stalled", "Draining", "Ended"]


class ModelServerState(Contract):
    """Body of both probes. `doing` is the engine's last word about its start, empty once it serves."""

    stage: Stage
    ready: bool
    doing: str = ""
    load_seconds: float | None = None
    """From the start of the engine to its first answer; None before."""
    stalled_seconds: float = 0.0


EngineFault = Literal[
    "InvalidEngineArgument",
    "GpuNotVisible",
    "UnsupportedDriver",
    "UnsupportedGpu",
    "GpuOutOfMemory",
    "OutOfMemory",
    "SharedMemoryTooSmall",
    "CacheFull",
    "WeightsMissing",
    "ModelDownloadUnauthorized",
    "UnsupportedModel",
    "RemoteCodeRefused",
    "UnsupportedQuantization",
    "ContextTooLong",
    "LoadDeadlineExceeded",
    "EngineStalled",
    "EngineCrashed",
    "InvalidSettings",
]
"""Why a model server ended. The words that users see; `rag_contract.engine_logs` tells most of them from the log."""


class ModelServerResult(Contract):
    """The launcher's termination message (at most 4,096 bytes). `message` names the cause and what to do.

    `Stopped`: told to end, and every answer was finished or its time was up. `detail` quotes the engine's own line.
    """

    outcome: Literal["Stopped", "Failed"]
    seconds: float = 0.0
    reason: EngineFault | Literal[""] = ""
    message: str = ""
    detail: str = ""
