"""``python -m tests.demo``: start a cluster, install the operator, make one RagService, ask it three questions."""

import argparse
import os
import signal
import sys
from types import FrameType

from .install import undeploy
from .place import Images, Place
from .screen import DemoError, Screen, Terminated
from .story import Story

_EPILOG = """\
CLUSTER=current takes its images from a registry that the cluster reaches:
  RAG_DEMO_IMAGES=registry.example.com/team RAG_DEMO_TAG=0.1.0 make demo CLUSTER=current
uses registry.example.com/team/{operator,api,indexer}:0.1.0 and Qdrant's public image. Exit status: 0 when every answer
was as it must be, 1 when not or on a failure, 130 when interrupted."""


def main(arguments: list[str]) -> int:
    """Run the demonstration; returns the exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    screen = Screen()
    place = Place(options.cluster, dict(os.environ), _images(options.cluster))
    try:
        if options.undeploy:
            undeploy(place, place.kubectl(), screen)
        elif options.ask:
            Story(place, screen).ask(options.ask)
        else:
            Story(place, screen).tell(deploy_only=options.deploy_only)
    except DemoError as error:
        screen.step(f"FAILED: {error}")
        return 1
    except KeyboardInterrupt:
        screen.line("interrupted")
        return 130
    if not options.ask:
        screen.step("done")
    return 0


def _images(cluster: str) -> Images | None:
    prefix, tag = os.environ.get("RAG_DEMO_IMAGES"), os.environ.get("RAG_DEMO_TAG", "latest")
    return Images(prefix.rstrip("/"), tag) if prefix and cluster == "current" else None


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.demo",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cluster", choices=("bench", "kind", "current"), default="bench")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--deploy-only", action="store_true", help="cluster, images, CRDs and operator; no sample")
    what.add_argument("--undeploy", action="store_true", help="remove all RagServices, the operator and the CRDs")
    what.add_argument("--ask", metavar="QUESTION", help="ask the running sample")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
