"""The words for faults, which `FaultTransport` and `FaultServer` share, and which fault a request gets.

- `refuse`: the connection is refused.
- `reset`: the connection is reset before the first byte of the response. `disconnect`: it is closed without a response.
- `hang`: there is no response while the client waits. `slow-head:2`: the response begins 2 s late (default 1 s).
- `503`, `503:2`: a response with this status, and with `Retry-After: 2`.
- `malformed`, `malformed:429`: a response whose Retry-After, rate-limit, caching and date fields make no sense.
- `not-http`, `bad-header`, `giant-head`: a response that is not HTTP, has a header line without a colon, or 200 KB of headers.
- `reset-body`, `truncate`, `hang-body`: half of the body, then a reset, the end of the connection, or nothing more.
- `garble`: a body of the right length whose compression is damaged: it cannot be decoded.
- `drip:0.1`: the body in small pieces, each after a pause of 0.1 s (the default).
- `refused-stream`, `goaway`: HTTP/2 says that the request was not processed (RFC 9113, section 8.7).
- `pool-timeout`: no connection of the pool becomes free.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, NamedTuple, Union, cast

from .._validation import factor, function, refusal
from .patterns import Pattern

SECONDS = {"drip": 0.1, "slow-head": 1.0}
"""The words that take seconds after a colon, with their default."""

ONLY = {
    "refuse": "FaultTransport",
    "pool-timeout": "FaultTransport",
    "refused-stream": "HTTP/2",
    "goaway": "HTTP/2",
    "not-http": "HTTP/1.1",
    "bad-header": "HTTP/1.1",
    "giant-head": "HTTP/1.1",
}
"""The words that are not for every server: what they are for."""

WORDS = (*ONLY, *SECONDS, "disconnect", "garble", "hang", "hang-body", "malformed", "reset", "reset-body", "truncate")
"""All words but the statuses."""

MALFORMED = (
    ("Retry-After", "soon"),
    ("RateLimit", "limit=ten, remaining="),
    ("RateLimit-Policy", '"default";q=-1;w=NaN'),
    ("X-RateLimit-Limit", "\xff\xfe"),
    ("X-RateLimit-Remaining", "-1"),
    ("X-RateLimit-Reset", "99999999999999999999"),
    ("Cache-Control", 'max-age=forever, private="'),
    ("Expires", "never"),
    ("Age", "-5"),
    ("ETag", "unquoted"),
    ("Date", "Thirsday"),
)
"""The header fields of a `malformed` response, in place of its own. All of them are well-formed HTTP."""

DROPS = 10
"""Pieces into which `drip` divides a chunk of a body, at most."""

_STATUS = re.compile(r"[2-5][0-9][0-9]")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class Word(NamedTuple):
    """One word, read."""

    text: str
    """As it is written."""
    name: str
    """Without its parameter."""
    seconds: float = 0.0
    """How long it waits; only of words that wait for a time of their own."""
    status: int | None = None
    """The status of the response; None if it keeps its own."""
    retry_after: str | None = None
    """The Retry-After of the response, in seconds."""


def read_word(text: str) -> Word:
    """Read one word. Raise `TypeError` or `ValueError` if it is none."""
    allowed = f"a status from 200 to 599, such as 503 or 503:2, or one of {' '.join(sorted(WORDS))}"
    if not isinstance(text, str):
        raise TypeError(refusal("fault", text, allowed))
    name, colon, parameter = text.partition(":")
    if not (_STATUS.fullmatch(name) or name in WORDS):
        raise ValueError(refusal("fault", text, allowed))
    if not colon:
        return Word(text, name, SECONDS.get(name, 0.0), int(name) if name.isdigit() else None)
    if name == "malformed":
        if not _STATUS.fullmatch(parameter):
            raise ValueError(refusal("the status after malformed:", parameter, "a number from 200 to 599"))
        return Word(text, name, status=int(parameter))
    if not (name in SECONDS or name.isdigit()):
        raise ValueError(refusal("fault", text, f"{name}, which takes nothing after a colon"))
    if not _NUMBER.fullmatch(parameter):
        raise ValueError(refusal(f"the seconds after {name}:", parameter, "a number of at least 0"))
    if name in SECONDS:
        return Word(text, name, float(parameter))
    return Word(text, name, status=int(name), retry_after=parameter)


When = Union[str, Callable[[Any], bool]]


@dataclass(frozen=True)
class Fault:
    """A fault of `FaultTransport`: `Fault("garble", rate=0.1, when="GET /reports/*")`.

    - `word`: what happens, such as `"truncate"` or `"503:2"`: see `ratewise.testing.faults`.
    - `rate`: the part of the requests concerned that get it, from 0 to 1.
    - `when`: the requests concerned. A pattern, as of the rules of `ScriptedTransport`: method, path or URL, or method and path
      or URL, in which each `*` stands for any characters; or a function of the request that returns a bool. None: all.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    word: str
    rate: float = 1.0
    when: When | None = None
    _word: Word = field(init=False, repr=False, compare=False)
    _concerns: Callable[[Any], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_word", read_word(self.word))
        object.__setattr__(self, "_concerns", _concerns(self.when))
        factor("rate", self.rate, least=0, most=1)


class Drawn:
    """Draws the fault of each request. One number is drawn for each request, so that a seed gives the same faults again."""

    def __init__(self, faults: Mapping[str, float] | Iterable[Fault], seed: int | None) -> None:
        if seed is None:
            seed = random.randrange(2**32)
        elif isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(refusal("seed", seed, "an int or None"))
        self.seed = seed
        self._random = random.Random(seed)
        self.assign(faults)

    def assign(self, faults: Mapping[str, float] | Iterable[Fault]) -> None:
        """Draw from these faults from now on. Raise `TypeError` or `ValueError` if they are not allowed."""
        allowed = "a mapping of fault words to rates, such as {'503': 0.1}, or a list of Faults"
        if isinstance(faults, Mapping):
            faults = [Fault(word, part) for word, part in cast("Mapping[str, float]", faults).items()]
        elif isinstance(faults, (str, Fault)) or not isinstance(faults, Iterable):
            raise TypeError(refusal("faults", faults, allowed))
        given = tuple(faults)
        if not all(isinstance(fault, Fault) for fault in given):
            raise TypeError(refusal("faults", list(given), allowed))
        total = math.fsum(fault.rate for fault in given if fault.when is None)
        if total > 1 + 1e-9:
            raise ValueError(refusal("the sum of the rates", total, "at most 1"))
        self.faults = given

    def draw(self, request: Any) -> Word | None:
        """Return the fault of the next request, or None.

        Of the faults that concern it each has its own part of the numbers from 0 to 1, in their order.
        """
        number = self._random.random()
        for fault in self.faults:
            if fault._concerns(request):
                if number < fault.rate:
                    return fault._word
                number -= fault.rate
        return None


def _concerns(when: When | None) -> Callable[[Any], bool]:
    if when is None:
        return lambda request: True
    if not isinstance(when, str):
        return function("when", when, "the request")  # type: ignore[no-any-return]
    return Pattern("when", when).fits


# -- damaged bodies

Piece = Union[bytes, float, Exception]
"""What comes next: these bytes, a wait of so many seconds, or this error."""

Damage = Callable[[Union[bytes, None]], Iterable[Piece]]
"""Gets each chunk of a body, and None at its end; returns what becomes of it."""


def broken_off(end: Piece, length: int | None) -> Damage:
    """A body that ends with `end` after half of its `length` bytes, or of its first chunk if that is unknown."""
    left = None if length is None else length // 2

    def damage(chunk: bytes | None) -> Iterable[Piece]:
        nonlocal left
        if chunk is None:
            return [end]
        if left is None:
            left = len(chunk) // 2
        whole = len(chunk) <= left
        chunk, left = chunk[:left], max(left - len(chunk), 0)
        return [chunk] if whole else [chunk, end]

    return damage


def dripping(pause: float) -> Damage:
    """A body in small pieces, each after a pause of so many seconds."""

    def damage(chunk: bytes | None) -> Iterable[Piece]:
        for piece in drops(chunk or b""):
            yield pause
            yield piece

    return damage


def garbled() -> Damage:
    """A body that cannot be decoded."""
    unread = True

    def damage(chunk: bytes | None) -> Iterable[Piece]:
        nonlocal unread
        if unread and chunk:
            unread, chunk = False, garble(chunk)
        return [chunk or b""]

    return damage


def drops(data: bytes) -> list[bytes]:
    """Divide data into at most `DROPS` pieces."""
    size = -(-len(data) // DROPS) or 1
    return [data[start : start + size] for start in range(0, len(data), size)]


def garble(data: bytes) -> bytes:
    """Overwrite the first bytes, so that neither gzip nor deflate can decode the data."""
    bad = b"\xff" * min(4, len(data))
    return bad + data[len(bad) :]
