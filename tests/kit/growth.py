"""How the run time of a function grows with the size of its argument."""

from __future__ import annotations

import time
from typing import Any, Callable


def growth(function: Callable[[Any], object], small: Any, large: Any) -> float:
    """Ratio of the CPU time for the large value to that for the small one."""

    def least(value: Any) -> float:
        times = []
        for _ in range(3):
            start = time.thread_time()
            function(value)
            times.append(time.thread_time() - start)
        return min(times)

    return least(large) / max(least(small), time.get_clock_info("thread_time").resolution)
