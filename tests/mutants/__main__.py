"""``python -m tests.mutants``: break a copy of the code in every way of the table; exit 1 when a test does not notice.

The named tests run unbroken first: a test that fails anyway proves nothing.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .copy import Copy
from .mutant import Mutant, broken
from .table import MUTANTS

TEST_SECONDS = 600.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this mutant; may be repeated")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--quick", action="store_true", help="those whose test needs no API server")
    place.add_argument(
        "--node", action="store_true", help="those whose test needs the bench's node; each builds images"
    )
    parser.add_argument("--list", action="store_true", help="print the table and do nothing")
    options = parser.parse_args(arguments)
    unknown = set(options.only) - {mutant.name for mutant in MUTANTS}
    if unknown:
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    chosen = [
        mutant
        for mutant in MUTANTS
        if mutant.name in (options.only or [mutant.name])
        and not (options.quick and mutant.needs_server)
        and (mutant.needs_node or not options.node)
    ]
    if options.list:
        for mutant in chosen:
            print(f"{mutant.name:34} {mutant.breaks}\n{'':34} {mutant.test}")
        return 0
    with tempfile.TemporaryDirectory(prefix="rag-mutants-") as folder:
        return run(Copy.make(Path(folder)), chosen)


def run(copy: Copy, mutants: Sequence[Mutant]) -> int:
    """Baseline, then each mutant; prints a line for each. The exit code."""
    tests = sorted({mutant.test for mutant in mutants})
    print(f"{len(mutants)} mutants, {len(tests)} tests; the tests on unbroken code first", flush=True)
    unbroken = copy.test(tests, TEST_SECONDS * len(tests))
    if not unbroken.passed:
        print(f"they fail on unbroken code, which proves nothing: {unbroken.first}")
        return 1
    faults = [mutant.name for mutant in mutants if not killed(copy, mutant)]
    print(f"{len(mutants) - len(faults)} of {len(mutants)} killed" + (f"; not: {', '.join(faults)}" if faults else ""))
    return 1 if faults else 0


def killed(copy: Copy, mutant: Mutant) -> bool:
    """Whether the test notices; prints how."""
    started = time.monotonic()
    try:
        path = mutant.file(copy.folder)
    except ValueError as error:
        print(f"BROKEN    {error}", flush=True)
        return False
    whole = path.read_text()
    path.write_text(broken(whole, mutant))
    outcome = copy.test([mutant.test], TEST_SECONDS)
    path.write_text(whole)
    word = "killed" if outcome.failed else "SURVIVED" if outcome.passed else f"pytest {outcome.code}"
    print(f"{word:9} {mutant.name:34} {time.monotonic() - started:5.1f} s  {outcome.first[:150]}", flush=True)
    return outcome.failed


if __name__ == "__main__":
    sys.exit(main())
