"""Arguments of `vllm serve` that are gone, and what to write instead. A table: a flag that vLLM drops gets a line.

The operator refuses them at `kubectl apply`; the launcher names the replacement when an engine's own parser refuses one.
"""

from typing import Final, NamedTuple


class RemovedFlag(NamedTuple):
    """`spellings` are without dashes; `version` is the first vLLM that refuses it; `instead` is what to do."""

    spellings: tuple[str, ...]
    version: str
    instead: str

    @property
    def name(self) -> str:
        """As people write it."""
        return f"--{self.spellings[0]}"


def _removed(*spellings: str, version: str, instead: str) -> RemovedFlag:
    return RemovedFlag(spellings, version, instead)


_LEAVE = "leave it out"

REMOVED_FLAGS: Final = (
    _removed("swap-space", version="0.18", instead="write --kv-offloading-size, or leave it out"),
    _removed(
        "disable-log-requests",
        version="0.17",
        instead="leave it out; requests are logged only with --enable-log-requests",
    ),
    _removed("task", version="0.17", instead="write --runner, with --convert where a model is to be converted"),
    _removed(
        "guided-decoding-backend",
        "guided-decoding-disable-fallback",
        version="0.12",
        instead="write --structured-outputs-config",
    ),
    _removed("num-scheduler-steps", version="0.12", instead=_LEAVE),
    _removed("use-v2-block-manager", version="0.12", instead=_LEAVE),
    _removed("max-seq-len-to-capture", version="0.12", instead="write --max-cudagraph-capture-size"),
    _removed("speculative-model", "num-speculative-tokens", version="0.12", instead="write --speculative-config"),
    _removed("enable-reasoning", version="0.12", instead="write --reasoning-parser alone"),
    _removed("device", version="0.12", instead="choose an image of vLLM that was built for the device"),
)


def replacement(flag: str) -> str | None:
    """What to do about a flag as written on a command line (`--swap_space=4`); None when the table does not know it."""
    spelling = flag.lstrip("-").partition("=")[0].replace("_", "-")
    for removed in REMOVED_FLAGS:
        if spelling in removed.spellings:
            return f"was removed in vLLM {removed.version}: {removed.instead}"
    return None
