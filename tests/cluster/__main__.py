"""The bench's command line: ``python3 -m tests.cluster <command>`` from the project's root."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from types import FrameType

from .bench import Bench, expand
from .report import BenchError, Report
from .settings import from_environment


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    report = Report(quiet=options.quiet)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        bench = Bench(from_environment(os.environ), report)
        if options.command == "up":
            bench.up(expand(options.parts))
        elif options.command == "down":
            bench.down()
        elif options.command == "env":
            print(f"export KUBECONFIG={shlex.quote(str(bench.settings.kubeconfig))}")
            print(f"export PATH={shlex.quote(str(bench.settings.bin))}:$PATH")
    except BenchError as error:
        report.line(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        report.line("interrupted")
        return 130
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster", description=__doc__)
    parser.add_argument("--cluster", choices=("bench", "kind", "current"), default="bench")
    parser.add_argument("--quiet", action="store_true", help="no progress lines")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start the bench, or parts of it; what runs is left alone")
    up.add_argument("--parts", default="all", help="all, or some of control-plane,node,kwok,dns")
    commands.add_parser("down", help="end exactly what up started and remove its state")
    commands.add_parser("env", help="print KUBECONFIG and PATH for eval")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
