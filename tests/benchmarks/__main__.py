"""`python -m tests.benchmarks`, from the root: what RateWise costs a request, in the same run as bare httpx and its peers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from . import crowd, goodput
from .method import imports, instructions, memory, table
from .subjects import WORLDS

_EPILOG = (
    "As the first argument, `goodput`: how much of a rate limit is used, and how much is refused; "
    "`crowd`: how long many calls at once take."
)


def main() -> None:
    if sys.argv[1:2] == ["goodput"]:
        goodput.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["crowd"]:
        crowd.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__, epilog=_EPILOG)
    parser.add_argument("--quick", action="store_true", help="few and short rounds: to see that it runs")
    parser.add_argument("--no-callgrind", action="store_true", help="leave out the slow counting of instructions")
    given = parser.parse_args()
    rounds, calls, processes, entries = (5, 50, 3, 2000) if given.quick else (80, 200, 11, 100_000)
    for world in WORLDS:
        _show(table(world, rounds, calls))
    _show(imports(processes))
    _show(memory(entries))
    if not given.no_callgrind:
        _show(instructions())


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line.rstrip() + "\n")
        sys.stdout.flush()  # the counting takes long
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
