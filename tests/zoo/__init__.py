"""A zoo of rate-limited servers in virtual time, and the laws that a rate limiter keeps there.

- `test_harness.py`: the harness against hand-written perfect clients and against retries alone; no limiter.
- `test_small.py`: the known inputs that go wrong, one by one.
- `test_routes.py`: whom a limit binds.
- `test_promises.py`: the numbers promised for each kind of server.
- `test_random.py`: random servers and traffic.

`pytest tests/zoo` runs every known input and promise, and a few of their variations (80 s on two idle cores, with `-n 2`).

- `ZOO=all pytest tests/zoo`: all variations, and more random examples; about ten minutes.
- `ZOO_EXAMPLES=200 pytest tests/zoo/test_random.py`: so many random examples, new ones in each run.
- `ZOO_CLIENT=perfect pytest tests/zoo/...`: with a client that knows the server in place of the default limiter: which tests can
  be passed at all. Not those of what only a limiter does: logs, what an hour-long pause tells, threads, a `RateLimiter(...)`.
- `python -m tests.zoo [name...]`: a table of the named servers, beside retries alone and a perfect client.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

ALL = os.environ.get("ZOO") == "all"
"""Whether all variations run."""

T = TypeVar("T")


def some(every: Iterable[T], *chosen: T) -> list[T]:
    """Return what a test runs with: with `ZOO=all` every variation, else the chosen ones."""
    known = [*every]
    assert all(one in known for one in chosen), chosen
    return known if ALL else [one for one in known if one in chosen]
