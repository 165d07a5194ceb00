"""Why an engine ended, from its log: a table of what vLLM, PyTorch, CUDA and the hub's library write, each with a remedy.

To extend it: add a line to SIGNATURES with a sentence of a real log as `example`. The first line of the table that is found
anywhere in the log wins, so what is nearer to the cause comes first. A test holds each example to its line.

    log of the engine --> diagnose --> reason and remedy --> the launcher's termination message, or the operator's condition
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from .engine_flags import replacement
from .model_server import EngineFault

QUOTE_LENGTH = 400


class Signature(NamedTuple):
    """`pattern` is searched in single lines, whatever the case of its letters. `cause` and `remedy` are whole sentences."""

    reason: EngineFault
    pattern: str
    cause: str
    remedy: str
    example: str


class Diagnosis(NamedTuple):
    """What the log says. `message` is cause and remedy; `quote` the line, without the logger's prefix."""

    reason: EngineFault
    message: str
    quote: str


_ARGUMENTS = "Correct spec.model.vllm.args."
_MEMORY = (
    "Use a GPU with more memory or more GPUs (spec.model.vllm.gpu), a smaller or quantized model, or a lower"
    " spec.model.vllm.maxModelTokens; lower gpuMemoryPercent when the card is shared."
)

SIGNATURES: Final = (
    Signature(
        "InvalidEngineArgument",
        r"error: (unrecognized arguments|argument |the following arguments|ambiguous option)",
        "vLLM's parser refuses an argument.",
        _ARGUMENTS,
        "vllm: error: unrecognized arguments: --enable-metrics",
    ),
    Signature(
        "UnsupportedDriver",
        r"driver version is insufficient|driver.{0,40}is too old|no kernel image is available|CUDA driver initialization"
        r"|Error 80[0-9]: |forward compatibility was attempted|libcuda\.so.{0,60}cannot open|libcudart\.so.{0,60}cannot open",
        "The node's driver and the CUDA of the image do not fit together.",
        "Update the driver of the node, or set spec.model.vllm.image to a vLLM image built for its CUDA.",
        "RuntimeError: The NVIDIA driver on your system is too old (found version 12020).",
    ),
    Signature(
        "GpuNotVisible",
        r"no CUDA GPUs are available|no CUDA-capable device|Failed to infer device type|found no NVIDIA driver"
        r"|CUDA_VISIBLE_DEVICES.{0,40}invalid device",
        "The engine sees no GPU.",
        "Check spec.model.vllm.gpu, the runtime class, and that the device plugin runs on the node.",
        "RuntimeError: No CUDA GPUs are available",
    ),
    Signature(
        "UnsupportedGpu",
        r"only supported on GPUs? with compute capability|is not supported for the current GPU"
        r"|Minimum capability: [0-9]+\. Current capability",
        "This GPU is too old for the model's number format or quantization.",
        "Set spec.model.vllm.gpu.product to a newer card, or write --dtype=half into spec.model.vllm.args.",
        "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has 7.5.",
    ),
    Signature(
        "SharedMemoryTooSmall",
        r"No space left on device.{0,80}shm|shm.{0,80}No space left on device|Error while creating shared memory segment"
        r"|unable to (allocate|open) shared memory|insufficient shared memory|Bus error",
        "The shared memory of the pod, /dev/shm, is too small.",
        "Raise spec.model.vllm.sharedMemory, and the memory limit with it.",
        "NCCL WARN Error while creating shared memory segment /dev/shm/nccl-UwpNvf (size 33030528)",
    ),
    Signature(
        "CacheFull",
        r"No space left on device|Not enough free disk space|Disk quota exceeded",
        "The volume of the model's cache is full.",
        "Raise spec.model.vllm.cache.size.",
        "OSError: [Errno 28] No space left on device: '/var/cache/rag-model/hub/tmp'",
    ),
    Signature(
        "ContextTooLong",
        r"User-specified max_model_len \(\d+\) is greater than the derived max_model_len",
        "spec.model.vllm.maxModelTokens is longer than the model's own context.",
        "Lower it to the length that the message names, or leave it out.",
        "Value error, User-specified max_model_len (99999) is greater than the derived max_model_len"
        " (max_position_embeddings=4096 or model_max_length=None in model's config.json).",
    ),
    Signature(
        "ContextTooLong",
        r"larger than the available KV cache memory|is larger than the maximum number of tokens that can be stored in KV cache",
        "The memory left beside the weights does not hold one request of spec.model.vllm.maxModelTokens.",
        "Lower maxModelTokens to what the message names, or use a GPU with more memory.",
        "ValueError: To serve at least one request with the model's max seq len (131072), (16.0 GiB KV cache is needed, which"
        " is larger than the available KV cache memory (9.2 GiB). Based on the available memory, the estimated maximum"
        " model length is 75000.",
    ),
    Signature(
        "GpuOutOfMemory",
        r"CUDA out of memory|OutOfMemoryError|HIP out of memory|No available memory for the cache blocks"
        r"|CUBLAS_STATUS_ALLOC_FAILED|CUDA error: out of memory|Free memory on device .{0,200}is less than",
        "The GPU's memory does not hold the model.",
        _MEMORY,
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.16 GiB. GPU 0 has a total capacity of 22.03 GiB",
    ),
    Signature(
        "OutOfMemory",
        r"Cannot allocate memory|DefaultCPUAllocator: can't allocate|^MemoryError|died unexpectedly \(exit code: -9\)",
        "The container's memory does not hold the engine.",
        "Raise spec.model.vllm.resources.limits.memory.",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory: you tried to allocate",
    ),
    Signature(
        "RemoteCodeRefused",
        r"trust_remote_code=True|contains custom code which must be executed",
        "The model brings code of its own, which is not run unless you say so.",
        "Read that code; then set spec.model.vllm.trustRemoteCode, or choose a model that vLLM knows.",
        "RuntimeError: Failed to load the model config. If the model is a custom model not yet available in the HuggingFace"
        " transformers library, consider setting `trust_remote_code=True` in LLM or using the `--trust-remote-code` flag",
    ),
    Signature(
        "ModelDownloadUnauthorized",
        r"GatedRepoError|401 Client Error|403 Client Error|Access to model .{0,200}is restricted"
        r"|You are trying to access a gated repo",
        "The hub does not give out this model without a right to it.",
        "Accept the model's licence on the hub, and name a Secret with a token in spec.model.vllm.source.hub.tokenSecretRef.",
        "huggingface_hub.errors.GatedRepoError: 401 Client Error. Cannot access gated repo",
    ),
    Signature(
        "UnsupportedQuantization",
        r"does not match the quantization method|Unknown quantization method|Cannot find the config file for \w+( \[|$)"
        r"|is not supported for quantization",
        "The weights' quantization is not the one asked for.",
        "Leave --quantization out of spec.model.vllm.args (the engine reads it from the weights), or choose other weights.",
        "ValueError: Quantization method specified in the model config (awq) does not match the quantization method specified"
        " in the `quantization` argument (gptq).",
    ),
    Signature(
        "UnsupportedModel",
        r"Model architectures? .{0,200}(are|is) not supported|has no vLLM implementation"
        r"|Transformers does not recognize this architecture|model type `.{0,80}` but Transformers does not",
        "This vLLM does not know the model's architecture.",
        "Set spec.model.vllm.image to a newer vLLM, or choose another model.",
        "ValueError: Model architectures ['NewForCausalLM'] are not supported for now. Supported architectures: dict_keys([",
    ),
    Signature(
        "WeightsMissing",
        r"Cannot find any model weights|RepositoryNotFoundError|RevisionNotFoundError|LocalEntryNotFoundError|404 Client Error"
        r"|Invalid repository ID or local directory|Repo id must (use|be)|is not a (valid model|local folder)"
        r"|couldn't connect to '\S+' to load (this|the) file|Cannot find an appropriate cached snapshot"
        r"|OfflineModeIsEnabled|Error while deserializing header|does not appear to have (a file|files) named",
        "The model's files are not where they were looked for.",
        "Check spec.model.name, revision and vllm.source; delete the cache's folder when a download was cut off.",
        "RuntimeError: Cannot find any model weights with `/var/cache/rag-model/weights/0123456789abcdef`",
    ),
    Signature(
        "LoadDeadlineExceeded",
        r"configured by VLLM_ENGINE_READY_TIMEOUT_S",
        "The engine did not load within its time.",
        "Raise spec.model.vllm.loadDeadlineSeconds, or find in the log what takes so long.",
        "TimeoutError: Timed out waiting for engine core processes to start. This is often caused by slow weight loading for"
        " large models. Waited 1800s (configured by VLLM_ENGINE_READY_TIMEOUT_S).",
    ),
    # Last: vLLM's configuration says in a sentence of pydantic's what it does not like, in its second line first of all.
    Signature(
        "InvalidEngineArgument",
        r"^Value error, ",
        "The engine's arguments do not fit together or do not fit the model.",
        _ARGUMENTS,
        "Value error, max_num_batched_tokens (2048) must be greater than or equal to max_num_seqs (4096). [type=value_error,",
    ),
    Signature(
        "InvalidEngineArgument",
        r"validation errors? for \w*(Config|Args)|^(KeyError|ValueError): .{0,40}(invalid tool call parser|invalid reasoning parser)"
        r"|vllm: error: |vllm serve: error: ",
        "The engine's arguments do not fit together or do not fit the model.",
        _ARGUMENTS,
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ParallelConfig",
    ),
)

_PREFIX = re.compile(
    r"^(\(\S+( \S+)? pid=\d+\)\s*)*((DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? )?(\[[\w./]+:\d+\] ?)?"
)
_ERROR = re.compile(r"^([\w.]+(Error|Exception|Interrupt)|fatal error|error)\b.*", re.IGNORECASE)
_VAGUE = re.compile(
    r"Engine core initialization failed|^RuntimeError: Engine process failed|EngineDeadError|[sS]ee (the )?stack trace .{0,20}above"
)
_FLAG = re.compile(r"--[A-Za-z][\w-]*")
_COMPILED: Final = tuple((signature, re.compile(signature.pattern, re.IGNORECASE)) for signature in SIGNATURES)


def bare(line: str) -> str:
    """A line without the logger's prefix (process, level, time, file)."""
    return _PREFIX.sub("", line.strip(), count=1).strip()


def quoted(line: str) -> str:
    """A line, shortened to what a message has room for."""
    return line if len(line) <= QUOTE_LENGTH else line[: QUOTE_LENGTH - 3] + "..."


def diagnose(log: str | Sequence[str]) -> Diagnosis | None:
    """The reason that the log's lines show, None when the table knows none of them. Pure; a log of any length."""
    lines = [bare(line) for line in (log.splitlines() if isinstance(log, str) else log)]
    for signature, pattern in _COMPILED:
        for line in lines:
            if pattern.search(line):
                return Diagnosis(signature.reason, _message(signature, quoted(line)), quoted(line))
    return None


def last_error(log: str | Sequence[str]) -> str:
    """The last line that looks like an error and says something; the last line of all when there is none; else empty."""
    lines = [bare(line) for line in (log.splitlines() if isinstance(log, str) else log)]
    found = [line for line in lines if _ERROR.match(line) and not _VAGUE.search(line)]
    said = [line for line in lines if line]
    return quoted((found or said or [""])[-1])


def _message(signature: Signature, line: str) -> str:
    if signature.reason == "InvalidEngineArgument":
        for flag in _FLAG.findall(line):
            instead = replacement(flag)
            if instead is not None:
                return f"vLLM's parser refuses {flag}: it {instead}."
        if " error: " in f" {line}":
            said = line.partition("error: ")[2]
            return f"vLLM's parser says: {said}. {signature.remedy}"
    return f"{signature.cause} {signature.remedy}"
