"""Arbitrary header fields: every request is answered."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ratewise._core.step import step
from ratewise.cache import CacheConfig, InMemoryCache
from ratewise.testing import FakeClock
from tests.cache.stage import URL
from tests.kit.wire import Body, Scripted, response
from tests.kit.world import World

NAMES = st.sampled_from(
    b"Cache-Control Age Date Expires ETag Last-Modified Vary Content-Length Content-Range Location Content-Location Connection "
    b"If-None-Match If-Modified-Since If-Range Range Pragma Accept Cookie CDN-Cache-Control Content-Encoding-X Foo".split()
)
WORDS = st.sampled_from(
    [
        *b"max-age=9 max-age=0 no-store no-cache private public must-revalidate stale-if-error=99 immutable".split(),
        *b'max-stale only-if-cached min-fresh=1 * "a" W/"a" "b" a Foo Cookie bytes=0-1 bytes=-1 bytes=9- 3'.split(),
        *b'http://[ //x:99999 ../%zz " \\ ; = , Fri,31Dec9999'.split(),
        *(b"Sun, 06 Nov 1994 08:49:37 GMT", b"Fri, 31 Dec 9999 23:59:59 GMT", b"Mon, 01 Jan 0001 00:00:00 GMT"),
    ]
)
VALUES = st.one_of(
    st.lists(WORDS, max_size=4).map(b", ".join),
    st.binary(max_size=12).map(lambda value: value.replace(b"\n", b"").replace(b"\r", b"")),
)
VALIDATORS = (b"ETag", b"Last-Modified", b"If-None-Match")
# ASCII only, as long as `test_validators_in_any_bytes_are_asked_with_as_they_are` is expected to fail.
FIELDS = st.lists(
    st.tuples(NAMES, VALUES)
    .map(lambda field: (field[0], bytes(byte & 127 for byte in field[1]) if field[0] in VALIDATORS else field[1]))
    .filter(lambda field: not {10, 13} & set(field[1])),
    max_size=5,
)
EXCHANGES = st.lists(
    st.tuples(
        st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "FOO"]),
        FIELDS,
        st.sampled_from([200, 200, 200, 304, 204, 206, 301, 404, 429, 500, 599]),
        FIELDS,
        st.sampled_from([0, 1, 5, 100]),
    ),
    max_size=6,
)


@settings(max_examples=150)
@given(exchanges=EXCHANGES, mode=st.sampled_from(["rfc9111", "force"]), shared=st.booleans(), stale=st.sampled_from([0, 50]))
def test_nothing_that_is_said_breaks_a_request(exchanges: Any, mode: Any, shared: bool, stale: int) -> None:
    """Arbitrary fields either way cause no error but the server's, no body that it did not send, and no open connection."""
    world, clock = World("sync-httpx"), FakeClock(auto=True)
    wire = Scripted()
    config = CacheConfig(mode, shared=shared, targeted=["CDN-Cache-Control"], stale_if_error=stale)
    transport = world.ratewise.CacheTransport(wire, InMemoryCache(ttl=3), config, clock=clock)
    given_bodies: dict[Any, set[bytes]] = {}
    for number, (method, ask, status, answer, wait) in enumerate(exchanges):
        body = b"" if status in (204, 304) or method == "HEAD" else b"%03d" % number
        request = world.httpx.Request(method, URL, headers=ask)
        wire.steps = [response(status, answer, Body(body)), response(200, [], Body(b"2nd"))]
        before = list(request.headers.raw)
        got = step(world.send(transport, request=request))
        content = b"".join(got.stream)
        got.close()
        assert list(request.headers.raw) == before
        user = request.headers.get("cookie")
        bodies = given_bodies.setdefault(user, set())
        bodies.update((body, b"2nd", b""))
        partial = got.status_code == 206 and "hit" in got.headers["cache-status"]
        assert content in bodies or partial
        if partial:
            assert any(content in one for one in bodies)
        clock.advance(wait)
    assert [one.closed for one in wire.bodies] == [1] * len(wire.bodies)
    assert not transport._layers[0].cache._ratewise_store.single_flight._requests
