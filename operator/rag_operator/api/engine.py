"""The arguments of `vllm serve`: which the operator sets itself, which vLLM has removed, and which it knows. A table.

To extend it: a flag that a new field of the spec sets gets a line in OWNED, one that vLLM dropped a line in the contract's
REMOVED_FLAGS, which the launcher reads, too. KNOWN is the list of flags of the vLLM version that the tests recorded.

OWNED and REMOVED --> rules of spec.model.vllm.args in the CRD (refused at `kubectl apply`)
KNOWN             --> a warning in the condition SpecValid about a flag that vLLM does not know; it is not refused
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from rag_contract.engine_flags import REMOVED_FLAGS

from .base import Matches
from .engine_flags import KNOWN_FLAGS

OLDEST_VERSION: Final = (0, 18)
"""The first version with --shutdown-timeout, without which SIGTERM cuts answers off."""
RECORDED_VERSION: Final = (0, 32)
"""The version whose flags KNOWN_FLAGS lists."""


class Flag(NamedTuple):
    """A flag that is refused. `spellings` are without dashes; `instead` ends the message."""

    spellings: tuple[str, ...]
    instead: str

    @property
    def name(self) -> str:
        """As people write it."""
        return _dashed(self.spellings[0])


def _dashed(spelling: str) -> str:
    return f"-{spelling}" if len(spelling) <= 2 else f"--{spelling}"


def _owned(*spellings: str, use: str) -> Flag:
    return Flag(spellings, f"is set by the operator: {use}")


_LEAVE = "leave it out"
_ONE_POD = "one pod is one server, so leave it out"

OWNED: Final = (
    _owned("host", use=_LEAVE),
    _owned("port", use=_LEAVE),
    _owned("uds", use=_LEAVE),
    _owned("root-path", use=_LEAVE),
    _owned("ssl-keyfile", "ssl-certfile", "ssl-ca-certs", "ssl-cert-reqs", "ssl-ciphers", use=_LEAVE),
    _owned("api-key", use=_LEAVE),
    _owned("model", use="use spec.model.name"),
    _owned("served-model-name", use=_LEAVE),
    _owned("revision", "tokenizer-revision", "code-revision", use="use spec.model.revision"),
    _owned("hf-token", use=_LEAVE),
    _owned("download-dir", use=_LEAVE),
    _owned("config", use="write its lines into args"),
    _owned("shutdown-timeout", use="use spec.model.vllm.drainSeconds"),
    _owned("trust-remote-code", "no-trust-remote-code", use="use spec.model.vllm.trustRemoteCode"),
    _owned("max-model-len", use="use spec.model.vllm.maxModelTokens"),
    _owned("gpu-memory-utilization", use="use spec.model.vllm.gpuMemoryPercent"),
    _owned("tensor-parallel-size", "tp", use="use spec.model.vllm.gpu.count"),
    _owned("pipeline-parallel-size", "pp", "data-parallel-size", "dp", "nnodes", "node-rank", use=_ONE_POD),
    _owned("headless", "grpc", "data-parallel-rank", "data-parallel-address", use=_ONE_POD),
    _owned("disable-log-stats", use="its figures tell load and hangs, so leave it out"),
    Flag(("help", "h", "version"), "ends the server at once: leave it out"),
)

CODE_FLAGS: Final = frozenset({"--tool-parser-plugin", "--reasoning-parser-plugin"})
"""Each names a file of Python code that the engine runs, which may be one of the model's repository."""

LOGGING_FLAGS: Final = frozenset({"--enable-log-requests", "--enable-log-outputs", "--enable-log-deltas"})
"""Each writes questions or answers into the engine's log, which says nothing of them otherwise."""

REMOVED: Final = tuple(
    Flag(flag.spellings, f"was removed in vLLM {flag.version}: {flag.instead}") for flag in REMOVED_FLAGS
)


def _refusal(flag: Flag) -> Matches:
    """vLLM takes underscores for dashes, and a value after "=" or as the next argument."""
    spelled = "|".join(_pattern(spelling) for spelling in flag.spellings)
    return Matches(f"^({spelled})([=. ]|$)", f"{flag.name} {flag.instead}", forbidden=True)


def _pattern(spelling: str) -> str:
    return f"-{spelling}" if len(spelling) <= 2 else "--" + spelling.replace("-", "[-_]")


ARGUMENT_RULES: Final = tuple(_refusal(flag) for flag in (*OWNED, *REMOVED))
"""Rules of one argument."""


def unknown_flags(arguments: Iterable[str]) -> list[str]:
    """Flags among these arguments that the recorded version of vLLM does not know, as written, in order."""
    flags = [argument.partition("=")[0] for argument in arguments if re.match("^--[a-zA-Z]", argument)]
    return [flag for flag in flags if flag.partition(".")[0].replace("_", "-") not in KNOWN_FLAGS]


def stands_for(argument: str) -> frozenset[str]:
    """The known flags that vLLM's parser may take an argument for: its own, else all that it is the beginning of."""
    if not re.match("^--[a-zA-Z]", argument):
        return frozenset()
    written = re.split("[=. ]", argument, maxsplit=1)[0].replace("_", "-")
    if written in KNOWN_FLAGS:
        return frozenset({written})
    return frozenset(flag for flag in KNOWN_FLAGS if flag.startswith(written))


def abbreviated(arguments: Iterable[str]) -> tuple[str, Flag] | None:
    """The first argument that is short for a flag of the operator's, with that flag. The rules look at whole names alone."""
    owned = {_dashed(spelling): flag for flag in OWNED for spelling in flag.spellings}
    for argument in arguments:
        for meant in sorted(stands_for(argument) & owned.keys()):
            return argument, owned[meant]
    return None


def engine_version(image: str) -> tuple[int, int] | None:
    """Version of vLLM that the tag of an image of its own names, like (0, 32); None when it names none."""
    repository, _, tag = image.partition("@")[0].rpartition(":")
    found = re.match(r"^v?([0-9]+)\.([0-9]+)(\.|-|$)", tag)
    if found is None or not re.search(r"(^|/)vllm[^/]*$", repository):
        return None
    return int(found[1]), int(found[2])
