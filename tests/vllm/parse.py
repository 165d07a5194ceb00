"""vLLM's own parser on many command lines, run by vLLM's interpreter: a JSON list of argument lists in, what it says to each out.

An empty text: taken. The parser alone, since importing it takes longer than all of its work.
"""

import contextlib
import io
import json
import sys

from vllm.entrypoints.launchers.cli_args import (  # type: ignore[import-not-found,unused-ignore]
    make_arg_parser,
)
from vllm.utils.argparse_utils import FlexibleArgumentParser  # type: ignore[import-not-found,unused-ignore]


def said(parser: "FlexibleArgumentParser", arguments: list[str]) -> str:
    """The parser's complaint."""
    heard = io.StringIO()
    with contextlib.redirect_stderr(heard):
        try:
            parser.parse_args(arguments)
        except SystemExit as end:
            return heard.getvalue() or f"ended with {end.code}"
    return ""


def main() -> None:
    parser = make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    flags = sorted({flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")})
    complaints = [said(parser, arguments) for arguments in json.load(sys.stdin)]
    print("RESULT " + json.dumps({"flags": flags, "said": complaints}))


if __name__ == "__main__":
    main()
