"""The command line of `vllm serve`: the recorded flags are taken, all others are refused in the words of vLLM's parser."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

RECORDED = Path(__file__).resolve().parents[1] / "contract" / "vllm" / "recorded"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"usage: vllm serve [model_tag] [options]\nvllm: error: {message}\n")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Ends the process with status 2 when vLLM's parser would."""
    parser = _Parser(prog="vllm serve", usage="vllm serve [model_tag] [options]", add_help=False, allow_abbrev=False)
    parser.add_argument("model_tag", nargs="?", default="")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--served-model-name", default=None)
    parser.add_argument("--shutdown-timeout", type=int, default=0)
    parser.add_argument("--max-model-len", type=int, default=4096)
    parser.add_argument("--runner", choices=["auto", "generate", "pooling", "draft"], default="auto")
    taken = {option for action in parser._actions for option in action.option_strings}
    for line in (RECORDED / "flags.txt").read_text(encoding="utf-8").splitlines():
        flags = [flag for flag in line.split(", ") if re.fullmatch(r"--[a-z][a-z0-9-]*", flag)]
        for flag in flags:
            if flag not in taken:
                switch = len(flags) > 1 or flag.startswith("--no-")
                if switch:
                    parser.add_argument(flag, action="store_true")
                else:
                    parser.add_argument(flag, nargs="?")
                taken.add(flag)
    args: argparse.Namespace = parser.parse_args(
        [re.sub("_(?=[^=]*(=|$))", "-", a) if a.startswith("--") else a for a in arguments]
    )
    args.served_model_name = args.served_model_name or args.model_tag
    return args
