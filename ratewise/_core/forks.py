"""Forks: a child process copies the locks and counts of its parent, but not the threads that would release them."""

from __future__ import annotations

import os
import weakref
from contextlib import ExitStack
from typing import Any, Callable, Protocol

at_fork: Callable[..., object] = getattr(os, "register_at_fork", lambda **_: None)
"""`os.register_at_fork`; has no effect on Windows, which has no fork."""


class Renewed(Protocol):
    """Holds locks, or what belongs to requests in progress."""

    def _after_fork(self) -> None:
        """Replace the locks and forget the requests in progress, in a child process. The forking thread is its only one."""
        ...


# By id, as not all are hashable. No lock: each step is one operation of a dict, so that a fork finds it done or not begun. A lock
# that is held during a fork would make the fork wait for a thread in which the garbage collector waits for another such lock.
_renewed: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def renew_after_fork(thing: Renewed) -> None:
    """Call `thing._after_fork()` in each child process that is forked while `thing` exists."""
    _renewed[id(thing)] = thing


def _renew_all() -> None:
    with ExitStack() as stack:  # an error in one must not keep the others from their turn
        for thing in list(_renewed.values()):
            stack.callback(thing._after_fork)


at_fork(after_in_child=_renew_all)
