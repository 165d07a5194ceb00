"""docs/model-server.md: its words, and the tables that come from the code."""

from typing import Final, get_args

from rag_contract.engine_logs import SIGNATURES
from rag_contract.model_server import EngineFault, ModelServerEnvironment
from rag_operator.api import Vllm
from rag_operator.api.engine import RECORDED_VERSION
from rag_operator.api.reasons import REMEDIES, Reason
from rag_operator.resources import engine
from rag_operator.scheduling import COSTS, RollOut

OWN_CAUSES: Final[dict[str, str]] = {
    "EngineStalled": "Requests waited and the engine made no step: it hung and was restarted.",
    "EngineCrashed": "The engine ended, and its log fits no line of the table.",
    "InvalidSettings": "The operator and the launcher do not belong together.",
}
"""Of reasons that are not told from the log."""
OWN_REMEDIES: Final[dict[str, str]] = {
    "InvalidSettings": "Use the operator's image and the model server's image of one version.",
}
"""Where the remedy of the reason is about another part that shares its name."""

_PAGE = """\
# The model server

For `spec.model.runtime: VLLM` the operator runs vLLM in pods of its own. Fields: [api.md](api.md), `spec.model.vllm`.

## Two images

| | `rag-operator/model-server` (default) | stock `vllm/vllm-openai` |
|---|---|---|
| chosen by | nothing | `vllm: {{image: "vllm/vllm-openai:v0.32.0"}}` |
| started as | `python3 -m rag_model_server <arguments>` | `vllm serve <arguments>` |
| ready | after a real answer of one token | when it listens |
| a hang is noticed by | the engine's own count of steps | two minutes without an answer to `/health` |
| told at its end | cause and remedy, in `status` | the last lines of its log, from which the operator tells what it can |

The default is the Dockerfile's target `model-server`: vLLM's image (`--build-arg VLLM_IMAGE=...`) with the launcher beside it. An
image of your own that has the launcher as its entry point says so by `vllm: {{image: ..., launcher: true}}`.

```
kubelet -- /ready, /health :8003 --> launcher -- one question, /metrics, signals --> vllm serve :8000 <-- /v1/... -- RAG API
```

The launcher is the parent of `vllm serve` and not in the way of answers. In the order of a pod's life:

1. Fewer GPUs visible than asked for: it ends at once. vLLM's parser reads the arguments before anything is loaded.
2. `/ready` is 503 and says what loads, until the engine has answered one token (one vector, for embeddings).
3. Every two seconds it reads `vllm:num_requests_running`, `vllm:num_requests_waiting` and `vllm:iteration_tokens_total_count`. Requests
   without a step for {stall} s are a hang: `/health` is 503 until a step is made. These figures are those of the last step, so an engine
   that hung while it idled would look idle for ever: after {still} s without a step it is asked one token.
4. SIGTERM: `/ready` is 503, what is in flight is finished, new requests are refused. Exit code 0 when nothing was cut off.
5. The termination message is a `ModelServerResult` (`rag_contract.model_server`): reason, message with remedy, and the engine's own line.

## Arguments

`spec.model.vllm.args` goes to `vllm serve` behind what the operator writes. Three kinds are not simply passed on:

| argument | what happens |
|---|---|
| the operator's own (`--port`, `--api-key`, `--tensor-parallel-size`, ...), or one that vLLM has removed (`--swap-space`, ...) | refused at `kubectl apply`, with the field or flag to use; a shortened one (`--tensor-par`) by `SpecValid` |
| unknown to vLLM {version}; one that logs questions or answers; a `model.revision` that is no commit | taken, with a warning in `SpecValid` (`ValidWithWarnings`) and as an event |
| `trustRemoteCode`, or a plugin's file, where `RAG_OPERATOR_ALLOW_REMOTE_CODE` is false | refused by `SpecValid` |

Everything else is the engine's: memory utilisation is 0.90 (`gpuMemoryPercent`), prefix caching and chunked prefill are as vLLM chooses.

## Weights, then a GPU

With `cache.type: Volume` a Job downloads the weights first, once for all replicas, into `weights/<key of repository and revision>`; it looks
at the free space before the first byte and goes on where it was broken off. `status.modelFetch` has bytes, rate and time left. Only then
pods ask for GPUs, with `HF_HUB_OFFLINE=1`. Weights on a claim or in an image are mounted; with `cache.type: Ephemeral` each pod downloads.
`status.modelCache` lists the weights of all kept revisions with their bytes: going back to one downloads nothing. Others are removed by
the next download.

Whether the pods find their GPUs is the condition `GpuSchedulable`, read from the nodes in the order device, labels, taints, size, free,
CPU and memory; the first that no node passes is named, with the node that comes nearest. Of neighbours it tells the namespace and the
number of pods. An operator without rights on nodes (`config/namespaced`) shows the scheduler's message instead.
`.venv/bin/pytest tests/gpu` compares 1,000 random cases with the real scheduler's verdicts.

## Exchanging pods

Chosen at each change by what is free then, and told before it in `status.modelRollOut` and as an event:

| situation | way | cost |
|---|---|---|
| room for one more pod | Surge | {surge} |
| none, two replicas or more | OneByOne | {one_by_one} |
| none, one replica; or the cache is ReadWriteOnce | Recreate | {recreate} |
| `strategy: Surge` and no room; or no node would take the new pod anyway | Blocked | {blocked} |

A pod that terminates holds its GPUs until it is gone. `strategy: Replace` never starts pods beside the old ones.

## When it does not answer

`spec.model.fallback` answers in its order, and such answers say `degraded`. The service is then not Ready (`ModelUnreachable`, seen within a
minute), although it answers. `spec.model.enabled: false` does so on purpose. `runtime: Extractive` or `External` leaves the
GPUs altogether; the block `vllm` may stay, so that one field leads back.

## Times

All from two fields, L = `loadDeadlineSeconds` and D = `drainSeconds`; with the defaults (L = {load}, D = {drain}):

| time | how | seconds |
|---|---|---|
{times}

## Why a model server ends

A line of vLLM's log becomes a reason by the table `rag_contract.engine_logs.SIGNATURES`. To teach it another one, add a line with an
example from a real log; a reason of its own is a word in `rag_contract.model_server.EngineFault` and in `api/reasons.py` (tests say where).

| reason | cause | what to do |
|---|---|---|
{reasons}

## Real vLLM on this machine

`make test-vllm` installs vLLM for the CPU into `~/.cache/rag-operator/vllm` (about 6 GB, once; `RAG_VLLM_CACHE` names another folder) and
makes a tiny Llama that knows one sentence. Launcher, index Job and RAG API run as processes with the arguments and variables that the
operator renders for `tests/vllm/service.yaml`; the differences are listed in `tests/vllm/differences.py`. It needs about 4 GB of memory, and
minutes. `make test` leaves it out and uses the double in `tests/model_server_double`, which is held to recorded answers of that server;
`make test-vllm` compares server, recordings and double with one another.
"""


def page() -> str:
    """The whole document."""
    spec, stall = Vllm(), ModelServerEnvironment().stall_seconds
    return _PAGE.format(
        stall=stall,
        still=stall // 2,
        version=".".join(map(str, RECORDED_VERSION)),
        surge=COSTS[RollOut.SURGE],
        one_by_one=COSTS[RollOut.ONE_BY_ONE],
        recreate=COSTS[RollOut.RECREATE],
        blocked=COSTS[RollOut.BLOCKED],
        load=spec.load_deadline_seconds,
        drain=spec.drain_seconds,
        times="\n".join(f"| {what} | {how} | {seconds} |" for what, how, seconds in times(spec)),
        reasons="\n".join(f"| `{fault}` | {cause(fault)} | {remedy(fault)} |" for fault in get_args(EngineFault)),
    )


def times(spec: Vllm) -> list[tuple[str, str, int]]:
    """What each is, how it follows, and how long it is by default."""
    made = engine.times(spec)
    return [
        ("vLLM gives up loading, `VLLM_ENGINE_READY_TIMEOUT_S`", "L", made.engine_ready),
        ("the launcher does", f"L + {engine.LAUNCHER_MARGIN_SECONDS}", made.launcher_ready),
        ("the startup probe does", f"L + {engine.STARTUP_MARGIN_SECONDS}", made.startup_budget),
        (
            "a roll-out counts as stuck",
            f"that + {engine.PULL_SECONDS} for the image + the grace",
            made.progress_deadline,
        ),
        ("vLLM finishes answers, `--shutdown-timeout`", "D", made.shutdown),
        ("termination grace", f"pre-stop sleep + D + {engine.TEARDOWN_SECONDS}", made.grace),
    ]


def cause(fault: str) -> str:
    """From the table of signatures, else from `OWN_CAUSES`."""
    found = dict.fromkeys(signature.cause for signature in SIGNATURES if signature.reason == fault)
    return " Or: ".join(found) or OWN_CAUSES[fault]


def remedy(fault: str) -> str:
    """As in docs/status.md."""
    return OWN_REMEDIES.get(fault) or REMEDIES[Reason(fault)]
