"""Forked processes: everything begins with free locks and nothing in flight, and the parent's connections stay the parent's."""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from ratewise import Bulkhead, CircuitBreaker, InMemoryCache, RateLimiter
from ratewise._core import forks
from ratewise._core.background import Background, _Job
from ratewise._core.clock import Waiter
from ratewise._core.stats import Counts
from ratewise.testing.server import LocalServer, Received, Reply
from tests.bulkhead.bulkheads import ORIGIN
from tests.kit.children import in_child
from tests.kit.marks import FORKS
from tests.kit.patience import PATIENCE
from tests.kit.wire import Scripted
from tests.kit.world import World, only

pytestmark = [FORKS, pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")]


class Shared:
    """Everything that clients may share."""

    def __init__(self) -> None:
        self.parts: dict[str, Any] = {
            "bulkhead": Bulkhead(4, max_queue=1000),
            "rate_limiter": RateLimiter(concurrency=5),
            "circuit_breaker": CircuitBreaker(),
            "cache": InMemoryCache(max_size=5),
        }

    def client(self, world: World, server: LocalServer) -> Any:
        return world.RateWiseClient(server.url, trust_env=False, verify=False, max_retries=0, **self.parts)


@contextmanager
def busy(client: Any, number: int) -> Iterator[list[int]]:
    """Have threads send through a client, as fast as they can; count what each has sent."""
    going, errors, sent = True, [], [0] * number

    def work(index: int) -> None:
        try:
            while going:
                assert client.get(f"/{sent[index] % 7}/{index}").status_code == 200
                sent[index] += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield sent
    finally:
        going = False
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert not errors


def secure(world: World, server: LocalServer, **settings: Any) -> Any:
    return world.RateWiseClient(server.url, trust_env=False, verify=server.verify, **settings)


def answer(received: Received) -> Reply:
    fresh = "max-age=60" if received.target < "/3" else "no-store"
    return Reply(200, [("Cache-Control", fresh)], received.target.encode())


@only("sync")
@pytest.mark.timeout(240)
def test_forks_under_busy_threads(world: World) -> None:
    """Fifty forks (a hundred with both libraries) while 16 threads send: each child sends over the old and a new client."""
    shared = Shared()
    with LocalServer(answer) as server, shared.client(world, server) as client:

        def child() -> None:
            for one in (client, shared.client(world, server)):
                for path in ("/6/child", "/1/child"):
                    assert one.get(path).text == path
            assert shared.parts["bulkhead"].get_state() == {"in_flight": 0, "waiting": 0}

        with busy(client, 16) as sent:
            for _ in range(50):
                before = sum(sent)
                assert in_child(child) == 0
                while sum(sent) == before:
                    threading.Event().wait(0.001)
        assert shared.parts["bulkhead"].get_state() == {"in_flight": 0, "waiting": 0}


@only("sync")
def test_a_child_has_all_places(world: World) -> None:
    """What is in flight in the parent occupies nothing in a child, which may close the response that its own thread had open."""
    shared = Shared()
    with LocalServer(answer) as server, shared.client(world, server) as client, ExitStack() as stack:
        held = [stack.enter_context(client.stream("GET", f"/7/{number}")) for number in range(4)]
        assert shared.parts["bulkhead"].get_state() == {"in_flight": 4, "waiting": 0}

        def child() -> None:
            with ExitStack() as others:
                for number in range(4):
                    others.enter_context(client.stream("GET", f"/7/{number}"))
                for one in held:
                    one.close()
                assert shared.parts["bulkhead"].get_state() == {"in_flight": 4, "waiting": 0}
            assert shared.parts["bulkhead"].get_state() == {"in_flight": 0, "waiting": 0}
            gc.collect()

        assert in_child(child) == 0
        assert [one.read() for one in held] == [b"/7/0", b"/7/1", b"/7/2", b"/7/3"]


@only("sync")
@pytest.mark.parametrize("http2", [False, True])
def test_the_parents_connection_survives(world: World, http2: bool) -> None:
    """A connection that is kept alive under TLS serves the parent after its children have sent and ended; theirs are new."""
    with ExitStack() as stack:
        server = stack.enter_context(LocalServer(answer, tls=True, http2=http2))
        client = stack.enter_context(secure(world, server, http2=http2))
        for number in range(3):
            assert client.get("/6").text == "/6"
            assert server.connections == 1 + number
            assert in_child(lambda: client.get("/6").raise_for_status() and gc.collect()) == 0
            assert server.connections == 2 + number


@only("sync")
def test_a_client_that_its_child_closes(world: World) -> None:
    """Closing the inherited client, too, leaves the parent's connection open."""
    with LocalServer(answer, tls=True) as server, secure(world, server) as client:
        assert client.get("/6").text == "/6"
        assert in_child(client.close) == 0
        assert client.get("/6").text == "/6"
        assert server.connections == 1


@only("sync")
def test_the_pool_after_a_fork(world: World) -> None:
    """A child has an empty pool with a free lock. A wire of the user's own is left as it is."""

    class Own(world.HTTPTransport):  # type: ignore[name-defined, misc]
        pass

    with LocalServer(answer) as server:
        for kind, renewed in ((world.HTTPTransport, True), (Own, False)):
            wire = kind(trust_env=False)
            transport = world.ratewise.RetryTransport(wire)
            outer = world.ratewise.BulkheadTransport(transport)
            pool, request = wire._pool, world.httpx.Request("GET", f"{server.url}/6")
            outer.handle_request(request).read()
            assert len(pool.connections) == 1
            open_one = outer.handle_request(request)
            with pool._optional_thread_lock:
                for chain in (outer, transport):
                    if chain in list(forks._renewed.values()):
                        chain._after_fork()
                assert (wire._pool is not pool) == renewed
            if renewed:
                assert (wire._pool.connections, wire._pool._requests) == ([], [])
                assert type(wire._pool) is type(pool)
                assert outer.handle_request(request).read() == b"/6"
                open_one.close()  # of the old pool
            else:
                assert open_one.read() == b"/6"
            outer.close()


def test_what_was_learnt_stays() -> None:
    """A child knows what its parent has learnt, but nothing of its requests."""
    breaker, limiter, bulkhead = CircuitBreaker(1, recovery_timeout=1.0, jitter=0), RateLimiter(), Bulkhead(1)
    permit = breaker._admit("key", 0.0)
    breaker._report("key", permit, True, 0.0)  # type: ignore[arg-type]
    probe = breaker._admit("key", 5.0)
    ticket, queued = (limiter._queue.enter("key", 0.0, 10, route="/users") for _ in range(2))
    held, waiting = (bulkhead._enter(ORIGIN, 0.0) for _ in range(2))
    assert ticket is not None
    ticket.state.meter.restore({"rate": 3.0})
    for thing in (breaker, breaker._circuits, limiter._queue, limiter._gates, bulkhead._queue, bulkhead._queue.states):
        assert thing in list(forks._renewed.values())
        thing._after_fork()
    assert breaker.get_state("key", now=5.0)["state"] == "half_open"
    breaker._report("key", probe, True, 5.0)  # type: ignore[arg-type]  # of a probe that is none here
    assert breaker.get_state("key", now=5.0)["state"] == "half_open"
    gate = limiter._gates["key"]
    lane = gate.lanes["/users"]
    assert (lane.meter.rate, lane.available(0.0), gate.flying, lane.queue) == (3.0, 1, 0, deque())
    pairs: Any = (limiter._queue, ticket), (limiter._queue, queued), (bulkhead._queue, held), (bulkhead._queue, waiting)
    for queue, one in pairs:
        queue.leave(one, 0.0)
    assert lane.available(0.0) == 1
    assert bulkhead.get_state() == {"in_flight": 0, "waiting": 0}
    assert bulkhead._enter(ORIGIN, 0.0).admitted  # type: ignore[union-attr]


async def test_the_cookies_of_a_client(world: World) -> None:
    """A child's client keeps its cookies, under a free lock."""
    client = world.RateWiseClient(transport=Scripted(), cookies={"name": "value"})
    lock = client.cookies.jar._cookies_lock
    with lock:
        client._after_fork()
    assert client.cookies.jar._cookies_lock is not lock
    assert dict(client.cookies) == {"name": "value"}
    await world.close(client)


def test_work_in_the_background() -> None:
    """A child does not wait for threads that it does not have."""
    background, go_on = Background(), Waiter()
    background.spawn_thread(lambda: go_on.wait(PATIENCE) and None)
    assert background._jobs
    background._after_fork()
    assert not background._jobs
    go_on.wake()


def test_work_that_ends_at_once() -> None:
    """Work that has ended before it is noted is not noted."""
    background, job = Background(), _Job(lambda: None, Waiter())
    background._ended(job)
    background._add(job)
    assert not background._jobs


def test_counts() -> None:
    """The counts of a client go on from those of the parent."""
    counts = Counts()
    counts.record(200, 1)
    with counts._lock:
        counts._after_fork()
        counts.record(None, 0)
    assert counts.snapshot(0).total_requests == 2


def test_each_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in one object does not keep the others from being renewed, and objects that are gone are forgotten."""

    class Thing(dict):  # type: ignore[type-arg]  # not hashable
        renewed = 0

        def _after_fork(self) -> None:
            self.renewed += 1
            raise RuntimeError("broken")

    things = [Thing(), Thing()]
    monkeypatch.setattr(forks, "_renewed", type(forks._renewed)())
    for thing in things:
        forks.renew_after_fork(thing)
    with pytest.raises(RuntimeError, match="broken"):
        forks._renew_all()
    assert [thing.renewed for thing in things] == [1, 1]
    things.clear()
    del thing
    gc.collect()
    assert not forks._renewed


def test_a_fork_with_a_held_lock() -> None:
    """A child does not wait for a lock that a thread of its parent holds."""
    bulkhead, limiter, breaker = Bulkhead(), RateLimiter(concurrency=1), CircuitBreaker(1)
    tables = bulkhead._queue.states, limiter._gates, breaker._circuits
    holding, release = Waiter(), Waiter()

    def hold() -> None:
        with ExitStack() as stack:
            for table in tables:
                stack.enter_context(table.lock)
            holding.wake()
            release.wait(PATIENCE)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert holding.wait(PATIENCE)

    def child() -> None:
        assert bulkhead._enter(ORIGIN, 0.0)
        assert limiter._queue.enter("key", 0.0, 10)
        breaker.force_open()

    assert in_child(child) == 0
    release.wake()
    thread.join(PATIENCE)
