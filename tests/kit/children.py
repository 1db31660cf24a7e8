"""Forked children of a test."""

from __future__ import annotations

import os
import signal
import traceback
from typing import Callable

from tests.kit.patience import PATIENCE


def in_child(work: Callable[[], object]) -> int:
    """Return the exit code of `work` in a forked child: 0 for success, 1 for an error, negative if a signal ended it."""
    pid = os.fork()
    if not pid:  # pragma: no cover
        code = 1
        try:
            signal.alarm(int(PATIENCE))
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
