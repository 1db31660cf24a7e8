"""The retry loop around a scripted wire, in sync, asyncio and trio."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import pytest

from ratewise import ExponentialBackoff, RateWiseError, RetryConfig, RetryDecision, RetryLayer, options
from ratewise.testing import FakeClock
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World
from tests.retry.plain import PLAIN


def limited(seconds: str = "5", status: int = 429) -> Any:
    return response(status, {"Retry-After": seconds})


async def test_a_good_answer_is_handed_on(world: World, clock: FakeClock) -> None:
    """A successful response is returned unchanged: one request, no wait, no history."""
    wire = Scripted(200)
    result = await world.send(world.RetryTransport(wire, PLAIN, clock=clock))
    assert result is wire.answers[0]
    exchange = result.extensions["ratewise"]
    assert (exchange.attempts, exchange.history, exchange.waits, clock.sleeps) == (1, (), [], [])
    assert await world.read(result) == b"ok"


async def test_backoff_grows(world: World, clock: FakeClock) -> None:
    """After three 503s the waits are 1, 2 and 4 seconds; then the 200 is returned."""
    wire = Scripted(503, 503, 503, 200)
    result = await world.send(world.RetryTransport(wire, PLAIN, clock=clock))
    assert result.status_code == 200
    assert clock.sleeps == [1, 2, 4]
    assert result.extensions["ratewise"].waits == [1, 2, 4]


async def test_discarded_responses_are_closed_before_the_wait(world: World) -> None:
    """Responses that are retried are closed before the wait: the pool has its connection back."""
    wire = Scripted(503, 503, 200)

    class Checking(FakeClock):
        def _enter(self, wait: Any) -> None:
            assert all(body.closed for body in wire.bodies)
            super()._enter(wait)

    await world.send(world.RetryTransport(wire, PLAIN, clock=Checking(auto=True)))
    assert [sent.open for sent in wire.sent] == [0, 0, 0]
    assert [body.closed for body in wire.bodies] == [1, 1, 0]


async def test_out_of_tries_the_last_response_is_returned(world: World, clock: FakeClock) -> None:
    """After the last attempt the response object itself is returned, unread, with the history."""
    wire = Scripted(500, response(503, {"Retry-After": "7"}, b"sorry"))
    result = await world.send(world.RetryTransport(wire, RetryConfig(2, jitter=False), clock=clock))
    assert result is wire.answers[-1]
    assert await world.read(result) == b"sorry"
    exchange = result.extensions["ratewise"]
    assert [str(attempt) for attempt in exchange.history] == [
        "attempt 1: 500, waited 1 s (backoff)",
        "attempt 2: 503, no retry (max_attempts (2) reached)",
    ]
    assert exchange.retry_after == 7


async def test_out_of_tries_the_last_error_is_raised(world: World, clock: FakeClock) -> None:
    """After the last attempt the error object itself is raised; from Python 3.11 its note has the history with redacted URLs."""
    last = world.httpx.ReadTimeout("late")
    wire = Scripted(world.httpx.ConnectError("no"), last)
    transport = world.RetryTransport(wire, RetryConfig(2, jitter=False), clock=clock)
    with pytest.raises(world.httpx.ReadTimeout) as raised:
        await world.send(transport, url="https://user:hunter2@api.example.com/x?api_key=hunter2")
    assert raised.value is last
    if sys.version_info >= (3, 11):
        assert last.__notes__ == [
            "RateWise: GET https://REDACTED@api.example.com/x?api_key=REDACTED: "
            "attempt 1: ConnectError, waited 1 s (backoff); "
            "attempt 2: ReadTimeout, no retry (max_attempts (2) reached)"
        ]


async def test_the_server_is_never_asked_too_early(world: World, clock: FakeClock) -> None:
    """A retry waits at least Retry-After, and at most 10 % longer."""
    for uniform in (0.0, 0.5, 1.0):
        clock.sleeps.clear()
        layer = RetryLayer(PLAIN, uniform=lambda uniform=uniform: uniform)
        await world.send(world.LayerTransport(Scripted(limited("5"), 200), layer, clock=clock))
        assert clock.sleeps == [pytest.approx(5 * (1 + uniform / 10))]
        assert clock.sleeps[0] >= 5


async def test_a_wait_that_is_too_long_is_handed_back(world: World, clock: FakeClock) -> None:
    """A Retry-After longer than max_retry_after: no sleep, no shorter wait; the response is returned with `retry_after`."""
    result = await world.send(world.RetryTransport(Scripted(limited("301")), PLAIN, clock=clock))
    assert (result.status_code, clock.sleeps) == (429, [])
    assert result.extensions["ratewise"].retry_after == 301
    assert "max_retry_after (300 s)" in result.extensions["ratewise"].history[0].reason


async def test_dates_are_measured_by_the_servers_own_clock(world: World, clock: FakeClock) -> None:
    """A Retry-After date is measured from the response's Date, not from the local clock."""
    headers = {"Date": "Wed, 21 Oct 2015 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT"}
    layer = RetryLayer(PLAIN, uniform=lambda: 0.0)
    await world.send(world.LayerTransport(Scripted(response(429, headers), 200), layer, clock=clock))
    assert clock.sleeps == [30]


@pytest.mark.parametrize(
    ("method", "steps", "sent"),
    [
        ("GET", [503, 200], 2),
        ("DELETE", [failing("ReadTimeout", "late"), 200], 2),
        ("PUT", [408, 200], 2),
        ("GET", [404], 1),
        ("POST", [500], 1),
        ("POST", [503], 1),
        ("POST", [408], 1),
        ("POST", [failing("ReadTimeout", "late")], 1),
        ("POST", [failing("ReadError", "gone")], 1),
        ("PATCH", [failing("RemoteProtocolError", "gone")], 1),
        ("POST", [failing("ConnectError", "no"), 200], 2),
        ("POST", [failing("ConnectTimeout", "no"), 200], 2),
        ("POST", [failing("PoolTimeout", "no"), 200], 2),
        ("POST", [failing("ProxyError", "502 Bad Gateway"), 200], 2),
        ("POST", [429, 200], 2),
        ("POST", [425, 200], 2),
        ("POST", [limited("1", 503), 200], 2),
        ("GET", [failing("ProxyError", "407 Proxy Authentication Required")], 1),
        ("GET", [failing("UnsupportedProtocol", "ftp")], 1),
        ("GET", [failing("LocalProtocolError", "bad header")], 1),
        ("GET", [failing("ReadError", "gone"), 200], 2),
        ("GET", [failing("WriteError", "gone"), 200], 2),
        ("GET", [failing("WriteTimeout", "late"), 200], 2),
    ],
)
async def test_what_is_retried(world: World, clock: FakeClock, method: str, steps: list[Any], sent: int) -> None:
    """Idempotent methods are retried; others only after an outcome that proves that nothing was done."""
    wire = Scripted(*steps)
    transport = world.RetryTransport(wire, PLAIN, clock=clock)
    try:
        outcome = await world.send(transport, method)
    except world.httpx.TransportError as error:
        outcome = error
    assert outcome is wire.answers[-1]
    assert len(wire.sent) == sent
    assert not wire.steps


async def test_a_certificate_that_is_not_trusted(world: World, clock: FakeClock) -> None:
    """An error in certificate verification is not retried; an error whose causes form a cycle is handled."""
    import ssl

    error = world.httpx.ConnectError("certificate verify failed")
    error.__cause__ = OSError("wrapped")
    error.__cause__.__cause__ = ssl.SSLCertVerificationError("self-signed")
    wire = Scripted(error)
    with pytest.raises(world.httpx.ConnectError):
        await world.send(world.RetryTransport(wire, PLAIN, clock=clock))
    assert len(wire.sent) == 1
    ring = world.httpx.ConnectError("no")
    ring.__cause__ = ring
    assert (await world.send(world.RetryTransport(Scripted(ring, 200), PLAIN, clock=clock))).status_code == 200


async def test_our_own_refusals_are_never_retried(world: World, clock: FakeClock) -> None:
    """A RateWise error from a layer below is raised without a retry, although it is also a TransportError."""

    class RefusalError(RateWiseError, world.httpx.TransportError):
        pass

    wire = Scripted(RefusalError("no", None))
    with pytest.raises(RefusalError):
        await world.send(world.RetryTransport(wire, PLAIN, clock=clock))


async def test_other_errors_pass(world: World, clock: FakeClock) -> None:
    """An exception that is no HTTP error, such as a bug in a transport, is raised without a retry."""
    with pytest.raises(ZeroDivisionError):
        await world.send(world.RetryTransport(Scripted(ZeroDivisionError()), PLAIN, clock=clock))


async def test_the_server_may_forbid_it(world: World, clock: FakeClock) -> None:
    """A response with `x-should-retry: false` is not retried."""
    result = await world.send(world.RetryTransport(Scripted(response(503, {"X-Should-Retry": "false"})), PLAIN, clock=clock))
    assert result.extensions["ratewise"].history[0].reason == "the server asks not to retry"


async def test_a_403_that_is_a_rate_limit(world: World, clock: FakeClock) -> None:
    """A 403 with Retry-After is retried like a 429, also for POST; the last one is returned with history and `retry_after`."""
    layer = RetryLayer(RetryConfig(2, budget=False), uniform=lambda: 0.0)
    for last in (200, 403):
        wire = Scripted(limited("5", 403), 200 if last == 200 else limited("7", 403))
        result = await world.send(world.LayerTransport(wire, layer, clock=clock), "POST")
        assert result is wire.answers[-1]
        assert (result.status_code, wire.bodies[-1].read) == (last, 0)
        exchange = result.extensions["ratewise"]
        told = ["attempt 1: 403, waited 5 s (Retry-After)", "attempt 2: 403, no retry (max_attempts (2) reached)"]
        assert [str(attempt) for attempt in exchange.history] == told[: 1 if last == 200 else 2]
        assert exchange.retry_after == (5 if last == 200 else 7)
    assert clock.sleeps == [5, 5]


async def test_other_403s_pass(world: World, clock: FakeClock) -> None:
    """Other 403s are returned unread and without a history; also a 403 with a wait if 429 is not retried."""
    for step, config in ((403, PLAIN), (limited("0", 403), PLAIN), (limited("5", 403), RetryConfig(retry_on_status=[503]))):
        wire = Scripted(step)
        result = await world.send(world.RetryTransport(wire, config, clock=clock))
        assert result is wire.answers[0]
        assert wire.bodies[0].read == 0
        exchange = result.extensions["ratewise"]
        assert (exchange.attempts, exchange.history, exchange.retry_after) == (1, (), None)
    listed = RetryConfig(retry_on_status=[403], jitter=False, budget=False)
    assert (await world.send(world.RetryTransport(Scripted(403, 200), listed, clock=clock))).status_code == 200


async def test_a_403_whose_body_breaks_off(world: World, clock: FakeClock) -> None:
    """client.get(): a 403 whose body breaks off is a failed attempt; a last 403 of a rate limit is returned without its body."""
    broken = response(403, body=Body(b"no", error=failing("ReadError")))
    settings = {"clock": clock, "retry_config": RetryConfig(2), "rate_limiter": None}
    client = world.RateWiseClient("https://api.example.com", transport=Scripted(broken, 403), **settings)
    result = await world(client.get, "/")
    assert (result.content, result.extensions["ratewise"].attempts) == (b"ok", 2)
    last = response(403, {"Retry-After": "5"}, Body(b"no", error=failing("ReadError")))
    client = world.RateWiseClient("https://api.example.com", transport=Scripted(limited("5", 403), last), **settings)
    result = await world(client.get, "/")
    assert (result.status_code, result.content, result.extensions["ratewise"].retry_after) == (403, b"", 5)


async def test_a_last_body_that_breaks_off(world: World, clock: FakeClock) -> None:
    """client.get(): a last body that breaks off raises, but a last 429 is returned without its body."""
    for status in (503, 429):
        wire = Scripted(response(status, body=Body(b"no", error=failing("ReadError"))))
        settings = {"clock": clock, "max_retries": 0, "rate_limiter": None, "raise_on_rate_limit": False}
        client = world.RateWiseClient("https://api.example.com", transport=wire, **settings)
        if status == 503:
            with pytest.raises(world.httpx.ReadError):
                await world(client.get, "/")
        else:
            assert (await world(client.get, "/")).content == b""


# -- idempotency keys


async def test_a_key_makes_a_post_retryable(world: World, clock: FakeClock) -> None:
    """The user's Idempotency-Key header, or a key from options(), is sent in each attempt; the request is otherwise unchanged."""
    own = {"headers": {"Idempotency-Key": "mine"}}
    for given in (own, {"extensions": options(idempotency_key="mine")}, {**own, "extensions": options(idempotency_key="other")}):
        wire = Scripted(500, world.httpx.ReadTimeout("late"), 200)
        request = world.httpx.Request("POST", "https://api.example.com/", json={"a": 1}, **given)
        before = request.headers.raw
        await world.send(world.RetryTransport(wire, PLAIN, clock=clock), request=request)
        assert [sent.request.headers["Idempotency-Key"] for sent in wire.sent] == ["mine"] * 3
        assert [sent.body for sent in wire.sent] == [request.content] * 3
        assert request.headers.raw == before


async def test_keys_for_every_post(world: World, clock: FakeClock) -> None:
    """RetryConfig(idempotency_key=True): each POST and PATCH call gets a new key, the same in each attempt; others get none."""
    transport_config = RetryConfig(jitter=False, idempotency_key=True)
    wire = Scripted(500, 200, 500, 200, 500, 200)
    transport = world.RetryTransport(wire, transport_config, clock=clock)
    request = world.httpx.Request("POST", "https://api.example.com/")
    await world.send(transport, request=request)
    await world.send(transport, request=request)
    await world.send(transport, "PUT")
    keys = [sent.request.headers.get("Idempotency-Key") for sent in wire.sent]
    assert keys[0] == keys[1]
    assert keys[2] == keys[3]
    assert keys[0] != keys[2]
    assert len(keys[0]) == 36
    assert keys[4:] == [None, None]


async def test_a_key_does_not_follow_a_redirect(world: World, clock: FakeClock) -> None:
    """The GET after a 303 has no Idempotency-Key, neither a generated one nor the caller's."""
    to = {"Location": "https://other.example/"}
    for extensions in ({}, options(idempotency_key="mine")):
        wire = Scripted(world.httpx.Response(303, headers=to), 200)
        settings = {"retry_config": RetryConfig(idempotency_key=True), "clock": clock, "follow_redirects": True}
        client = world.RateWiseClient("https://api.example.com", transport=wire, **settings)
        await world(client.post, "/", extensions=extensions)
        assert ["Idempotency-Key" in sent.request.headers for sent in wire.sent] == [True, False]


# -- decide=


async def test_decide_is_asked_first(world: World, clock: FakeClock) -> None:
    """decide receives the response or the error, and the attempt number, for successful outcomes too."""
    seen: list[Any] = []
    error = world.httpx.ReadError("gone")

    def decide(response: Any, exception: Any, attempt: int) -> RetryDecision | None:
        seen.append((response and response.status_code, exception, attempt))
        return RetryDecision(True, 3.5) if response and response.status_code == 202 else None

    transport = world.RetryTransport(Scripted(error, 202, 200), RetryConfig(jitter=False, decide=decide), clock=clock)
    result = await world.send(transport)
    assert seen == [(None, error, 1), (202, None, 2), (200, None, 3)]
    assert clock.sleeps == [1, 3.5]
    assert [attempt.reason for attempt in result.extensions["ratewise"].history] == ["backoff", "decide"]


async def test_decide_may_stop(world: World, clock: FakeClock) -> None:
    """If decide returns False the outcome is returned without a retry."""
    config = RetryConfig(decide=lambda response, exception, attempt: False)
    result = await world.send(world.RetryTransport(Scripted(503), config, clock=clock))
    assert (result.status_code, clock.sleeps) == (503, [])


async def test_decide_cannot_go_on_for_ever(world: World, clock: FakeClock) -> None:
    """max_attempts limits retries that decide asks for, also after a successful outcome."""
    config = RetryConfig(2, decide=lambda response, exception, attempt: True)
    wire = Scripted(200, 200)
    result = await world.send(world.RetryTransport(wire, config, clock=clock))
    assert result.status_code == 200
    assert len(wire.sent) == 2


async def test_an_error_in_decide_leaves_nothing_open(world: World, clock: FakeClock) -> None:
    """An exception in decide is raised unchanged, and the response that decide received is closed."""

    def decide(response: Any, exception: Any, attempt: int) -> bool:
        raise KeyError("mine")

    wire = Scripted(200)
    with pytest.raises(KeyError, match="mine"):
        await world.send(world.RetryTransport(wire, RetryConfig(decide=decide), clock=clock))
    assert [body.closed for body in wire.bodies] == [1]


async def test_a_backoff_of_ones_own(world: World, clock: FakeClock) -> None:
    """A backoff is any object with `delay`, which receives the previous wait; an invalid delay raises ValueError."""

    class Fixed:
        def delay(self, attempt: int, *, previous: float, uniform: float) -> float:
            return previous + attempt

    await world.send(world.RetryTransport(Scripted(503, 503, 200), RetryConfig(backoff=Fixed()), clock=clock))
    assert clock.sleeps == [1, 3]

    class Wrong:
        def delay(self, attempt: int, *, previous: float, uniform: float) -> float:
            return -1.0

    wire = Scripted(503)
    with pytest.raises(ValueError, match=r"the delay of the backoff must be .* not -1\.0"):
        await world.send(world.RetryTransport(wire, RetryConfig(backoff=Wrong()), clock=clock))
    assert [body.closed for body in wire.bodies] == [1]


# -- options, log, settings


async def test_options_of_one_request(world: World, clock: FakeClock) -> None:
    """retry=False sends one request and max_attempts overrides the config's, for this request only."""
    for extensions, sent in ((options(retry=False), 1), (options(max_attempts=2), 2), (options(retry=True), 3), ({}, 3)):
        wire = Scripted(503, 503, 503)
        result = await world.send(world.RetryTransport(wire, RetryConfig(3), clock=clock), extensions=extensions)
        assert (result.status_code, len(wire.sent)) == (503, sent)


async def test_every_wait_is_told(world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """Each retry logs one WARNING with attempt, outcome, wait and reason, and without secrets."""
    with caplog.at_level(logging.DEBUG, "ratewise"):
        await world.send(
            world.RetryTransport(Scripted(limited("120"), 200), RetryConfig(3), clock=clock),
            url="https://api.example.com/users?token=hunter2",
        )
    assert [(record.name, record.levelname) for record in caplog.records] == [("ratewise", "WARNING")]
    message = caplog.messages[0]
    assert message.startswith("Retry: GET https://api.example.com/users?token=REDACTED: attempt 1 of 3 failed (429); next in 1")
    assert message.endswith(" s (Retry-After)")


def test_the_layer_takes_a_config() -> None:
    """RetryLayer refuses anything but a RetryConfig; its repr shows the rules."""
    wrong: Any = 5
    with pytest.raises(TypeError, match="config must be a RetryConfig, not 5"):
        RetryLayer(wrong)
    assert "max_attempts=4" in repr(RetryLayer())


async def test_the_whole_stack_as_one_transport(world: World, clock: FakeClock) -> None:
    """RateWiseTransport: max_retries excludes the first attempt; retry_config wins; backoff_strategy replaces the backoff."""
    for settings, sent, sleeps in (
        ({"backoff_strategy": ExponentialBackoff(0.5, jitter=False)}, 4, [0.5, 1, 2]),
        ({"max_retries": 1, "backoff_strategy": ExponentialBackoff(jitter=False)}, 2, [1]),
        ({"max_retries": 0}, 1, []),
        ({"max_retries": 1, "retry_config": RetryConfig(3, jitter=False)}, 3, [1, 2]),
        ({"retry_config": RetryConfig(3), "backoff_strategy": ExponentialBackoff(3, jitter=False)}, 3, [3, 6]),
    ):
        clock.sleeps.clear()
        wire = Scripted(*[503] * sent)
        result = await world.send(world.RateWiseTransport(wire, clock=clock, **settings))
        assert result.status_code == 503
        assert (len(wire.sent), clock.sleeps) == (sent, sleeps)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"max_retries": -1}, ValueError, "max_retries must be a whole number of at least 0, not -1"),
        ({"max_retries": True}, TypeError, "max_retries must be a whole number of at least 0, not True"),
        ({"max_retries": 1.5}, TypeError, "max_retries"),
        ({"retry_config": 3}, TypeError, "retry_config must be a RetryConfig, not 3"),
        ({"backoff_strategy": 3}, TypeError, "backoff_strategy must be an ExponentialBackoff"),
        ({"backoff_strategy": ExponentialBackoff}, TypeError, "backoff_strategy must be an ExponentialBackoff"),
        ({"raise_on_rate_limit": 1}, TypeError, "raise_on_rate_limit must be True or False, not 1"),
        ({"max_retry": 1}, TypeError, "max_retry"),
    ],
)
async def test_bad_settings_of_the_stack(world: World, settings: Any, error: type[Exception], message: str) -> None:
    """An invalid setting is refused at construction; the message has its name, its value and the allowed range."""
    with pytest.raises(error, match=message):
        world.RateWiseTransport(**settings)


async def test_a_new_transports_own_keywords(world: World) -> None:
    """Without a transport, httpx's keywords configure a new one; together with a given transport they are refused."""
    transport = world.RateWiseTransport(http2=True, limits=world.httpx.Limits(max_connections=3))
    assert transport._wire._pool._max_connections == 3
    assert transport._wire._pool._http2
    await world.close(transport)
    with pytest.raises(TypeError, match="http2: not allowed beside `transport`: pass it to the Scripted"):
        world.RateWiseTransport(Scripted(), http2=True)


async def test_http2_needs_h2(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package h2, http2=True is refused at construction, as by httpx's clients."""
    monkeypatch.setattr("ratewise._adapter.chain.find_spec", lambda name: None)
    needed = f"http2=True requires the package h2: pip install '{world.httpx.__name__}[http2]'"
    with pytest.raises(ImportError, match=re.escape(needed)):
        world.RateWiseTransport(http2=True)


# Under trio, httpx's own generators warn when a body cannot be decoded, also with a plain client.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_raising_on_a_last_429(world: World, clock: FakeClock) -> None:
    """With raise_on_rate_limit=True a last 429 raises, with a response that is read and closed; otherwise it is returned."""
    for last, text in (
        (response(429, {"Retry-After": "9"}, b"slow down"), "slow down"),
        (response(429, body=Body(b"slow", error=failing("ReadError"))), ""),
        (response(429, {"Content-Encoding": "gzip"}, b"no gzip"), ""),
    ):
        wire = Scripted(429, last)
        config = RetryConfig(2, jitter=False)
        transport = world.RateWiseTransport(wire, retry_config=config, raise_on_rate_limit=True, clock=clock)
        with pytest.raises(world.ratewise.RateLimitExceeded) as raised:
            await world.send(transport)
        assert raised.value.response is not None
        assert raised.value.response.text == text
        assert wire.answers[-1].is_closed
        assert wire.bodies[-1].closed
        assert raised.value.attempts == 2
    assert raised.value.response is not None
    assert raised.value.response.request.url == "https://api.example.com/"
    result = await world.send(world.RateWiseTransport(Scripted(200), raise_on_rate_limit=True, clock=clock))
    assert result.status_code == 200


# -- HTTP/2


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        ("<StreamReset stream_id:1, error_code:7, remote_reset:True>", True),
        ("<StreamReset stream_id:13, error_code:ErrorCodes.REFUSED_STREAM, remote_reset:True>", True),
        ("<StreamReset stream_id:7, error_code:8, remote_reset:True>", False),
        ("<StreamReset stream_id:7, error_code:77, remote_reset:True>", False),
        ("<StreamReset stream_id:1, error_code:7, remote_reset:False>", False),
        ("<ConnectionTerminated error_code:0, last_stream_id:0, additional_data:None>", True),
        ("<ConnectionTerminated error_code:ErrorCodes.NO_ERROR, last_stream_id:0, additional_data:None>", True),
        ("<ConnectionTerminated error_code:11, last_stream_id:0, additional_data:too_many_pings>", True),
        ("<ConnectionTerminated error_code:0, last_stream_id:3, additional_data:None>", False),
        ("<ConnectionTerminated error_code:0, last_stream_id:01, additional_data:None>", False),
        ("Server disconnected without sending a response.", False),
        ("", False),
    ],
)
def test_what_http2_proves(message: str, refused: bool) -> None:
    """Of the messages of h2, only REFUSED_STREAM and a GOAWAY before the first stream prove that nothing was done."""
    from ratewise._core.failure import http2_refused

    assert http2_refused(message) is refused
