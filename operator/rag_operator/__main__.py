"""`rag-operator`: the composition root. The only place that builds Settings and hands out the clock."""

import argparse
import asyncio
import gc
import sys
import textwrap
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from .errors import InvalidSpec
from .runtime.errors import RuntimeFault
from .settings import PACKAGE_VERSION, LogFormat, Settings, variables

_RENDER_HELP = """\
what would change in a cluster:
  kubectl get ragservices,ragrevisions,deployments,statefulsets,jobs,services,serviceaccounts,configmaps,\\
  poddisruptionbudgets,pods,persistentvolumeclaims -o yaml --show-managed-fields > now/all.yaml
  rag-operator render -f edited.yaml --observed now

exit status: 0 rendered, 1 the RagService would be refused (the reason on standard error), 2 wrong use. The settings of the
operator (images, above all) are read from the environment: see `rag-operator run --help`."""

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 well, 1 failed or found something, 2 wrong use."""
    chosen = parser().parse_args(arguments)
    command: Command = chosen.command
    try:
        return command(chosen)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            print(f"setting {'.'.join(map(str, fault['loc']))}: {fault['msg']}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="rag-operator",
        description="One RagService object becomes a RAG serving stack on Kubernetes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_settings_help(),
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="run the operator",
        description="Run the operator with the current kubeconfig, or as a pod with its service account, until SIGTERM.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_settings_help(),
    )
    run.set_defaults(command=_run)

    render = commands.add_parser(
        "render",
        help="print what a RagService becomes",
        description="Print what the operator would apply for the RagService in a file, without a cluster, by the same"
        " code. ConfigMaps that it names are taken from the same file or from --observed. Generated Secrets are named,"
        " never printed.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_RENDER_HELP,
    )
    render.add_argument(
        "-f", "--file", required=True, metavar="FILE", help="YAML with one RagService; - for standard input"
    )
    render.add_argument(
        "--observed",
        type=Path,
        metavar="DIR",
        help="folder of what is in the cluster now: print only what would change (default: a new object)",
    )
    render.set_defaults(command=_render)

    crd = commands.add_parser(
        "crd", help="write the CRDs", description="Write the CustomResourceDefinitions, generated from the models."
    )
    crd.add_argument(
        "--directory", type=Path, default=Path("crds"), metavar="D", help="folder to write to (default: crds)"
    )
    crd.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not current")
    crd.set_defaults(command=_crd)

    version = commands.add_parser("version", help="print the version", description="Print the operator's version.")
    version.set_defaults(command=_version)
    return top


def _settings_help() -> str:
    lines = ["settings (environment):"]
    for variable, default, meaning in variables():
        lines.append(f"  {variable} (default: {default or 'empty'})")
        lines += textwrap.wrap(meaning, 100, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


# Each command imports what it needs: `crd` and `version` run without the libraries of the operator's loop.


def _run(_: argparse.Namespace) -> int:
    from .program import serve  # noqa: PLC0415
    from .runtime import login, logs  # noqa: PLC0415

    settings = Settings()
    logs.configure(settings.log_level, json=settings.log_format is LogFormat.JSON)
    # What the libraries made stays for good, and would be looked through whenever a large LIST is decoded. Measured with 150
    # services that are compared every 15 s: 6 s of CPU in 45 s instead of 8.
    gc.freeze()
    try:
        return asyncio.run(serve(settings, login.load(settings.kubeconfig), lambda: datetime.now(UTC)))
    except (login.LoginError, OSError) as error:
        print(f"rag-operator: {error}", file=sys.stderr)
        return 1


def _render(chosen: argparse.Namespace) -> int:
    from .offline import render  # noqa: PLC0415

    try:
        text = sys.stdin.read() if chosen.file == "-" else Path(chosen.file).read_text(encoding="utf-8")
        sys.stdout.write(render(text, Settings(), lambda: datetime.now(UTC), chosen.observed))
    except (InvalidSpec, RuntimeFault, OSError, UnicodeDecodeError) as error:
        print(f"rag-operator: {error}", file=sys.stderr)
        return 1
    return 0


def _crd(chosen: argparse.Namespace) -> int:
    from . import crd  # noqa: PLC0415

    if not chosen.check:
        crd.write(chosen.directory)
        return 0
    stale = crd.stale(chosen.directory)
    for name in stale:
        print(f"{chosen.directory / name} is not current: run `make manifests`", file=sys.stderr)
    return 1 if stale else 0


def _version(_: argparse.Namespace) -> int:
    print(PACKAGE_VERSION)
    return 0


if __name__ == "__main__":
    sys.exit(main())
