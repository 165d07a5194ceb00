"""`python -m rag_model_server <arguments of vllm serve>`: the only place that reads the process environment.

Exit code 0: told to stop, every answer was finished. 1: the engine failed, or answers were cut off; the result is the
termination message. 2: the settings are wrong.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from rag_contract.environment import TERMINATION_PATH
from rag_contract.model_server import ModelServerEnvironment

from . import ending
from .launcher import Launcher


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs one model server; returns the exit code."""
    try:
        settings = ModelServerEnvironment.from_env(environment)
    except ValidationError as error:
        path = environment.get(f"{ModelServerEnvironment.prefix}TERMINATION_PATH", TERMINATION_PATH)
        ending.write(ending.failed(ending.bad_settings(error), 0.0), path)
        return 2
    return asyncio.run(_run(settings, arguments))


async def _run(settings: ModelServerEnvironment, arguments: Sequence[str]) -> int:
    launcher = Launcher(settings, arguments, _show)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, launcher.state.stop.set)
    result = await launcher.run()
    ending.write(result, settings.termination_path)
    return 0 if result.outcome == "Stopped" and not result.message else 1


def _show(chunk: bytes) -> None:
    """The engine's log is the container's log."""
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
