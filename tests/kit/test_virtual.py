"""Many requests at once in virtual time, and a rate-limited server behind a wire."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from ratewise import AsyncRetryTransport, Clock, RetryConfig
from ratewise.testing.limits import EPOCH
from tests.kit.styles import styled
from tests.kit.virtual import LimitedWire, TimedWire, drive, offer, run


def test_run() -> None:
    """`run` starts at a wall time, in an event loop, returns a result or raises an exception, and cancels other tasks."""
    ended: list[str] = []

    async def other() -> None:
        try:
            await Clock().asleep(3600)
        except asyncio.CancelledError:
            ended.append("other")
            raise

    async def main() -> float:
        task = asyncio.ensure_future(other())
        await Clock().asleep(1)
        assert not task.done()
        return Clock().time()

    async def broken() -> None:
        await main()
        raise KeyError("broken")

    assert run(main()) == EPOCH + 1
    assert run(main(), start=7) == 8
    with pytest.raises(KeyError, match="broken"):
        run(broken())
    assert ended == ["other"] * 3


def test_a_wire() -> None:
    """The server decides after half the latency; the seed determines the jitter."""

    def sent(sheds: float = 0.0, **options: Any) -> Any:
        async def main() -> Any:
            served = styled("window", sheds=sheds, seed=4)
            wire = LimitedWire(served, **options)
            return await drive(wire, 300, 10), wire, served

        return run(main())

    result, wire, served = sent()
    assert result.wall == pytest.approx(0.6)
    assert [round(second, 3) for second, _ in wire.log[::100]] == [0.01, 0.21, 0.41]
    assert (result.statuses, result.lost, result.p99) == ({200: 100, 429: 200}, 200, pytest.approx(0.02))
    assert (served.limit.accepted, served.limit.refused) == (100, 200)
    assert result.efficiency(served.limit) == 0  # the server would have accepted 100 at once

    result, wire, served = sent(sheds=0.3, jitter=0.5, seed=4)
    assert 60 < served.responder.failed == result.statuses[503] < 120
    assert max(result.waits) <= 1.02 + 1e-9
    again, other = sent(sheds=0.3, jitter=0.5, seed=4)[1], sent(sheds=0.3, jitter=0.5, seed=5)[1]
    assert wire.log == again.log != other.log


def test_offered_requests_do_not_wait_for_each_other() -> None:
    """Each begins at its time, however long the others take; one that raises has status 0."""

    class Wire(TimedWire):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            number = round(self.now * 10)
            await Clock().asleep(60 if number == 3 else 0.25)
            if number == 4:
                raise httpx.ReadError("gone")
            return httpx.Response(200 + number)

    async def main() -> Any:
        return await offer(Wire(), 10, 0.6)

    ends = [0.25, 0.35, 0.45, 60.3, 0.65, 0.75]
    assert run(main()) == [
        (number / 10, pytest.approx(end), 0 if number == 4 else 200 + number) for number, end in enumerate(ends)
    ]


def test_errors_are_kept() -> None:
    """A request that raises does not stop the others."""

    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    result = run(drive(httpx.MockTransport(broken), 30, 4))
    assert [str(error) for error in result.errors] == ["gone"] * 30
    assert (result.lost, len(result.waits)) == (0, 30)


def test_retries_in_virtual_time() -> None:
    """Half a minute of retries against a window of 100 in 5 s: all succeed, within the limit."""
    served = styled("window")

    async def main() -> Any:
        return await drive(AsyncRetryTransport(LimitedWire(served), RetryConfig(51, budget=False)))

    result = run(main())
    assert result.statuses == {200: 480}
    assert served.limit.accepted == 480
    assert 0.8 < result.efficiency(served.limit) <= 1
