"""Which requests are meant, as rules, routes and `assert_sent` say it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .._validation import function, refusal

ALLOWED = "'GET /path', '/path/*', 'https://host/path', 'GET', '*' or a function of the request"
"""The patterns, as errors list them."""

_FORM = re.compile(r"(?:(?P<method>[A-Z]+)(?: +|\Z))?(?P<target>(?:(?:[a-z][a-z0-9+.-]*|\*)://|[/*]).*)?", re.DOTALL)
_ORIGIN = re.compile(r"[^:/?]*://[^/?]*")


class Pattern:
    """A method, a path, a URL, or several of these; or a function of the request. Matches a body too if one is given.

    In a path or URL each `*` stands for any characters. The query is compared only where the pattern has one. Raises `TypeError`
    or `ValueError`, which name the `setting`, for what is no pattern.
    """

    def __init__(self, setting: str, given: Any) -> None:
        self.has_body = isinstance(given, tuple) and len(given) == 2
        self.given: Any = given[0] if self.has_body else given
        self.body: Any = given[1] if self.has_body else None
        if self.has_body and not isinstance(self.body, (str, bytes)):
            try:
                json.dumps(self.body)
            except (TypeError, ValueError):
                raise TypeError(refusal(f"the body of {setting}", self.body, "bytes, a string or what JSON can hold")) from None
        self._method, self._target, self._absolute = "", "*", False
        if isinstance(self.given, str):
            self._read(setting, self.given)
        elif not callable(self.given):
            raise TypeError(refusal(setting, self.given, ALLOWED))
        else:
            function(setting, self.given, "the request")

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
        if not isinstance(self.given, str):
            named = bool(self.given(request))
        else:
            named = self._method in ("", request.method) and any(_fits(self._target, url) for url in self._urls(request))
        return named and (not self.has_body or self._fits_body(request.content))

    def fits_target(self, method: str, target: str) -> bool:
        """Return whether a request that a server received is meant, by its method and its target (path and query)."""
        return self._method in ("", method) and _fits(self._target, target if "?" in self._target else target.partition("?")[0])

    def _urls(self, request: Any) -> Iterator[str]:
        """The path or URL of a request, in the form of the pattern: with the path as it is sent, and with the decoded one."""
        url = request.url
        path, mark, query = url.raw_path.decode().partition("?")
        origin = f"{url.scheme}://{url.netloc.decode()}" if self._absolute else ""
        for either in (path, url.path):
            yield origin + either + (mark + query if "?" in self._target else "")

    def _fits_body(self, content: bytes) -> bool:
        if isinstance(self.body, (str, bytes)):
            return content == (self.body.encode() if isinstance(self.body, str) else self.body)
        try:
            return bool(json.loads(content) == self.body)
        except ValueError:
            return False


ANY = Pattern("pattern", "*")
"""All requests."""


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
