"""`python -m tests.zoo [word...]`: what becomes of the named servers.

In each column: with the limiter, with retries alone, and for a client that knows the server. With words: the servers whose names
contain one. `-v`: the verdicts of all laws too.
"""

from __future__ import annotations

import logging
import sys

from tests.zoo.laws import check
from tests.zoo.named import CASES, Case
from tests.zoo.traffic import Run, run


def main(words: list[str]) -> int:
    verbose = "-v" in words
    words = [word for word in words if word != "-v"]
    logging.getLogger("ratewise").addHandler(logging.NullHandler())
    head = ("server", "used", "refused", "failed", "p99 s", "attempts")
    sys.stdout.write(f"{head[0]:26} " + "  ".join(f"{title:>20}" for title in head[1:]) + "   laws broken\n")
    sys.stdout.write(f"{'limiter / alone / perfect':26}\n")
    failed = 0
    for name, case in CASES.items():
        if not words or any(word in name for word in words):
            failed += _line(name, case, verbose)
    return failed


def _line(name: str, case: Case, verbose: bool) -> int:
    mine, bare, best = (run(case.spec, case.traffic, limiter) for limiter in (True, None, "perfect"))
    verdicts = check(mine, bare)
    broken = [verdict for verdict in verdicts if not verdict.holds]

    def three(show: str, of: object) -> str:
        return f"{' / '.join(format(of(one), show) for one in (mine, bare, best)):>20}"  # type: ignore[operator]

    def used(one: Run) -> float:
        return one.used

    columns = [
        three(".2f", used) if case.spec.rules else f"{'':20}",
        three(".1%", lambda one: one.per_success),
        three("d", lambda one: one.failed),
        three(".1f", lambda one: one.p99),
        three(".2f", lambda one: one.attempts),
    ]
    wanted = "" if case.used is None or mine.used >= case.used else f" used {case.used:g} wanted"
    sys.stdout.write(f"{name:26} " + "  ".join(columns) + f"   {', '.join(one.law for one in broken)}{wanted}\n")
    if verbose:
        sys.stdout.writelines(f"    {verdict}\n" for verdict in verdicts)
    sys.stdout.flush()
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) and 1)
