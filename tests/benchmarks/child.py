"""`python -m tests.benchmarks.child SUBJECT N`: make N calls of a subject, for a profiler to look at."""

from __future__ import annotations

import asyncio
import gc
import sys

from .subjects import RUN, WORLDS

if __name__ == "__main__":
    name, times = sys.argv[1], int(sys.argv[2])
    world, make = next((world, group[name]) for world, groups in WORLDS.items() for group in groups if name in group)
    call = make()
    gc.disable()
    asyncio.run(RUN[world](call, times))
