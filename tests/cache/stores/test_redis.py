"""The store in Redis: against a real server, and against false ones."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import ssl
import sys
import threading
import time
import traceback
import uuid
import warnings
from collections.abc import Iterator
from typing import Any, Callable

import anyio
import pytest
import redis
import redis.asyncio
import trio
import trustme

from ratewise._core.clock import Clock
from ratewise.cache.entry import Entry, Policy, encode
from ratewise.cache.stores.base import REST
from ratewise.cache.stores.redis import MOST, RedisCache, _Punctual, _punctual
from ratewise.layer import Call
from tests.kit.clock import PATIENCE, FakeClock
from tests.kit.marks import FORKS
from tests.kit.redis_server import Server
from tests.kit.world import World, only

SECRET = b"s" * 32
KEY, OTHER = b"k" * 16, b"o" * 16
PREFIX = f"ratewise-test-{uuid.uuid4().hex}:"
"""What every key of this run begins with: the server may be shared."""

TIMEOUT = 0.06
SLACK = 1.0
"""Seconds that a busy machine may add."""

each_world = only("httpx")


@pytest.fixture(scope="session")
def url(redis_url: str) -> Iterator[str]:
    yield redis_url
    with redis.Redis.from_url(redis_url) as client:
        for name in client.scan_iter(match=f"{PREFIX}*"):
            client.delete(name)


@pytest.fixture(scope="module")
def private() -> Iterator[Server]:
    """A server that tests may reconfigure."""
    with Server.running() as server:
        yield server


@pytest.fixture
def make(request: Any) -> Iterator[Callable[..., RedisCache]]:
    """Makes a cache whose keys no other test has."""
    made = []

    def make(*args: Any, **settings: Any) -> RedisCache:
        given = "client" in settings or args or "port" in settings
        settings = {"prefix": f"{PREFIX}{uuid.uuid4().hex}:", "secret": SECRET, **settings}
        cache = RedisCache(*args if given else [request.getfixturevalue("url")], **settings)
        made.append(cache)
        return cache

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def plain(url: str) -> Iterator[Any]:
    """A client of redis-py's own."""
    with redis.Redis.from_url(url) as client:
        yield client


def entry(body: bytes = b"hello") -> Entry:
    return Entry(200, b"content-type\ntext/plain", body, born=1.0, received=1.0, policy=Policy(60.0))


def call_of(world: World, clock: Clock | None = None) -> Any:
    return Call[Any, Any](None, world.flavour(), clock or Clock())  # type: ignore[arg-type]


def name_of(cache: RedisCache, key: bytes) -> str:
    return cache._prefix + key.hex()


class Wrong:
    """A false server: it does to every connection what it is told. `commands`: what it was asked, in order."""

    def __init__(self, serve: Callable[[Wrong, Any], None], tls: ssl.SSLContext | None = None) -> None:
        self._serve, self._tls = serve, tls
        self.commands: list[list[bytes]] = []
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._connections: list[socket.socket] = []
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: Any) -> None:
        with connection, contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._connections.append(connection)
            with connection:
                self._serve(self, connection)

    def read(self, connection: Any) -> Iterator[list[bytes]]:
        """The commands that come."""
        with connection.makefile("rb") as lines:
            while line := lines.readline():
                command = []
                for _ in range(int(line[1:])):
                    command.append(lines.read(int(lines.readline()[1:]) + 2)[:-2])
                self.commands.append(command)
                yield command

    def __enter__(self) -> Wrong:
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def answering(answer: bytes | Callable[[list[bytes]], bytes]) -> Callable[[Wrong, Any], None]:
    """A false server that answers every command with this."""

    def serve(server: Wrong, connection: Any) -> None:
        for command in server.read(connection):
            connection.sendall(answer if isinstance(answer, bytes) else answer(command))

    return serve


def hung(server: Wrong, connection: Any) -> None:
    for _ in server.read(connection):
        pass


def gone(server: Wrong, connection: Any) -> None:
    connection.recv(10)


def cut(server: Wrong, connection: Any) -> None:
    for _ in server.read(connection):
        connection.sendall(b"$1000\r\nabc")
        return


def trickling(server: Wrong, connection: Any) -> None:
    for _ in server.read(connection):
        connection.sendall(b"$1000\r\n")
        while not server.over.wait(TIMEOUT / 3):
            connection.sendall(b"x")


def deaf(server: Wrong, connection: Any) -> None:
    server.over.wait(PATIENCE)


FALSE = {
    "hung": hung,
    "gone": gone,
    "cut": cut,
    "trickling": trickling,
    "loading": answering(b"-LOADING Redis is loading the dataset in memory\r\n"),
    "moved": answering(b"-MOVED 1 10.255.255.1:6379\r\n"),
    "error": answering(b"-ERR \xff\xfe\r\n"),
    "garbage": answering(b"HTTP/1.1 400 Bad Request\r\n\r\nno"),
    "random": answering(random.Random(1).randbytes(300)),
    "nested": answering(b"*1\r\n" * 5000 + b":1\r\n"),
    "endless": answering(b"$99999999999999\r\nx"),
    "wrong length": answering(b"$-5\r\n"),
}


@each_world
async def test_get_set_delete_clear(world: World, make: Any) -> None:
    """Entries come back as they were stored, until they are dropped or all is cleared."""
    cache, call = make(), call_of(world)
    assert await cache.load(KEY, call) == ()
    for body in (b"", b"hello", bytes(range(256)), b"x" * 5 * 1024 * 1024):
        assert await cache.save(KEY, (entry(body),), 60.0, call)
        (loaded,) = await cache.load(KEY, call)
        assert (loaded.body, loaded.head, loaded.policy) == (body, entry().head, Policy(60.0))
    await cache.drop(KEY, call)
    assert await cache.load(KEY, call) == ()
    assert await cache.save(KEY, (entry(),), 60.0, call)
    await world(cache.clear if world.is_sync else cache.aclear)
    assert await cache.load(KEY, call) == ()
    assert cache.get_stats().errors == 0
    await world.close(cache)
    assert await cache.save(KEY, (entry(),), 60.0, call)  # it may be used again
    await world.close(cache)
    await world.close(cache)


@each_world
async def test_its_life_is_set_with_the_value(world: World, make: Any, plain: Any) -> None:
    """The time to live is in milliseconds, of one at least, and has a bound."""
    cache = make()
    set_ = cache.set if world.is_sync else cache.aset
    for ttl, least, most in ((1.5, 1000, 1500), (1e300, 1e11, 1e12), (float("inf"), 1e11, 1e12)):
        await world(set_, "a", b"x", ttl)
        assert least < plain.pttl(cache._prefix + "a") <= most
    for ttl in (0.0, 0.0001):
        await world(set_, "a", b"x", ttl)
        assert plain.pttl(cache._prefix + "a") in (-2, 0, 1)
    await world.close(cache)


@each_world
@pytest.mark.parametrize("settings", ["redis://127.0.0.1:{}/3", "redis://u:p@127.0.0.1:{}/3", None])
async def test_no_round_trip_too_many(world: World, make: Any, settings: str | None) -> None:
    """One for a hit, one for storing, and on connecting only what the URL asks for."""
    with Wrong(answering(lambda command: b"$-1\r\n" if command[0] == b"GET" else b"+OK\r\n")) as server:
        cache = make(settings.format(server.port)) if settings else make(host="127.0.0.1", port=server.port)
        call = call_of(world)
        assert await cache.load(KEY, call) == ()
        assert await cache.save(KEY, (entry(),), 2.0, call)
        await world.close(cache)
    handshake = [[b"AUTH", b"u", b"p"], [b"SELECT", b"3"]]
    name, value = name_of(cache, KEY).encode(), encode((entry(),), KEY, SECRET)
    asked = [[b"GET", name], [b"SET", name, value, b"PX", b"2000"]]
    assert server.commands == (handshake[settings.count("@") ^ 1 :] if settings else []) + asked


def test_nothing_is_in_clear(make: Any, plain: Any) -> None:
    """A key is the prefix and hashes; the repr and a refusal show no password."""
    cache = make(namespace="https://api.example.com/")
    cache.set(KEY.hex(), b"x", 60.0)
    (name,) = plain.scan_iter(match=f"{cache._prefix}*")
    assert name.decode().startswith(cache._prefix)
    assert b"example" not in name
    cache = RedisCache("redis://:swordfish@localhost/0")
    assert "swordfish" not in repr(cache)
    with pytest.raises(TypeError) as refused:
        RedisCache(b"redis://:swordfish@localhost/0")  # type: ignore[arg-type]
    assert "swordfish" not in str(refused.value)


@each_world
async def test_one_secret_for_all_processes(world: World, make: Any) -> None:
    """Caches of one prefix and namespace find the same secret, also once all is cleared, and read one another's entries."""
    one, call = make(secret=None, namespace="a"), call_of(world)
    prefix = one._prefix[:-17]
    two, apart = make(secret=None, namespace="a", prefix=prefix), make(secret=None, namespace="b", prefix=prefix)
    assert await one.prepare(call) == await two.prepare(call) != await apart.prepare(call)
    for cache in (one, apart):
        assert await cache.save(KEY, (entry(),), 60.0, call)
    assert len(await two.load(KEY, call)) == 1
    await world(one.clear if world.is_sync else one.aclear)
    assert await two.load(KEY, call) == ()
    assert len(await apart.load(KEY, call)) == 1
    late = make(secret=None, namespace="a", prefix=prefix)
    assert await late.prepare(call) == one.secret
    for cache in (one, two, apart, late):
        await world.close(cache)


def test_clear_spares_what_is_not_its_own(make: Any, plain: Any) -> None:
    """A prefix with the signs of a pattern is taken as it is written; more keys than a batch are forgotten."""
    cache = make(prefix=f"{PREFIX}[ab]*?\\^:")
    foreign = cache._prefix.replace("[ab]", "a") + "x", cache._prefix.replace("?", "!") + "x"
    for name in foreign:
        plain.set(name, b"x")
    plain.mset({f"{cache._prefix}{number}": b"x" for number in range(1100)})
    cache.clear()
    assert [plain.get(name) for name in foreign] == [b"x", b"x"]
    assert not [name for name in plain.scan_iter(count=1000) if name.startswith(cache._prefix.encode())]
    plain.delete(*foreign)
    cache.clear()


@each_world
async def test_hostile_values(world: World, make: Any, plain: Any) -> None:
    """What was not stored by this cache under this key is a miss."""
    cache, clock = make(), FakeClock()
    call = call_of(world, clock)
    assert await cache.save(KEY, (entry(),), 60.0, call)
    name = name_of(cache, KEY)
    good = plain.get(name)
    flipped = bytearray(good)
    flipped[-1] ^= 1
    for bad in (b"", b"x", os.urandom(200), good[:-1], good[:30], bytes(flipped), good + b"x", encode((entry(),), OTHER, SECRET)):
        plain.set(name, bad)
        assert await cache.load(KEY, call) == ()
    assert cache.get_stats().errors == 8
    plain.delete(name)
    plain.lpush(name, b"x")
    assert await cache.load(KEY, call) == ()
    clock.now += REST
    assert await cache.save(KEY, (entry(),), 60.0, call)
    assert len(await cache.load(KEY, call)) == 1
    await world.close(cache)


@each_world
@pytest.mark.parametrize("name", FALSE)
async def test_false_servers(world: World, make: Any, name: str) -> None:
    """Whatever the server does, it is a miss and nothing stored, within a bounded time, and no exception."""
    with Wrong(FALSE[name]) as server:
        cache, clock = make(server.url, timeout=TIMEOUT), FakeClock()
        call = call_of(world, clock)
        began = time.monotonic()
        assert await cache.load(KEY, call) == ()
        clock.now += REST
        assert not await cache.save(KEY, (entry(),), 60.0, call)
        clock.now += REST
        await cache.drop(KEY, call)
        clock.now += REST
        assert await cache.load(KEY, call) == ()
        assert time.monotonic() - began < 4 * 2 * TIMEOUT + SLACK
        assert cache.get_stats().errors >= 3
        await world.close(cache)


@each_world
async def test_a_server_that_does_not_read(world: World, make: Any) -> None:
    """Storing something large ends in time."""
    with Wrong(deaf) as server:
        cache, call = make(server.url, timeout=TIMEOUT), call_of(world)
        began = time.monotonic()
        assert not await cache.save(KEY, (entry(b"x" * 10**7),), 60.0, call)
        assert time.monotonic() - began < 2 * TIMEOUT + SLACK
        await world.close(cache)


@each_world
async def test_nobody_there(world: World, make: Any) -> None:
    """A server that is down is a miss, and is left alone for a while; so is a host that has no address."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        for settings in ({"host": "127.0.0.1", "port": bound.getsockname()[1]}, {"host": "nowhere.invalid", "port": 1}):
            cache, clock = make(secret=None, **settings), FakeClock()
            call = call_of(world, clock)
            assert await cache.prepare(call) is None
            cache.secret = SECRET
            for tried in (1, 1, 2):
                clock.now += REST * (tried == 2)
                assert await cache.load(KEY, call) == ()
                assert not await cache.save(KEY, (entry(),), 60.0, call)
                assert cache.get_stats().errors == tried
            await world.close(cache)


@each_world
async def test_a_late_answer_is_nobodys(world: World, make: Any) -> None:
    """The answer to a command that was given up does not come to the next one."""
    answers = [0.0, 3 * TIMEOUT, 0.0, 0.0]

    def serve(server: Wrong, connection: Any) -> None:
        for command in server.read(connection):
            server.over.wait(answers.pop(0))
            value = command[1][-1:]
            connection.sendall(b"$1\r\n" + value + b"\r\n")

    with Wrong(serve) as server:
        cache = make(server.url, timeout=TIMEOUT)
        get = cache.get if world.is_sync else cache.aget
        assert await world(get, "a") == b"a"
        with pytest.raises((TimeoutError, redis.TimeoutError)):
            await world(get, "b")
        assert await world(get, "c") == b"c"
        await world(time.sleep if world.is_sync else anyio.sleep, 3 * TIMEOUT)
        assert await world(get, "d") == b"d"
        await world.close(cache)


@each_world
async def test_answers_that_nobody_asked_for(world: World, make: Any) -> None:
    """A connection that says more than it was asked is not used again, or its answer is refused as another key's."""
    with Wrong(
        answering(lambda command: 2 * (b"$%d\r\n%s\r\n" % (len(value := encode((entry(),), KEY, SECRET)), value)))
    ) as server:
        cache, call = make(server.url), call_of(world)
        for key in (KEY, OTHER, KEY, OTHER):
            assert len(await cache.load(key, call)) == (key == KEY)
        await world.close(cache)


@each_world
async def test_what_a_real_server_refuses(world: World, make: Any, private: Server) -> None:
    """Out of memory, a replica and a missing password: a miss, and nothing stored; afterwards it works again."""
    clock = FakeClock()
    cache, call = make(private.url), call_of(world, clock)

    async def stores() -> bool:
        clock.now += REST
        return await cache.save(KEY, (entry(),), 60.0, call)  # type: ignore[no-any-return]

    with redis.Redis.from_url(private.url) as admin:
        admin.config_set("maxmemory", 1)
        admin.config_set("maxmemory-policy", "noeviction")
        assert not await stores()
        admin.config_set("maxmemory", 0)
        assert await stores()
        admin.replicaof("127.0.0.1", 1)
        assert not await stores()
        admin.replicaof("NO", "ONE")
        assert await stores()
        admin.config_set("requirepass", "swordfish")
        await world.close(cache)
        assert not await stores()
        clock.now += REST
        assert await cache.load(KEY, call) == ()
        allowed = make(private.url, password="swordfish")
        assert await allowed.save(KEY, (entry(),), 60.0, call)
        await world.close(allowed)
        admin.config_set("requirepass", "")
    await world.close(cache)


@each_world
async def test_dropped_connections_are_replaced(world: World, make: Any, private: Server) -> None:
    """A server that dropped its connections, or was started anew, costs no miss, or one."""
    clock = FakeClock()
    cache, call = make(private.url), call_of(world, clock)
    assert await cache.save(KEY, (entry(),), 60.0, call)
    with redis.Redis.from_url(private.url) as admin:
        admin.client_kill_filter(_type="normal", skipme=True)
    await world(time.sleep if world.is_sync else anyio.sleep, 0.02)
    assert len(await cache.load(KEY, call)) == 1
    private.stop()
    private.start()
    await cache.save(KEY, (entry(),), 60.0, call)
    clock.now += REST
    assert await cache.save(KEY, (entry(),), 60.0, call)
    assert len(await cache.load(KEY, call)) == 1
    await world.close(cache)


@each_world
async def test_more_callers_than_connections(world: World, make: Any, plain: Any) -> None:
    """They wait for one another, and none of them misses."""
    cache, call = make(max_connections=2, timeout=PATIENCE), call_of(world)
    keys = [b"%16d" % number for number in range(40)]
    for key in keys:
        plain.set(name_of(cache, key), encode((entry(key),), key, SECRET))
    loaded = await world.gather(*(lambda key=key: cache.load(key, call) for key in keys))  # type: ignore[misc]
    assert [one.body for (one,) in loaded] == keys
    await world.close(cache)


@each_world
async def test_no_place_in_time(world: World, make: Any) -> None:
    """Whoever gets no connection in time does without."""
    with Wrong(hung) as server:
        cache = make(server.url, timeout=TIMEOUT, max_connections=1)
        get = cache.get if world.is_sync else cache.aget

        async def one() -> None:
            with pytest.raises((TimeoutError, redis.TimeoutError)):
                await world(get, "a")

        began = time.monotonic()
        await world.gather(*[one] * 4)
        assert time.monotonic() - began < 3 * TIMEOUT + SLACK
        await world.close(cache)


def test_no_place_for_a_thread(make: Any) -> None:
    """A thread waits for a place no longer than for an answer."""
    cache = make(max_connections=1, timeout=TIMEOUT)
    cache._threads.places.acquire()
    with pytest.raises(TimeoutError):
        cache.get("a")
    cache._threads.places.release()
    assert cache.get("a") is None


@pytest.mark.parametrize("read", ["recv", "recv_into"])
def test_one_time_out_for_an_answer(read: str) -> None:
    """From the sending of a command on, whichever way its answer is read."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        punctual = _Punctual(ours, TIMEOUT)
        punctual.sendall(b"abc")
        assert theirs.recv(10) == b"abc"
        theirs.sendall(b"de")
        for _ in range(2):
            assert getattr(punctual, read)(1 if read == "recv" else bytearray(1)) in (b"d", b"e", 1)
        for _ in range(2):
            with pytest.raises(socket.timeout):
                getattr(punctual, read)(1 if read == "recv" else bytearray(1))
        assert punctual.fileno() == ours.fileno()


def busy(cache: RedisCache) -> int:
    """Connections of asyncio that did not come back."""
    (found,) = cache._loops.values()
    assert found.places.statistics().tasks_waiting == 0
    return len(found.client.connection_pool._in_use_connections)


@pytest.mark.parametrize("scope", [False, True], ids=["task", "scope"])
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_cancelled_anywhere(make: Any, warm: bool, scope: bool) -> None:
    """A call cancelled at any step hands its answer to nobody, and loses no connection."""

    async def scenario() -> None:
        cache = make(max_connections=3, timeout=PATIENCE)
        names = [f"{number:032x}" for number in range(4)]
        for name in names:
            await cache.aset(name, name.encode(), 60.0)

        async def reads(name: str) -> None:
            assert await cache.aget(name) == name.encode()

        async def scoped(scope: Any, name: str) -> None:
            with scope:
                await reads(name)

        for steps in range(60):
            if not warm:
                await cache.aclose()
            scopes = [anyio.CancelScope() for _ in names]
            work = [scoped(one, name) if scope else reads(name) for one, name in zip(scopes, names)]
            tasks = [asyncio.ensure_future(one) for one in work]
            for _ in range(steps):
                await asyncio.sleep(0)
            for one, task in zip(scopes[:3], tasks[:3]):
                one.cancel() if scope else task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
            assert results[3] is None
            await asyncio.gather(*map(reads, names), *map(reads, names))
            assert busy(cache) == 0
        await cache.aclose()

    asyncio.run(scenario())


def test_cancelled_while_it_connects(make: Any) -> None:
    """Neither a handshake nor a slow answer that was given up spoils what follows."""

    def serve(server: Wrong, connection: Any) -> None:
        for command in server.read(connection):
            if len(server.commands) % 2:
                time.sleep(0.002)
            connection.sendall(b"+OK\r\n" if command[0] != b"GET" else b"$1\r\n" + command[1][-1:] + b"\r\n")

    async def scenario() -> None:
        cache = make(f"redis://:p@127.0.0.1:{server.port}/3", timeout=PATIENCE, max_connections=2)
        for after in range(20):
            task = asyncio.ensure_future(cache.aget("a"))
            await asyncio.sleep(after * 0.0005)
            task.cancel()
            for name in "bcd":
                assert await cache.aget(name) == name.encode()
            await asyncio.gather(task, return_exceptions=True)
            if after % 2:
                await cache.aclose()
        assert cache._loops == {}

    with Wrong(serve) as server:
        asyncio.run(scenario())


def test_trio_gives_up_in_time(make: Any) -> None:
    """A thread that is stuck holds no task of trio."""

    async def scenario() -> None:
        with trio.move_on_after(TIMEOUT) as scope:
            await cache.aget("a")
        assert scope.cancelled_caught

    with Wrong(hung) as server:
        cache = make(server.url, timeout=0.5)
        began = time.monotonic()
        trio.run(scenario)
        assert time.monotonic() - began < TIMEOUT + SLACK
        cache.close()


def test_many_event_loops(make: Any) -> None:
    """Each has connections of its own, and closes them when it ends; closed ones are forgotten."""
    cache = make()
    cache.set("a", b"x", 60.0)
    results = []

    async def scenario() -> None:
        for _ in range(20):
            results.extend(await asyncio.gather(*[cache.aget("a") for _ in range(3)]))

    threads = [threading.Thread(target=asyncio.run, args=(scenario(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == [b"x"] * 240
    for _ in range(3):
        asyncio.run(scenario())
    assert len(cache._loops) == 1
    (last,) = cache._loops.values()
    assert not any(one.is_connected for one in last.client.connection_pool._available_connections)


def test_an_event_loop_that_nobody_ends_well(make: Any) -> None:
    """`aclose` leaves nothing open, also where the loop is closed without more ado."""
    cache = make()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(cache.aset("a", b"x", 60.0))
    loop.run_until_complete(cache.aclose())
    loop.run_until_complete(cache.aclose())
    loop.close()
    assert cache._loops == {}


def test_a_cache_that_is_forgotten(make: Any, url: str) -> None:
    """Its connections are closed in the event loop that has them."""

    async def scenario() -> None:
        cache = RedisCache(url, secret=SECRET)
        await cache.aget("a")
        client = cache._loops[asyncio.get_running_loop()].client
        (connection,) = client.connection_pool._available_connections
        assert connection.is_connected
        del cache
        for _ in range(100):
            if not connection.is_connected:
                return
            await asyncio.sleep(0.001)
        raise AssertionError("still connected")

    asyncio.run(scenario())


def test_closing_that_hangs(make: Any, monkeypatch: Any) -> None:
    """A client that does not close holds its event loop for a bounded time, and one that fails raises nothing."""

    async def never(self: Any) -> None:
        await asyncio.sleep(PATIENCE)

    async def fails(self: Any) -> None:
        await redis.asyncio.ConnectionPool.disconnect(self.connection_pool)
        raise OSError

    async def scenario() -> None:
        for closing in (never, fails):
            client = redis.asyncio.Redis.from_url(cache_url)
            monkeypatch.setattr(redis.asyncio.Redis, "aclose", closing)
            cache = make(cache_url, async_client=lambda client=client: client, timeout=TIMEOUT)
            with contextlib.suppress(Exception):
                await cache.aget("a")
            await cache.aclose()
            await redis.asyncio.ConnectionPool.disconnect(client.connection_pool)

    with Wrong(answering(b"$-1\r\n")) as server:
        cache_url = server.url
        began = time.monotonic()
        asyncio.run(scenario())
        assert time.monotonic() - began < TIMEOUT + SLACK


@FORKS
def test_fork(make: Any) -> None:
    """A child has connections and places of its own, whatever its parent's threads were doing."""
    cache = make(max_connections=1)
    cache.set("a", b"parent", 60.0)
    cache._threads.places.acquire()  # by a thread that the child will not have
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, from 3.12
        child = os.fork()
    if child == 0:
        failed = 1
        try:
            for _ in range(50):
                cache.set("b", b"child", 60.0)
                assert cache.get("b") == b"child"
            failed = 0
        finally:
            os._exit(failed)
    cache._threads.places.release()
    for _ in range(50):
        assert cache.get("a") == b"parent"
    parents = cache._threads
    parents.pid = child  # so it is seen there
    assert cache.get("a") == b"parent"
    assert cache._threads.client is not parents.client
    assert os.waitpid(child, 0)[1] == 0
    assert cache.get("a") == b"parent"


@each_world
async def test_clients_of_ones_own(world: World, make: Any, url: str, private: Server) -> None:
    """They are used as they are, and left open; asyncio has its twin, or worker threads."""
    client, call = redis.Redis.from_url(url), call_of(world)
    settings: list[Any] = [{}, {"async_client": lambda: redis.asyncio.Redis.from_url(url, max_connections=7)}]
    twin: Any = None
    if world.style == "asyncio":  # on Python 3.9 it can be made only where an event loop is
        twin = redis.asyncio.Redis.from_url(url)
        settings.append({"async_client": twin})
    for given in settings:
        cache = make(client=client, **given)
        assert await cache.save(KEY, (entry(),), 60.0, call)
        assert len(await cache.load(KEY, call)) == 1
        if world.style == "asyncio" and given:
            (found,) = cache._loops.values()
            assert (found.client is twin) == (given["async_client"] is twin)
            assert found.places._value == found.client.connection_pool.max_connections
        await world.close(cache)
    assert client.ping()
    if twin is not None:
        assert twin.connection_pool._available_connections[0].is_connected
        await twin.aclose()
    client.close()


@each_world
async def test_an_async_client_that_will_not_do(world: World, make: Any, url: str) -> None:
    """What a function makes is looked at when it is made: a miss, where asyncio asks for it."""
    made = redis.Redis.from_url(url)
    cache, call = make(url, async_client=lambda: made), call_of(world)
    assert await cache.save(KEY, (entry(),), 60.0, call) == (world.style != "asyncio")
    await world.close(cache)
    made.close()


def test_what_is_refused(url: str, monkeypatch: Any) -> None:
    """A setting that cannot work is refused when the cache is made."""
    text = redis.Redis.from_url(url, decode_responses=True)
    client = redis.Redis.from_url(url)

    async def clients() -> tuple[Any, Any]:
        return redis.asyncio.Redis(), redis.asyncio.Redis(decode_responses=True)

    twin, text_twin = asyncio.run(clients())
    for settings, error, words in (
        ({"client": text}, ValueError, "bytes"),
        ({"client": client, "async_client": text_twin}, ValueError, "bytes"),
        ({"decode_responses": True}, ValueError, "bytes"),
        ({"url": url + "?decode_responses=yes"}, ValueError, "bytes"),
        ({"url": "http://localhost"}, ValueError, "redis://"),
        ({"url": 5}, TypeError, "int"),
        ({"client": twin}, TypeError, "a sync client"),
        ({"client": 5}, TypeError, "a sync client"),
        ({"client": client, "async_client": client}, TypeError, "an asyncio client"),
        ({"async_client": twin}, TypeError, "twin"),
        ({"client": client, "url": url}, TypeError, "beside"),
        ({"client": client, "password": "x"}, TypeError, "beside"),
        ({"socket_timout": 1}, TypeError, "socket_timout"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": None}, TypeError, "timeout"),
        ({"prefix": None}, TypeError, "prefix"),
        ({"namespace": None}, TypeError, "namespace"),
        ({"secret": b"x"}, ValueError, "secret"),
        ({"ttl": -1}, ValueError, "ttl"),
    ):
        with pytest.raises(error, match=words):
            RedisCache(**settings)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    RedisCache(client=client).close()
    with pytest.raises(ImportError, match=r"pip install 'ratewise\[redis\]'"):
        RedisCache()
    client.close()
    text.close()


def test_settings_reach_the_client() -> None:
    """Where to go, how long to wait and what else redis-py takes, in all three forms."""
    cache = RedisCache(host="h", port=1, ttl=600, db=2, username="u", password="p")
    pool = cache._threads.client.connection_pool
    assert {"host": "h", "port": 1, "db": 2, "username": "u", "password": "p"}.items() <= pool.connection_kwargs.items()
    assert (cache.ttl, pool.max_connections) == (600, MOST)
    assert (pool.connection_kwargs["socket_timeout"], pool.connection_kwargs["socket_connect_timeout"]) == (0.25, 0.25)
    assert RedisCache("redis://h:1", 5.0).ttl == 5.0
    for cache in (RedisCache("rediss://h"), RedisCache(ssl=True)):
        assert issubclass(cache._threads.client.connection_pool.connection_class, redis.SSLConnection)


@each_world
async def test_tls(world: World, make: Any, tmp_path: Any) -> None:
    """With a certificate that is trusted it works, with another it is a miss; and one time-out holds for it all."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(trusted := str(tmp_path / "trusted.pem"))
    trustme.CA().cert_pem.write_to_path(other := str(tmp_path / "other.pem"))
    value = encode((entry(),), KEY, SECRET)
    call = call_of(world)
    with Wrong(answering(b"$%d\r\n%s\r\n" % (len(value), value)), tls=context) as server:
        for path, found in ((trusted, 1), (other, 0)):
            cache = make(f"rediss://127.0.0.1:{server.port}", ssl_ca_certs=path, timeout=PATIENCE)
            assert len(await cache.load(KEY, call)) == found
            await world.close(cache)
    with Wrong(deaf, tls=context) as server:
        cache = make(f"rediss://127.0.0.1:{server.port}", ssl_ca_certs=trusted, timeout=TIMEOUT)
        began = time.monotonic()
        assert not await cache.save(KEY, (entry(b"x" * 10**7),), 60.0, call)
        assert time.monotonic() - began < 3 * TIMEOUT + SLACK
        await world.close(cache)


def test_time_outs_of_ones_own(make: Any) -> None:
    """`socket_timeout=None` takes the bound away in sync code: it is the user's to say."""
    with Wrong(answering(b"$-1\r\n")) as server:
        cache = make(server.url, socket_timeout=None)
        assert cache.get("a") is None
        cache.close()


def test_cluster(make: Any) -> None:
    """The clients of a cluster serve as well: every node is cleared, and keys of all slots in one go."""

    async def scenario() -> None:
        for name in names:
            await cache.aset(name, b"x", 60.0)
            assert await cache.aget(name) == b"x"
        await cache.aclear()
        assert [await cache.aget(name) for name in names] == [None] * len(names)
        await cache.aclose()

    names = [f"{number:032x}" for number in range(20)]
    with Server.running("--cluster-enabled", "yes") as server:
        with redis.Redis(port=server.port) as admin:
            admin.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
            until = time.monotonic() + PATIENCE
            while admin.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                assert time.monotonic() < until
                time.sleep(0.01)
        client = redis.RedisCluster(host="127.0.0.1", port=server.port)
        cache = make(client=client, async_client=lambda: redis.asyncio.RedisCluster(host="127.0.0.1", port=server.port))
        for name in names:
            cache.set(name, b"x", 60.0)
        cache.clear()
        assert [cache.get(name) for name in names] == [None] * len(names)
        asyncio.run(scenario())
        client.close()


def test_connections_that_are_made_otherwise() -> None:
    """Of a redis-py to come, whose sockets cannot be reached: they are used as they are."""

    class Other:
        pass

    assert _punctual(Other) is Other


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "redis://:hunter2half/abc@h:6379/0",
            "its port is none, or what is special in its password is not percent-encoded), not 'redis://REDACTED@h:6379/0'",
        ),
        ("redis://h:99999", "its port is none, or"),
        ("http://:hunter2@h", "must specify one of the following schemes"),
        ("redis://h/0?socket_timeout=x&password=hunter2", "'socket_timeout' in connection URL"),
    ],
)
def test_bad_urls(url: str, said: str) -> None:
    """They are refused by what is wrong with them, without the password or a half of it."""
    with pytest.raises(ValueError, match="url must be one that redis-py takes") as raised:
        RedisCache(url)
    assert said in str(raised.value)
    assert "hunter2" not in "".join(traceback.format_exception(raised.type, raised.value, None))
