"""Which requests are meant, as rules and `assert_sent` say it, and how they differ from those that were sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

from .._redaction.bodies import body as masked_body
from .._redaction.masker import DEFAULT_MASKER
from .._validation import function, refusal

ALLOWED = "'GET /path', '/path/*', 'https://host/path', 'GET', '*' or a function of the request"
"""The patterns, as errors list them."""

BODY_SHOWN = 500
"""Bytes of a request's body that a message shows, at most."""

ALIKE_SHOWN = 3
"""Requests before and after a difference that a message shows, at most; and ten times as many before an unexpected request."""

_FORM = re.compile(r"(?:(?P<method>[A-Z]+)(?: +|\Z))?(?P<target>(?:(?:[a-z][a-z0-9+.-]*|\*)://|[/*]).*)?", re.DOTALL)
_ORIGIN = re.compile(r"[^:/?]*://[^/?]*")


class Pattern:
    """A method, a path, a URL, or several of these; or a function of the request. Matches a body too if one is given.

    In a path or URL each `*` stands for any characters. The query is compared only where the pattern has one. Raises `TypeError`
    or `ValueError`, which name the `setting`, for what is no pattern.
    """

    def __init__(self, setting: str, given: Any) -> None:
        self._has_body = isinstance(given, tuple) and len(given) == 2
        self._given: Any = given[0] if self._has_body else given
        self._body: Any = given[1] if self._has_body else None
        if self._has_body and not isinstance(self._body, (str, bytes)):
            try:
                json.dumps(self._body)
            except (TypeError, ValueError):
                raise TypeError(refusal(f"the body of {setting}", self._body, "bytes, a string or what JSON can hold")) from None
        self._method, self._target, self._absolute = "", "*", False
        if isinstance(self._given, str):
            self._read(setting, self._given)
        elif not callable(self._given):
            raise TypeError(refusal(setting, self._given, ALLOWED))
        else:
            function(setting, self._given, "the request")

    def _read(self, setting: str, given: str) -> None:
        found = _FORM.fullmatch(given)
        if not found or not given:
            raise ValueError(refusal(setting, given, ALLOWED))
        self._method, self._target = found["method"] or "", found["target"] or "*"
        origin = _ORIGIN.match(self._target)
        if origin:
            rest = self._target[origin.end() :]
            rest = rest if rest.startswith("/") or origin[0].endswith("*") else f"/{rest}"
            self._absolute, self._target = True, origin[0].lower() + rest

    def fits(self, request: Any) -> bool:
        """Return whether this is a request that is meant. Its body has been read."""
        if not isinstance(self._given, str):
            named = bool(self._given(request))
        else:
            named = self._method in ("", request.method) and any(_fits(self._target, url) for url in self._urls(request))
        return named and (not self._has_body or self._fits_body(request.content))

    def _urls(self, request: Any) -> Iterator[str]:
        """The path or URL of a request, in the form of the pattern: with the path as it is sent, and with the decoded one."""
        url = request.url
        path, mark, query = url.raw_path.decode().partition("?")
        origin = f"{url.scheme}://{url.netloc.decode()}" if self._absolute else ""
        for either in (path, url.path):
            yield origin + either + (mark + query if "?" in self._target else "")

    def _fits_body(self, content: bytes) -> bool:
        if isinstance(self._body, (str, bytes)):
            return content == (self._body.encode() if isinstance(self._body, str) else self._body)
        try:
            return bool(json.loads(content) == self._body)
        except ValueError:
            return False

    def __str__(self) -> str:
        if isinstance(self._given, str):
            text = DEFAULT_MASKER.line(self._given)
        else:
            text = f"{getattr(self._given, '__qualname__', type(self._given).__name__)}(request)"
        return text + (self._shown_body() if self._has_body else "")

    def _shown_body(self) -> str:
        if isinstance(self._body, (str, bytes)):
            return _shown_body("text/plain", self._body.encode() if isinstance(self._body, str) else self._body)
        return _shown_body("application/json", json.dumps(self._body, separators=(",", ":")).encode())


ANY = Pattern("pattern", "*")
"""All requests."""


def shown(request: Any) -> str:
    """Return a request as messages show it, on one line, with the secrets in URL and body masked."""
    head = f"{DEFAULT_MASKER.line(request.method)} {DEFAULT_MASKER.line(DEFAULT_MASKER.url(request.url))}"
    return head + (_shown_body(request.headers.get("content-type", ""), request.content) if request.content else "")


def _shown_body(kind: str, data: bytes) -> str:
    return " " + masked_body(DEFAULT_MASKER, kind, data[:BODY_SHOWN], len(data) if len(data) > BODY_SHOWN else None)


def listed(requests: Sequence[Any]) -> str:
    """Return the last of these requests, a line for each."""
    most = 10 * ALIKE_SHOWN
    more = [f"    ... ({len(requests) - most} more)"] if len(requests) > most else []
    return "".join(f"\n{line}" for line in [*more, *(f"    {shown(request)}" for request in requests[-most:])])


def difference(expected: Sequence[Pattern], sent: Sequence[Any], others: bool) -> str | None:
    """Return how the requests that were sent differ from those expected, in lines; None if they do not.

    `others`: further requests may come before, between and after those expected.
    """
    if _as_expected(expected, sent, others):
        return None
    names = [str(pattern) for pattern in expected]
    # Each request is named as the first pattern that it fits, so that those of the same name can be put side by side.
    found = [next((name for name, pattern in zip(names, expected) if pattern.fits(request)), request) for request in sent]
    lines: list[str] = []
    for kind, begin, end, first, last in SequenceMatcher(None, names, found, autojunk=False).get_opcodes():
        if kind == "equal":
            lines += _shortened([f"    {shown(request)}" for request in sent[first:last]])
        else:
            lines += [f"  - {name}" for name in names[begin:end]]
            lines += [f"  {' ' if others else '+'} {shown(request)}" for request in sent[first:last]]
    head = (
        "not all expected requests were sent in this order (- is missing)"
        if others
        else ("the requests sent are not those expected (- expected, + sent)")
    )
    return "\n".join([f"{head}:", *lines])


def _as_expected(expected: Sequence[Pattern], sent: Sequence[Any], others: bool) -> bool:
    if not others:
        return len(expected) == len(sent) and all(pattern.fits(request) for pattern, request in zip(expected, sent))
    left = iter(sent)
    return all(any(pattern.fits(request) for request in left) for pattern in expected)


def _shortened(lines: list[str]) -> list[str]:
    more = len(lines) - 2 * ALIKE_SHOWN
    return [*lines[:ALIKE_SHOWN], f"    ... ({more} more)", *lines[-ALIKE_SHOWN:]] if more > 1 else lines


def _fits(pattern: str, text: str) -> bool:
    """Return whether a text fits a pattern in which each `*` stands for any characters. Linear in time."""
    head, *pieces = pattern.split("*")
    if not pieces:
        return text == pattern
    tail, position = pieces.pop(), len(head)
    if not text.startswith(head):
        return False
    for piece in pieces:
        position = text.find(piece, position)
        if position < 0:
            return False
        position += len(piece)
    return text.endswith(tail) and position <= len(text) - len(tail)


def patterns(setting: str, given: Iterable[Any]) -> list[Pattern]:
    """Return the patterns that a user gives."""
    return [Pattern(f"{setting} {number}", one) for number, one in enumerate(given, 1)]
