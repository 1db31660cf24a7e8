"""How the requests that were sent differ from those that were expected, without their secrets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from .._redaction.bodies import body as masked_body
from .._redaction.masker import DEFAULT_MASKER
from .patterns import Pattern

BODY_SHOWN = 500
"""Bytes of a request's body that a message shows, at most."""

ALIKE_SHOWN = 3
"""Requests before and after a difference that a message shows, at most; and ten times as many before an unexpected request."""


def named(pattern: Pattern) -> str:
    """Return a pattern as messages show it."""
    given, body = pattern.given, pattern.body
    if isinstance(given, str):
        text = DEFAULT_MASKER.line(given)
    else:
        text = f"{getattr(given, '__qualname__', type(given).__name__)}(request)"
    if not pattern.has_body:
        return text
    if isinstance(body, (str, bytes)):
        return text + _shown_body("text/plain", body.encode() if isinstance(body, str) else body)
    return text + _shown_body("application/json", json.dumps(body, separators=(",", ":")).encode())


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
    names = [named(pattern) for pattern in expected]
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
