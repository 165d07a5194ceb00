"""The bench's command line: ``python3 -m tests.cluster <command>`` from the project's root."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from types import FrameType

from .bench import Bench, expand
from .kind import Kind
from .report import BenchError, Report
from .settings import Settings, from_environment


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    report = Report(quiet=options.quiet)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    try:
        _run(options, report)
    except BenchError as error:
        report.line(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        report.line("interrupted")
        return 130
    return 0


def _run(options: argparse.Namespace, report: Report) -> None:
    settings = from_environment(os.environ)
    commands = {"bench": _on_bench, "kind": _on_kind, "current": _on_current}
    commands[options.cluster](options, settings, report)


def _on_bench(options: argparse.Namespace, settings: Settings, report: Report) -> None:
    bench = Bench(settings, report)
    match options.command:
        case "up":
            bench.up(expand(options.parts))
        case "down":
            bench.down()
        case "images":
            bench.images(options.names)
        case "load":
            bench.load(options.names)
        case "status":
            print("\n".join(bench.status()))
        case "env":
            print(f"export KUBECONFIG={shlex.quote(str(settings.kubeconfig))}")
            print(f"export PATH={shlex.quote(str(settings.bin))}:$PATH")


def _on_kind(options: argparse.Namespace, settings: Settings, report: Report) -> None:
    kind = Kind(settings, report)
    match options.command:
        case "up":
            kind.up()
        case "down":
            kind.down()
        case "images":
            kind.images(options.names)
        case "load":
            kind.load(options.names)
        case "status":
            print(f"kind cluster {settings.kind_cluster}, kubeconfig {kind.kubeconfig}")
        case "env":
            print(f"export KUBECONFIG={shlex.quote(str(kind.kubeconfig))}")


def _on_current(options: argparse.Namespace, _settings: Settings, report: Report) -> None:
    """A cluster of the user's own: nothing is started, stopped or changed there."""
    if options.command in ("images", "load"):
        report.line("the current cluster takes images from a registry: push them there and set their names (docs)")
    elif options.command == "env" and "KUBECONFIG" in os.environ:
        print(f"export KUBECONFIG={shlex.quote(os.environ['KUBECONFIG'])}")
    else:
        report.line("using the current cluster of kubectl; nothing to start or stop")


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
    commands.add_parser("status", help="what runs, on which ports, in which version")
    images = commands.add_parser("images", help="build the project's images and put them on the node")
    images.add_argument("names", nargs="*", help="some of them; all without")
    load = commands.add_parser("load", help="put images of the bench's Docker Engine on the node")
    load.add_argument("names", nargs="+", metavar="IMAGE")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
