"""`python -m tests.fuzz [seconds] [pytest's arguments]`, from the root: all property tests, round after round with new seeds.

Prints how to repeat a failure, and exits with 1. `nox -s fuzz` is the way in.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

SELECTED = ["-m", "hypothesis", "--hypothesis-profile=fuzz"]
"""The tests: hypothesis marks its own. The profile is in `tests/conftest.py`."""

EXAMPLES = re.compile(r"(\d+) passing(?: examples)?, (\d+) failing")
FAILED = re.compile(r"^(FAILED|ERROR) ", re.MULTILINE)

END = 10.0
"""Seconds that a round may take to end when the time is over."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=60.0)
    given, others = parser.parse_known_args()
    until, rounds, examples = time.monotonic() + given.seconds, 0, 0
    while time.monotonic() < until:
        seed = random.SystemRandom().randrange(2**32)
        code, said = _round([*SELECTED, f"--hypothesis-seed={seed}", *others], until)
        rounds += 1
        examples += sum(int(passed) + int(failed) for passed, failed in EXAMPLES.findall(said))
        if code is None and not FAILED.search(said):
            _show(f"seed {seed}: passed until the time was over")
        elif code != 0:
            _show(said)
            _show(f"seed {seed}: FAILED; repeat it with\n    pytest {' '.join(SELECTED)} --hypothesis-seed={seed} -k <test>")
            return 1
        else:
            _show(f"seed {seed}: passed")
    _show(f"{rounds} rounds, {examples} examples")
    return 0


def _round(arguments: list[str], until: float) -> tuple[int | None, str]:
    """Run the tests once; return pytest's exit code and what it wrote. The code is None if the time was over before their end."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--hypothesis-show-statistics", *arguments, "tests"]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        code = None
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(max(until - time.monotonic(), 0.0))
            if code is None:
                process.send_signal(signal.SIGINT)  # so that it sums up
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(END)
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        return code, output.read()


def _show(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
