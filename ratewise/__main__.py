"""The command line: `python -m ratewise demo`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand, or print the help. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ratewise", description="RateWise: resilient transports for httpx.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("demo", help="show the clients against a small local server that limits, fails and recovers")
    if parser.parse_args(arguments).command is None:
        parser.print_help()
        return 0
    from ._demo import demo

    demo()
    return 0


if __name__ == "__main__":
    sys.exit(main())
