"""The requests of a soak: what each one is, what may come of it, and the tasks and threads that send them."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import httpx
import httpx2

import ratewise
import ratewise.httpx2
from ratewise import exchange_of, options
from ratewise.exceptions import RateWiseError
from tests.soak.server import word_of

FAULTS = """
500 502 503 429 429:0.01 503:0.01 malformed malformed:429 disconnect reset truncate reset-body hang hang-body drip:0.002
slow-head:0.02 garble not-http bad-header giant-head
""".split()
"""What goes wrong, each as likely as the others."""

MAX_ATTEMPTS = 4
ERRORS = (httpx.TransportError, httpx.DecodingError, httpx2.TransportError, httpx2.DecodingError, RateWiseError)
"""What a request may raise."""


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    keyed: bool
    how: str
    """"read", "stream" or "leave": whether the client reads the body, or its caller, or nobody."""

    @property
    def unique(self) -> bool:
        return "/shared/" not in self.path

    @property
    def extensions(self) -> Any:
        return options(idempotency_key=self.path) if self.keyed else {}


class Traffic:
    """Draws requests, and records what came of them: counts in memory, one line for each in a file, so that memory stays flat."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a")
        self._lock = threading.Lock()
        self._numbers = count()
        self.outcomes: Counter[str] = Counter()
        self.violations: list[str] = []

    def draw(self, chance: random.Random) -> Asked:
        how = chance.choice(["read"] * 6 + ["stream", "stream", "leave"])
        if chance.random() < 0.1:
            return Asked("GET", f"/200/shared/{chance.randrange(20)}", False, how)
        with self._lock:
            number = next(self._numbers)
        words = ["200"]
        while chance.random() < 0.25:
            words.insert(0, chance.choice(FAULTS))
        lane = "limited" if any("429" in word or word.startswith("503") for word in words) else f"lane{number % 4}"
        method, keyed = chance.choice([("GET", False)] * 5 + [("PUT", False), ("POST", False), ("POST", False), ("POST", True)])
        return Asked(method, f"/{'+'.join(words)}/{lane}/{number}", keyed, how)

    def ended(self, asked: Asked, outcome: str, attempts: int = 0) -> None:
        with self._lock:
            self.outcomes[outcome] += 1
            if asked.unique:
                self._file.write(f"{asked.path}\t{outcome}\t{attempts}\n")

    def violated(self, text: str) -> None:
        with self._lock:
            self.violations.append(text)

    def answered(self, asked: Asked, response: Any, body: bytes | None) -> None:
        """Check that a response is that of its own request, as the server sent it."""
        attempts = exchange_of(response).attempts
        if body is not None:
            said = json.loads(body)
            status = word_of(asked.path, said["request"]).status or 200
            right = said["path"] == asked.path and (not asked.unique or status == response.status_code)
            if not right:
                self.violated(f"{asked} got {response.status_code} with {body!r}")
        self.ended(asked, "response" if response.status_code < 400 else "error status", attempts)

    def failed(self, asked: Asked, error: BaseException) -> None:
        if isinstance(error, ERRORS):
            exchange = exchange_of(error)
            self.ended(asked, type(error).__name__, 0 if exchange is None else exchange.attempts)
        else:
            self.ended(asked, "other")
            self.violated(f"{asked} raised {error!r}")

    def close(self) -> None:
        self._file.close()


class Gate:
    """Lets the workers pause together, so that what they hold can be counted."""

    def __init__(self, workers: int) -> None:
        self._workers, self._changed = workers, threading.Condition()
        self._shut, self._paused, self.over = False, 0, False

    @property
    def shut(self) -> bool:
        return self._shut

    def enter(self) -> None:
        with self._changed:
            self._paused += 1
            self._changed.notify_all()

    def leave(self) -> None:
        with self._changed:
            self._paused -= 1

    def wait_open(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._shut)

    def close(self, seconds: float) -> bool:
        """Pause all workers; return whether they did within so many seconds."""
        with self._changed:
            self._shut = True
            return self._changed.wait_for(lambda: self._paused == self._workers, seconds)

    def open(self, *, over: bool = False) -> None:
        with self._changed:
            self._shut, self.over = False, over
            self._changed.notify_all()


def send(client: Any, asked: Asked, traffic: Traffic) -> None:
    """Send one request with a sync client."""
    try:
        if asked.how == "read":
            response = client.request(asked.method, asked.path, extensions=asked.extensions)
            traffic.answered(asked, response, response.content)
        else:
            with client.stream(asked.method, asked.path, extensions=asked.extensions) as response:
                body = response.read() if asked.how == "stream" else None
            traffic.answered(asked, response, body)
    except Exception as error:
        traffic.failed(asked, error)


async def asend(client: Any, asked: Asked, traffic: Traffic) -> None:
    """Send one request with an async client."""
    try:
        if asked.how == "read":
            response = await client.request(asked.method, asked.path, extensions=asked.extensions)
            traffic.answered(asked, response, response.content)
        else:
            async with client.stream(asked.method, asked.path, extensions=asked.extensions) as response:
                body = await response.aread() if asked.how == "stream" else None
            traffic.answered(asked, response, body)
    except Exception as error:
        traffic.failed(asked, error)


def thread(client: Any, seed: int, traffic: Traffic, gate: Gate) -> None:
    """One worker thread."""
    chance = random.Random(seed)
    while not gate.over:
        if gate.shut:
            gate.enter()
            gate.wait_open()
            gate.leave()
            continue
        send(client, traffic.draw(chance), traffic)


async def task(client: Any, seed: int, traffic: Traffic, gate: Gate) -> None:
    """One worker task, which cancels some of its requests at random."""
    chance = random.Random(seed)
    while not gate.over:
        if gate.shut:
            gate.enter()
            while gate.shut:  # noqa: ASYNC110  (it is opened by a thread)
                await asyncio.sleep(0.01)
            gate.leave()
            continue
        asked = traffic.draw(chance)
        try:
            if chance.random() < 0.8:
                await asend(client, asked, traffic)
            elif not await _cancelled(asend(client, asked, traffic), chance):
                continue
            else:
                traffic.ended(asked, "cancelled")
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            traffic.violated(f"{asked}: a cancellation was left behind")


async def _cancelled(call: Any, chance: random.Random) -> bool:
    """Await a call for a random time, in one of the ways of asyncio and anyio; return whether it was cancelled."""
    seconds, way = chance.uniform(0, 0.05), chance.choice(["task", "wait_for", "anyio", "timeout"])
    if way == "task":
        running = asyncio.ensure_future(call)
        await asyncio.wait([running], timeout=seconds)
        running.cancel()
        await asyncio.wait([running])
        return running.cancelled()
    if way == "anyio" or (way == "timeout" and not hasattr(asyncio, "timeout")):
        with anyio.move_on_after(seconds) as scope:
            await call
        return scope.cancelled_caught
    try:
        if way == "timeout":
            async with asyncio.timeout(seconds):
                await call
        else:
            await asyncio.wait_for(call, seconds)
    except asyncio.TimeoutError:
        return True
    return False


def child(clients: list[Any]) -> None:
    """What a forked child does: send some requests with the clients that it has inherited, and with new ones."""
    url = str(clients[0].base_url)
    new = [ratewise.RateWiseClient(url), ratewise.httpx2.RateWiseClient(url)]
    for number, client in enumerate([*clients, *new]):
        for each in range(3):
            path = f"/200/child/{number}-{each}"
            assert client.get(path).json() == {"path": path, "request": 1}
