"""A wire that answers as a script says: what the scripted transports of both HTTP libraries share."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Callable, NamedTuple

from .._core.clock import Clock
from .._core.own_clock import OwnClock
from .._util.packages import OURS, package_of
from .._validation import clock as checked_clock
from .._validation import described, full_name, refusal, seconds
from .differences import difference, listed, named, shown
from .patterns import ANY, patterns
from .server import Reply

LIBRARIES = {"httpx": f"{OURS}.testing", "httpx2": f"{OURS}.httpx2.testing"}
"""For each HTTP library, the package that has the transports for it."""

LOWEST_STATUS, HIGHEST_STATUS = 100, 599
"""The status codes of HTTP (RFC 9110, section 15)."""


class Delayed(NamedTuple):
    """A step that begins late."""

    seconds: float
    step: Any


def delayed(seconds_: float, step: Any) -> Delayed:
    """Return a step that waits this many seconds, of at least 0, before it answers as `step` does.

    The request's read time-out applies: if it is shorter, `ReadTimeout` is raised when it is over. Raises `TypeError` or
    `ValueError` if the seconds are not a number of seconds.
    """
    return Delayed(seconds("seconds", seconds_), step)


class Script:
    """What answers each request: rules first, then steps in order, then `otherwise`. For threads and tasks.

    `module`: the HTTP library.
    """

    _asynchronous: bool = False
    _Body: Any = None
    """A subclass of the library's ByteStream, so that RateWise treats bodies as those from a server. None: as those in memory."""

    def __init__(self, module: Any, script: tuple[Any, ...], otherwise: Any, clock: Clock | None) -> None:
        self._module = module
        self._own_clock = OwnClock(checked_clock(clock))
        self._lock = threading.Lock()
        steps = list(script)
        rules: Mapping[Any, Any] = steps.pop(0) if steps and isinstance(steps[0], Mapping) else {}
        keys = patterns("rule", rules)
        self._rules = [(key, self._checked(f"step of rule {named(key)}", value)) for key, value in zip(keys, rules.values())]
        self._otherwise = [] if otherwise is None else [(ANY, self._checked("otherwise", otherwise))]
        self.steps = self._checked("step", steps)
        """The steps left, in order, without those of rules. The test may change it."""
        self._used = 0
        self.requests: list[Any] = []
        """A copy of each request as it was received, in order of arrival; its body has been read."""
        self.closed = 0
        """How often the transport was closed."""

    def _checked(self, setting: str, given: Any) -> Any:
        """Return steps to be used up in order as a list, or the one step for all requests, if they are steps."""
        if not isinstance(given, list) and type(given) is not tuple:  # a Reply is a tuple too
            self._check(self._module, setting, given)
            return given
        for number, one in enumerate(given, 1):
            self._check(self._module, f"{setting} {number}", one)
        return list(given)

    def _check(self, module: Any, setting: str, given: Any) -> None:
        """Raise `TypeError` or `ValueError` for what is no step."""
        while isinstance(given, Delayed):
            given = given.step
        kind = given if isinstance(given, type) else type(given)
        if issubclass(kind, BaseException) or kind.__name__ == "Response":
            others = LIBRARIES.keys() - {module.__name__}
            if others & {package_of(base.__module__) for base in kind.__mro__}:
                raise TypeError(f"{setting} must be of {module.__name__}, not of the other library: {full_name(kind)}")
        if isinstance(given, int) and not isinstance(given, bool):
            if not LOWEST_STATUS <= given <= HIGHEST_STATUS:
                raise ValueError(refusal(setting, given, f"a status code from {LOWEST_STATUS} to {HIGHEST_STATUS}"))
            return
        if inspect.iscoroutinefunction(given) and not self._asynchronous:
            raise TypeError(refusal(setting, given, f"a plain function: coroutine functions are for Async{type(self).__name__}"))
        is_function = callable(given) and not isinstance(given, type)
        if not (is_function or issubclass(kind, BaseException) or isinstance(given, (Reply, module.Response))):
            allowed = f"a status code, a Reply, an {module.__name__}.Response, an exception, `delayed(...)` or a function"
            raise TypeError(refusal(setting, given, f"{allowed} of the request that returns one of these"))

    def assert_sent(self, *expected: Any, others: bool = False) -> None:
        """Check that the requests received are those expected, in this order, and no others.

        Each is a pattern, as of rules: `"GET /users"`, `"/orders/*"`, `"https://other.example/*"`, `"POST"` or a function of the
        request; or a pair of a pattern and a body: bytes, a string, or else what the body is as JSON. `others=True`: other
        requests may have come before, between and after them.

        Raises `AssertionError` with the difference, line by line, in which secrets are masked; `TypeError` or `ValueError` for
        what is no pattern.
        """
        __tracebackhide__ = True  # pytest shows the line of the test
        found = difference(patterns("expected request", expected), list(self.requests), others)
        if found is not None:
            raise AssertionError(found)

    async def _answer(self, request: Any, via: Callable[..., Any]) -> Any:
        """Return the response to a request, or raise what its step says. `via`: that of a `Runtime`."""
        module = self._library_of(request)
        content = await via(_read, _aread, request.stream)
        received = self._received(module, request, content)
        fitting = [step for pattern, step in self._rules if pattern.fits(received)]
        with self._lock:
            before = len(self.requests)
            self.requests.append(received)
            left = len(self.steps)
            step = self._next([*fitting, self.steps, *(step for _, step in self._otherwise)])
            self._used += left - len(self.steps)
        if step is None:
            raise AssertionError(self._exhausted(received, before))
        outcome = await self._perform(module, received, step, via)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _library_of(self, request: Any) -> Any:
        if not isinstance(request, self._module.Request):
            ours, theirs = self._module.__name__, package_of(type(request).__module__)
            hint = f": use the one of `{LIBRARIES[theirs]}`" if theirs in LIBRARIES else ""
            raise TypeError(f"this {type(self).__name__} handles {ours} requests, not {described(request)}{hint}")
        return self._module

    def _received(self, module: Any, request: Any, content: bytes) -> Any:
        """Return what is recorded: a copy, since the caller may change the request and may not notice that its body was read."""
        stream, extensions = module.ByteStream(content), request.extensions
        received = module.Request(request.method, request.url, headers=request.headers, stream=stream, extensions=extensions)
        received.read()
        return received

    @staticmethod
    def _next(choices: Iterable[Any]) -> Any:
        """Return the next step; None if none is left. A list is used up in order, a single step is for every request."""
        for steps in choices:
            if not isinstance(steps, list):
                return steps
            if steps:
                return steps.pop(0)
        return None

    def _exhausted(self, received: Any, before: int) -> str:
        reasons = []
        if self._rules:
            rules = ", ".join(f"{named(pattern)}{'' if step else ' (used up)'}" for pattern, step in self._rules)
            reasons.append(f"no rule with a step left fits ({rules})")
        if self._used or not self._rules:
            reasons.append(f"no step is left ({self._used} used)")
        sent = f"received before it:{listed(self.requests[:before])}" if before else "it is the first request"
        return f"unexpected request {shown(received)}: {', and '.join(reasons)}; {sent}"

    async def _perform(self, module: Any, received: Any, step: Any, via: Callable[..., Any]) -> Any:
        """Return the response of a step, a new one, or its exception."""
        left = received.extensions.get("timeout", {}).get("read")
        while True:
            self._check(module, "step", step)
            if isinstance(step, Delayed):
                waits = step.seconds if left is None else min(step.seconds, left)
                clock = self._own_clock.clock
                await via(clock.sleep, clock.asleep, waits)
                if waits < step.seconds:
                    return module.ReadTimeout("The read operation timed out", request=received)
                left, step = None if left is None else left - waits, step.step
            elif isinstance(step, type):
                of_request = issubclass(step, module.RequestError)
                return step(f"{step.__name__} of the script", request=received) if of_request else step()
            elif isinstance(step, BaseException):
                return step
            elif isinstance(step, (int, Reply, module.Response)):
                return self._response(module, step)
            else:
                step = step(received)
                if self._asynchronous and inspect.isawaitable(step):
                    step = await step

    def _response(self, module: Any, step: Any) -> Any:
        """Return a new response, whose body has not been read, as one from a server."""
        if isinstance(step, module.Response):
            if isinstance(step.stream, module.ByteStream):
                body = self._body(module, b"".join(step.stream))
                return module.Response(step.status_code, headers=step.headers, stream=body, extensions={**step.extensions})
            if step.is_closed:
                raise AssertionError("a Response with a stream is for one request: pass a function that makes a new one")
            return step
        reply = step if isinstance(step, Reply) else Reply(step, body=b"")
        body = self._body(module, reply.body if reply.has_body else b"")
        return module.Response(reply.status, headers=reply.framed(), stream=body)

    def _body(self, module: Any, content: bytes) -> Any:
        return (self._Body or module.ByteStream)(content)

    def __repr__(self) -> str:
        rules = f", {len(self._rules)} rules" if self._rules else ""
        return f"<{type(self).__name__}: {len(self.requests)} requests received{rules}, {len(self.steps)} steps left>"


def _read(stream: Any) -> bytes:
    return b"".join(stream)


async def _aread(stream: Any) -> bytes:
    import anyio.lowlevel

    content = b"".join([chunk async for chunk in stream])
    await anyio.lowlevel.checkpoint()  # as a real transport does: other tasks run meanwhile
    return content
