"""python -m tests.model_server_double <arguments of vllm serve>. Switches: variables DOUBLE_*, see switches.py."""

import asyncio
import os
import signal
import sys
from argparse import Namespace

from aiohttp import web

from . import NAME
from .app import Server
from .arguments import parse
from .engine import Engine
from .figures import Figures
from .switches import Switches

TEARDOWN_SECONDS = 0.2


async def _serve(args: Namespace, switches: Switches) -> int:
    """Until SIGTERM. A drain that outlasts --shutdown-timeout cuts answers off, as vLLM does."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print("(EngineCore pid=2) INFO 11-21 15:03:39 [loader.py:1] Loading weights: 40 %", flush=True)
    try:
        await asyncio.wait_for(stop.wait(), switches.load_seconds)
        return 0
    except TimeoutError:
        pass
    if switches.fail:
        print(switches.fail, flush=True)
        return 1
    server = Server(args, switches, engine := Engine(switches, Figures(args.served_model_name, _runner(args))))
    runner = web.AppRunner(server.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, args.host, args.port).start()
    print(f"{NAME}: listening on {args.host}:{runner.addresses[0][1]}", flush=True)
    await stop.wait()
    engine.draining = True
    try:
        await asyncio.wait_for(engine.idle(), args.shutdown_timeout)
    except TimeoutError:
        print(f"{NAME}: answers were cut off", flush=True)
    await asyncio.sleep(TEARDOWN_SECONDS)
    await runner.cleanup()
    return 0


def _runner(args: Namespace) -> str:
    return "pooling" if args.runner == "pooling" else "generate"


def main() -> None:
    """Takes `serve` as the first argument or leaves it out, so that it can stand for the command `vllm`."""
    arguments = sys.argv[1:]
    args = parse(arguments[1:] if arguments[:1] == ["serve"] else arguments)
    sys.exit(asyncio.run(_serve(args, Switches.from_env(os.environ))))


if __name__ == "__main__":
    main()
