"""The tests of a program that calls an API, retries and gives up: sync, asyncio and trio, minutes of waiting in no time.

Run it with `pytest examples/test_weather.py`. It needs no network, and ends in under a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest
import trio

from ratewise import AsyncRateWiseClient, RateWiseClient
from ratewise.testing import (
    AsyncScriptedTransport,
    FakeClock,
    FaultServer,
    FixedWindow,
    LimitedServer,
    ScriptedTransport,
    delayed,
    no_waiting,
)

# -- the program, whose clients are made when it is imported

client = RateWiseClient("https://api.example.com", total_timeout=600.0)


class NoForecastError(Exception):
    """The weather service does not answer."""


def forecast(city: str, client: RateWiseClient = client) -> float:
    """Return the temperature of tomorrow."""
    try:
        response = client.get("/forecast", params={"city": city}).raise_for_status()
    except httpx.HTTPError as error:
        raise NoForecastError(f"no forecast for {city}: {type(error).__name__}") from error
    return float(response.json()["temperature"])


async def aforecast(city: str, client: AsyncRateWiseClient) -> float:
    """The same in async code."""
    try:
        response = (await client.get("/forecast", params={"city": city})).raise_for_status()
    except httpx.HTTPError as error:
        raise NoForecastError(f"no forecast for {city}: {type(error).__name__}") from error
    return float(response.json()["temperature"])


# -- its tests


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    """Close the client of the program in the end."""
    yield
    client.close()


WARM = httpx.Response(200, json={"temperature": 21.5})


def test_one_failure_is_no_failure(ratewise_no_waiting: None) -> None:
    """A 503 and a broken connection are retried, without a wait."""
    wire = ScriptedTransport(503, httpx.ReadError("lost"), WARM)
    with RateWiseClient("https://api.example.com", transport=wire) as client:
        assert forecast("Oslo", client) == 21.5
    wire.assert_sent(*["GET /forecast?city=Oslo"] * 3)


def test_it_gives_up(ratewise_no_waiting: None) -> None:
    """After four attempts the program's own error says so."""
    wire = ScriptedTransport(otherwise=503)
    given_up = pytest.raises(NoForecastError, match="no forecast for Oslo: HTTPStatusError")
    with RateWiseClient("https://api.example.com", transport=wire) as client, given_up:
        forecast("Oslo", client)
    assert len(wire.requests) == 4


def test_it_gives_up_at_once_without_retries(ratewise_retries_off: None) -> None:
    """The same without the retries, where a test is not about them."""
    wire = ScriptedTransport(503)
    with RateWiseClient("https://api.example.com", transport=wire) as client, pytest.raises(NoForecastError):
        forecast("Oslo", client)


def test_the_client_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that exists already, against a real server that fails."""
    with FaultServer({"/forecast": "503 disconnect 429:30 404"}) as server, no_waiting():
        monkeypatch.setattr(client, "base_url", server.url)
        with pytest.raises(NoForecastError):
            forecast("Oslo")
    assert len(server.requests["/forecast"]) == 4


def test_a_minute_of_rate_limit(ratewise_clock: FakeClock) -> None:
    """Ten requests a minute: the 25th is answered in the third minute, and none is refused."""
    with LimitedServer(FixedWindow(10, per=60), clock=ratewise_clock) as server, RateWiseClient(server.url) as client:
        for _ in range(25):
            client.get("/forecast")
    assert server.refused == 0
    assert 120 <= ratewise_clock.elapsed < 125


def test_asyncio(ratewise_clock: FakeClock) -> None:
    """Five tasks; the service is slow, and fails once."""

    async def main() -> list[float]:
        wire = AsyncScriptedTransport(503, otherwise=delayed(2.0, WARM))
        async with AsyncRateWiseClient("https://api.example.com", transport=wire) as client:
            return await asyncio.gather(*(aforecast("Oslo", client) for _ in range(5)))

    assert asyncio.run(main()) == [21.5] * 5
    assert ratewise_clock.elapsed >= 2


def test_trio() -> None:
    """A deadline passes in virtual time, too."""

    async def main() -> None:
        wire = AsyncScriptedTransport(otherwise=delayed(3600.0, WARM))
        clock = FakeClock(auto=True)
        async with AsyncRateWiseClient("https://api.example.com", transport=wire, total_timeout=60.0, clock=clock) as client:
            with pytest.raises(NoForecastError, match="DeadlineExceeded"):
                await aforecast("Oslo", client)
        assert 60 <= clock.elapsed < 61

    trio.run(main)
