"""One time-out for an answer as a whole, in sync code: after it the connection is closed."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ratewise.cache.stores.redis import _Alarm, _bounded
from tests.kit.patience import PATIENCE, wait_until


class Connection:
    """A connection that gives this answer, or waits until it is disconnected."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.ended = threading.Event()

    def send_packed_command(self, command: bytes) -> None:
        if command == b"broken":
            raise OSError(command)

    def read_response(self) -> Any:
        if self.answer is None:
            assert self.ended.wait(PATIENCE)
            raise ValueError("I/O operation on closed file")
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def disconnect(self) -> None:
        self.ended.set()
        raise OSError("closed")


def bounded(alarm: _Alarm, answer: Any = None) -> Any:
    return _bounded(Connection, alarm)(answer)


def gone(alarm: _Alarm) -> bool:
    """Wait for the alarm's thread to end; whether no state is left."""
    wait_until(lambda: not alarm._runs)
    return not (alarm._runs or alarm._due or alarm._rung)


def test_an_answer_in_time() -> None:
    """An answer in time is returned and the connection stays open, also after an error of Redis or an interruption."""
    alarm = _Alarm(PATIENCE)
    for answer in (b"x", KeyError("an error of Redis"), KeyboardInterrupt()):
        connection = bounded(alarm, answer)
        connection.send_packed_command(b"GET")
        if isinstance(answer, bytes):
            assert connection.read_response() == answer
        else:
            with pytest.raises(type(answer)):
                connection.read_response()
        assert not connection.ended.is_set()
        assert not alarm._due
        assert not alarm._rung


def test_an_answer_that_takes_too_long() -> None:
    """A late answer closes the connection and raises `TimeoutError`; the alarm then works again."""
    alarm = _Alarm(0.01)
    for _ in range(2):
        slow = bounded(alarm)
        slow.send_packed_command(b"GET")
        with pytest.raises(TimeoutError, match=r"^no answer within 0.01 s$"):
            slow.read_response()
        assert gone(alarm)


def test_a_command_that_cannot_be_sent() -> None:
    """If a command cannot be sent, its time-out is removed."""
    alarm = _Alarm(0.01)
    with pytest.raises(OSError, match="broken"):
        bounded(alarm).send_packed_command(b"broken")
    assert gone(alarm)
