"""A real local server that enforces rate limits, and computes how fast a client could have been."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from .. import _validation
from .._core.clock import Clock
from .._http.credentials import credential
from .limits import Limit
from .patterns import Pattern
from .responder import Responder
from .server import LocalServer, Received, Reply

if TYPE_CHECKING:
    import ssl

    from .families import Tells


class Entry(NamedTuple):
    """One line of a server's log."""

    at: float
    """Seconds from the arrival of the first request to that of this one."""
    method: str
    path: str
    """Without the query."""
    who: str
    """What `by` returned, or a hash of the credential, which is another one in each process; "" without `by`."""
    status: int
    accepted: bool
    """Whether the request was within its limit, or under none."""


class LimitedServer(LocalServer):
    """A server on 127.0.0.1 that enforces rate limits: `with LimitedServer(FixedWindow(10, per=1)) as server:`.

    - `limit`: a limit for all requests, or limits by route. A route is a pattern of a path, with or without a method before it:
      "/search", "POST /orders*", "*". The first one that matches applies; a request that none matches is under no limit. The
      same limit object under several routes is shared by them. Limits are copied: those that are given stay unused.
    - `tells`: what answers say of the limit: the name of a header family ("x-ratelimit", "github", "openai"...), a function of a
      `Quota` that returns header fields or a whole `Reply`; None: nothing.
    - `by`: what is counted apart: "credential": each value of `Authorization` or of an API key header; a function of the
      `Received` request: each string that it returns; None: nothing, all requests count together.
    - `latency`: seconds from the arrival of a request, when it is counted, to its answer, in addition to the time that a
      `ConcurrencyLimit` takes. `refusal_latency`: the same for refusals; None: as `latency`.
    - `refusal`: the status of refusals; None: that of the family, 429 for most.
    - `sheds`: the fraction of requests, 0 to 1, that get a 503 at random and are not counted. `seed`: of these random choices.
    - `outages`: pairs of seconds since the first request, (begin, end): periods in which every request gets a 503.
    - `date_skew`: seconds by which the server's wall clock is fast; negative: slow.
    - `clock`: the time; None: the real time. `tls`: as of `LocalServer`.

    `url` is the base URL, `received` has the requests, `log` an `Entry` for each, in the order in which they were counted.
    Raises `ValueError` or `TypeError` for a setting that is not allowed.
    """

    def __init__(
        self,
        limit: Limit | Mapping[str, Limit],
        *,
        tells: str | Tells | None = "x-ratelimit",
        by: str | Callable[[Received], str] | None = None,
        latency: float = 0.0,
        refusal_latency: float | None = None,
        refusal: int | None = None,
        sheds: float = 0.0,
        seed: int = 0,
        outages: Sequence[tuple[float, float]] = (),
        date_skew: float = 0.0,
        clock: Clock | None = None,
        tls: ssl.SSLContext | bool | None = None,
    ) -> None:
        super().__init__(self._respond, tls=tls)
        self._routes = [_route(*each) for each in _by_route(limit).items()]
        self._responder = Responder(tells, refusal=refusal, sheds=sheds, seed=seed, outages=outages, date_skew=date_skew)
        self._by = _identifier(by)
        self._latency = _validation.seconds("latency", latency)
        self._refusal_latency = latency if refusal_latency is None else _validation.seconds("refusal_latency", refusal_latency)
        self._clock = _validation.clock(clock) or Clock()
        self._counting = threading.Lock()
        self._began: float | None = None
        self._epoch = 0.0
        self._used: dict[tuple[int, str], Limit] = {}
        self.log: list[Entry] = []

    @classmethod
    @contextmanager
    def in_process(cls, *args: Any, **settings: Any) -> Iterator[RemoteServer]:
        """Run a server with these arguments in a process of its own: its answers are on time, however busy the client is.

        `url`, `accepted`, `log` and the other attributes are those of a `LimitedServer`. The arguments must be picklable, and a
        script needs `if __name__ == "__main__":`, as for any process of `multiprocessing`.
        """
        cls(*args, **settings)  # raises here what is not allowed
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, args, settings), daemon=True)
        process.start()
        theirs.close()
        try:
            yield RemoteServer(ours)
        finally:
            ours.close()
            process.join()
            process.close()

    @property
    def limits(self) -> list[Limit]:
        """The limits in use, with their counts: one for each limit and value of `by` that a request has met."""
        with self._counting:
            return [*self._used.values()]

    @property
    def accepted(self) -> int:
        """The number of requests that were accepted."""
        return sum(entry.accepted for entry in self.log)

    @property
    def refused(self) -> int:
        """The number of requests that exceeded a limit."""
        return sum(limit.refused for limit in self.limits)

    @property
    def failed(self) -> int:
        """The number of requests that were shed or came in an outage."""
        return self._responder.failed

    @property
    def least_seconds(self) -> float:
        """The least number of seconds in which what was accepted can be accepted: the physical limit of this run."""
        return max((self._fastest(limit, limit.accepted) for limit in self.limits), default=0.0)

    @property
    def efficiency(self) -> float:
        """`least_seconds` as a part of the time from the first request to the last accepted one, 0 to 1; 1: the physical limit.

        For runs that are longer than a window: one that fits into the first burst could have taken no time at all.
        """
        took = max((entry.at for entry in self.log if entry.accepted), default=0.0)
        return min(1.0, self.least_seconds / took) if took else 1.0

    def fastest(self, n: int) -> float:
        """Return the least number of seconds in which `n` requests can be accepted by an unused server, without latency.

        Raises `ValueError` if the server has several limits. With `by`, the requests are those of one value.
        """
        limits = {id(limit): limit for _, limit in self._routes}
        if len(limits) != 1:
            raise ValueError(f"fastest() needs a server with one limit, and this one has {len(limits)}: ask each limit")
        (limit,) = limits.values()
        return self._fastest(limit, n)

    def _fastest(self, limit: Limit, n: int) -> float:
        return limit.copy(epoch=self._epoch or self._clock.time()).fastest(n, outages=self._responder.outages)

    def _respond(self, received: Received) -> Reply:
        who, path = self._by(received), received.target.partition("?")[0]
        with self._counting:
            now = self._clock.monotonic()
            if self._began is None:
                self._began, self._epoch = now, self._clock.time()
            at = now - self._began
            answer = self._responder.answer(self._limit(received.method, path, who), at)
            self.log.append(Entry(at, received.method, path, who, answer.status, answer.accepted))
        wait = answer.seconds + (self._latency if answer.accepted else self._refusal_latency) + now - self._clock.monotonic()
        if wait > 0:
            self._pause(self._clock, wait)
        return Reply(answer.status, tuple(answer.headers), answer.body)

    def _limit(self, method: str, path: str, who: str) -> Limit | None:
        """Return the limit that applies to a request."""
        for pattern, limit in self._routes:
            if pattern.fits_target(method, path):
                key = id(limit), who
                if key not in self._used:
                    self._used[key] = limit.copy(epoch=self._epoch)
                return self._used[key]
        return None


class RemoteServer:
    """A `LimitedServer` in another process; reading an attribute asks it there."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        try:
            self.url: str = pipe.recv()
            """The base URL."""
        except EOFError:
            problem = 'the process of the server ended at once: a script that starts one needs `if __name__ == "__main__":`'
            raise RuntimeError(problem) from None

    def __getattr__(self, name: str) -> Any:
        """Return the value of an attribute of the server: `accepted`, `refused`, `failed`, `log`, `limits`, `efficiency`..."""
        if name.startswith("_"):
            raise AttributeError(name)
        self._pipe.send(name)
        return self._pipe.recv()


def serve(pipe: Any, args: Sequence[Any], settings: Mapping[str, Any]) -> None:
    """Run a server, and answer what a `RemoteServer` asks at the other end of a pipe, until that is closed."""
    with LimitedServer(*args, **settings) as server:
        pipe.send(server.url)
        while True:
            try:
                name = pipe.recv()
            except EOFError:
                return
            pipe.send(getattr(server, name))


def _by_route(limit: Any) -> Mapping[str, Limit]:
    if isinstance(limit, Limit):
        return {"*": limit}
    allowed = "a limit or a mapping from routes to limits"
    if not isinstance(limit, Mapping):
        raise TypeError(_validation.refusal("limit", limit, allowed))
    if not limit:
        raise ValueError(_validation.refusal("limit", limit, allowed))
    return limit


def _route(route: str, limit: Limit) -> tuple[Pattern, Limit]:
    if not isinstance(limit, Limit):
        raise TypeError(_validation.refusal(f"the limit of {route!r}", limit, "a limit, such as FixedWindow(10, per=1)"))
    if not isinstance(route, str) or "://" in route:
        raise ValueError(_validation.refusal("a route", route, '"/path", "POST /path*", "POST" or "*"'))
    return Pattern("a route", route), limit


def _identifier(by: Any) -> Callable[[Received], str]:
    """Return the function that tells by what a request is counted."""
    if by is None:
        return lambda received: ""
    if by == "credential":
        return lambda received: credential((name.encode(), name.encode(), value.encode()) for name, value in received.headers)
    if not callable(by):
        raise TypeError(_validation.refusal("by", by, '"credential", None or a plain function of the request'))
    function: Callable[[Received], str] = _validation.function("by", by, "the request")
    return function
