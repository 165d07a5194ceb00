"""How `vllm serve` is called: its arguments, its environment, and its times. Pure.

Times follow from two fields, L = loadDeadlineSeconds and D = drainSeconds:

    engine gives up loading (L) < its launcher does (L + 30) < startup probe ends (L + 60) < roll-out counts as stuck
    pre-stop sleep + --shutdown-timeout (D) + 5 < termination grace

So the engine itself says why it did not load, before the kubelet ends it; and SIGTERM ends no answer that D leaves time for.
A roll-out counts as stuck when pulling the image, draining the old pod and loading together have taken too long.
"""

import math
from typing import Final, NamedTuple

from rag_contract.model_server import ModelServerEnvironment
from rag_contract.release_table import ModelRelease

from .. import names
from ..api import Vllm
from . import pod

STARTUP_PERIOD_SECONDS: Final = 5
LAUNCHER_MARGIN_SECONDS: Final = 30
STARTUP_MARGIN_SECONDS: Final = 60
PULL_SECONDS: Final = 1800
"""An image of ten gigabytes over a slow line: outside the load deadline, inside the roll-out's."""
TEARDOWN_SECONDS: Final = 10
"""After the last answer the engine ends its workers and frees its GPUs."""
HANG_PERIOD_SECONDS: Final = 10
"""A busy stock engine answers slowly: only `stallSeconds` of silence count as a hang."""
STALLED_PERIOD_SECONDS, STALLED_FAILURES = 5, 3
"""The launcher counts by itself for how long the engine has made no step, and answers at once."""

CACHE_PATH: Final = "/var/cache/rag-model"
SHARED_MEMORY_PATH: Final = "/dev/shm"  # noqa: S108 - where NCCL looks for it
QUIET_PATHS: Final = "/health,/metrics,/ping"


class Times(NamedTuple):
    """All times of a model server's pod, in seconds."""

    engine_ready: int
    launcher_ready: int
    startup_failures: int
    progress_deadline: int
    shutdown: int
    grace: int
    stall: int
    hang_failures: int

    @property
    def startup_budget(self) -> int:
        """How long the kubelet waits for the first answer."""
        return self.startup_failures * STARTUP_PERIOD_SECONDS


def times(spec: Vllm) -> Times:
    """Consistent by construction."""
    budget = spec.load_deadline_seconds + STARTUP_MARGIN_SECONDS
    failures = math.ceil(budget / STARTUP_PERIOD_SECONDS)
    grace = pod.PRE_STOP_SECONDS + spec.drain_seconds + TEARDOWN_SECONDS
    return Times(
        engine_ready=spec.load_deadline_seconds,
        launcher_ready=spec.load_deadline_seconds + LAUNCHER_MARGIN_SECONDS,
        startup_failures=failures,
        progress_deadline=failures * STARTUP_PERIOD_SECONDS + PULL_SECONDS + grace,
        shutdown=spec.drain_seconds,
        grace=grace,
        stall=spec.stall_seconds,
        hang_failures=math.ceil(spec.stall_seconds / HANG_PERIOD_SECONDS),
    )


def arguments(model: ModelRelease, spec: Vllm, weights: str | None = None) -> list[str]:
    """Of `vllm serve`, without the command. `weights` is the folder that holds the model; None: the engine fetches it by name.

    What the engine chooses well by itself (prefix caching, chunked prefill, number of sequences) is not written.
    """
    engine = model.engine
    assert engine is not None  # noqa: S101 - every VLLM release has one
    made = [
        weights or model.name,
        "--host=0.0.0.0",
        f"--port={names.MODEL_PORT}",
        f"--served-model-name={names.SERVED_MODEL}",
        f"--shutdown-timeout={times(spec).shutdown}",
        f"--disable-access-log-for-endpoints={QUIET_PATHS}",
    ]
    if model.revision is not None and weights is None:
        made.append(f"--revision={model.revision}")
    if model.context_tokens is not None:
        made.append(f"--max-model-len={model.context_tokens}")
    if engine.gpus > 0:
        made.append(f"--gpu-memory-utilization={engine.gpu_memory_percent / 100:.2f}")
    if engine.gpus > 1:
        made.append(f"--tensor-parallel-size={engine.gpus}")
    if engine.trust_remote_code:
        made.append("--trust-remote-code")
    return [*made, *engine.arguments]


def environment(spec: Vllm) -> dict[str, str]:
    """Every folder that the engine and its libraries write to, on volumes: the root is read-only and the user has no home."""
    compiled = f"{CACHE_PATH}/compile"
    return {
        "HOME": "/tmp",  # noqa: S108 - a volume of the pod's own
        "USER": "rag",  # libraries that ask for the user's name would look for its number in vain
        "LOGNAME": "rag",
        "XDG_CACHE_HOME": f"{compiled}/cache",
        "XDG_CONFIG_HOME": "/tmp/config",  # noqa: S108
        "HF_HOME": f"{compiled}/hub",
        "VLLM_CACHE_ROOT": f"{compiled}/vllm",
        "TORCHINDUCTOR_CACHE_DIR": f"{compiled}/inductor",
        "TRITON_CACHE_DIR": f"{compiled}/triton",
        "FLASHINFER_WORKSPACE_BASE": f"{compiled}/flashinfer",
        "VLLM_ENGINE_READY_TIMEOUT_S": str(times(spec).engine_ready),
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def launcher(model: ModelRelease, spec: Vllm) -> ModelServerEnvironment:
    """What the launcher is told; the engine's arguments are the container's."""
    claimed = model.engine.gpus if model.engine is not None else 0
    return ModelServerEnvironment(
        served_name=names.SERVED_MODEL,
        gpus=claimed,
        engine_port=names.MODEL_PORT,
        load_deadline_seconds=times(spec).launcher_ready,
        drain_seconds=times(spec).shutdown,
        stall_seconds=times(spec).stall,
    )
