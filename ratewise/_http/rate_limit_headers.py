"""The one parser for rate-limit fields, of every family. Never raises."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple, Union

from .._util.lazy_regex import regex
from ..layer import Field
from .dates import EPOCH, EPOCH_MS, delay_seconds, duration, instant
from .retry_after import MILLISECONDS, NO_ADVICE, VETOES, retry_after
from .structured_fields import COMMA_OR_SEMICOLON, DICTIONARY, PAIR, Bare, bare, each, parse_list

_MAX_NAME_SIZE, _MAX_VALUE_SIZE, _MAX_QUOTAS = 100, 4096, 32
"""Bytes of a field name, bytes of a value, and quotas per response. Anything beyond these is ignored."""

_MAX_NAMES = 1000
"""Names of fields of which it is remembered whether they are about limits, at most, of either kind."""

_LOWER_NAME = itemgetter(1)
"""Returns the lower-case name of a `Field`."""

_ADVICE = MILLISECONDS | VETOES | {b"retry-after"}
"""Fields that `retry_after` reads."""

_ASIDE = _ADVICE | {b"date", b"age"}
"""Fields that matter beside those about quotas."""

# `<prefix>ratelimit-<role>[-<name>]` or `<prefix>ratelimit-<name>-<role>`: all families but a few are that.
_NAME = regex(r"((?:[a-z0-9_.-]*-)?)rate-?limit(?:-([a-z0-9_.-]+))?")
_ROLE = regex(r"(?:(?P<role>limit|remaining|reset-after|reset)-)?(?P<name>[a-z0-9].*?)(?:-(?P<last>limit|remaining|reset))?")
_ROLES = {role: role for role in ("limit", "remaining", "reset", "reset-after")}
_ROLES.update({"": "limit", "max": "limit", "interval-milliseconds": "milliseconds"})  # Zendesk, HubSpot
"""The roles of a field by the words in its name that say it."""

_MARKS = frozenset({"bucket", "resource", "global", "scope"})
"""Roles of fields that are about no quota: what is counted together, and what a refusal is for."""

_PERIODS = {"second": 1.0, "secondly": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0, "daily": 86_400.0}
"""Seconds of the periods that names of fields contain."""

_UNITS = frozenset("tokens seconds images characters bytes points cost credits".split())
"""Units of quotas that names of fields contain; else they count requests."""

_SLACK = 1.0
"""Seconds. A reset that is past by up to this is now, because it and `Date` are rounded; an older one is ignored."""

_FILLED = frozenset({"anthropic-"})
"""Prefixes of families whose reset is the instant when the bucket is full."""

# The exceptions: lists of one or two numbers each.
_DIGITS, _POSITIVE_DIGITS = "[0-9]{1,15}", "[1-9][0-9]{0,14}"
"""A number in a list, and one above 0, of at most 15 digits: exact as a float."""

_LISTS = {
    "x-ms-ratelimit-remaining-resource": regex(rf"(?P<name>[A-Za-z0-9._/-]{{1,100}});(?P<remaining>{_DIGITS})"),
    "sforce-limit-info": regex(rf"(?P<name>[a-z-]{{1,40}})=(?P<used>{_DIGITS})/(?P<limit>{_POSITIVE_DIGITS})(?:\([^()]*\))?"),
    "x-shopify-shop-api-call-limit": regex(rf"(?P<name>)(?P<used>{_DIGITS})/(?P<limit>{_POSITIVE_DIGITS})"),
}
"""By field name, a member of the list."""

_DRAINED = {"x-shopify-shop-api-call-limit": 20.0}
"""Seconds in which a full bucket drains: 40 requests at 2 per second, in proportion for larger ones."""

_PAIRS = {"limit": "limit", "total": "limit", "remaining": "remaining", "reset": "reset", "resets": "reset"}
"""By key of a Dictionary (RFC 9651, 3.2), the role of its number."""

_LIST_ROLES = frozenset({"ratelimit", "policy", "list"})
"""Roles of fields that are lists: a repeated one is continued."""

_BUCKET = regex(r"[!-~]{1,128}")
"""A name that a server gives to what it counts together."""


class Quota(NamedTuple):
    """One limit, as a response states it."""

    name: str
    """The name of its policy ("default"), or the rest of the field name ("input-tokens"); "" if there is only one."""
    limit: float | None
    """Units per window, or the size of the bucket."""
    remaining: float | None
    """Units left; None if unknown."""
    reset: float | None
    """Seconds, at least 0, from the `Date` of the response (else `now`) until what `kind` says; None if unknown."""
    resolution: float
    """The resolution of `reset` in seconds, including that of `Date` if it was computed from it."""
    window: float | None
    """The length of the window in seconds, if a policy or the field name states it."""
    unit: str
    """What is counted: "requests", "tokens", "content-bytes", "concurrent-requests"..."""
    kind: str
    """What `reset` leads to: "window", a new one; "bucket", a full one; "effective", the time that `remaining` must last."""

    @property
    def wait(self) -> float | None:
        """Seconds until a unit is available, at least 0; None if one is left, or if that is unknown."""
        if self.remaining is None or self.remaining >= 1:
            return None
        if self.kind == "bucket" and self.reset is not None and self.limit:
            return self.reset / self.limit  # which fills evenly
        return self.reset


class RateLimitFields(NamedTuple):
    """What a response says about the limits of its server."""

    quotas: tuple[Quota, ...]
    """With different names."""
    retry_after: float | None
    """Seconds, above 0, that `retry-after-ms` or `Retry-After` (RFC 9110, 10.2.3) asks for."""
    bucket: str | None
    """The name of the group of requests that share these quotas (Discord: bucket, GitHub: resource); None if unknown."""
    everyone: bool
    """Whether a refusal applies to all buckets."""
    source: str = ""
    """The field that `retry_after` is read from, or that says 0."""
    forbidden: bool = False
    """The server asks not to retry."""


NO_FIELDS = RateLimitFields((), None, None, False)
"""Of a response without such fields."""

_Policy = tuple[str, Union[float, None], Union[float, None], str]  # name without partition, quota, window, unit
_Key = tuple[str, str]  # prefix and name
_Values = dict[str, bytes]  # by role

_ALL = ("", "*")
"""The key of fields that are not about one quota."""


_mute: set[bytes] = set()
_telling: set[bytes] = set()
"""Lower-case names of fields that are not about limits, and of those that are: most responses cost one lookup per field."""


def silent(fields: Iterable[Field]) -> bool:
    """Whether none of these fields is about limits."""
    return _mute.issuperset(map(_LOWER_NAME, fields)) or _looked_at(fields)


def _looked_at(fields: Iterable[Field]) -> bool:
    for field in fields:
        name = field[1]
        if name in _telling:
            return False
        if name not in _mute and len(name) <= _MAX_NAME_SIZE:
            names = _telling if b"limit" in name or name in _ADVICE else _mute
            if len(names) >= _MAX_NAMES:
                names.clear()
            names.add(name)
            if names is _telling:
                return False
    return True


def rate_limit_fields(fields: Iterable[Field], now: float) -> RateLimitFields:
    """Read the rate-limit fields of every family, `RateLimit` in all its drafts too (RFC 9651), and the waits; else `NO_FIELDS`.

    `now` is the wall time in seconds, for instants in a response that has no `Date` of its own. A field that is malformed
    anywhere is ignored, and so is one that is repeated with a different value; so are all quotas in what a cache has kept for a
    while (`Age`).
    """
    groups: dict[_Key, _Values] = {}
    aside: list[tuple[bytes, bytes]] = []
    for _, name, raw in fields:
        if name in _ASIDE:
            aside.append((name, raw))
        elif name not in _mute and b"limit" in name:
            field = _quota_and_role(name) if len(name) <= _MAX_NAME_SIZE else None
            if field is not None:
                key, role = field
                values = groups.setdefault(key, {})
                values[role] = _again(role, values[role], raw) if role in values else raw
    dates = {raw for name, raw in aside if name == b"date"}
    date = instant(_line(dates.pop()), now)[0] if len(dates) == 1 else None
    made = now if date is None else date
    advice = [field for field in aside if field[0] in _ADVICE]
    asked = retry_after(advice, made) if advice else NO_ADVICE
    if any(delay_seconds(_line(raw)) for name, raw in aside if name == b"age"):
        groups = {}
    marks = groups.pop(_ALL, {})
    quotas: dict[str, Quota] = {}
    windows: dict[float, float] = {}
    if "ratelimit" in marks or "policy" in marks:
        policies, windows = _policies(_line(marks.get("policy", b"")))
        ratelimit = _line(marks.get("ratelimit", b""))
        if DICTIONARY.match(ratelimit):  # draft -07
            groups.setdefault(("", ""), {})["pairs"], ratelimit = marks["ratelimit"], ""
        quotas = _named(ratelimit, policies)
    for key in sorted(groups, key=lambda key: (len(key[0]), key)):
        for quota in _quotas(key, groups[key], windows, made, date is not None):
            _add(quotas, key[0], quota)
    texts = {role: _text(raw) for role, raw in marks.items()}
    bucket = next((texts[role] for role in ("bucket", "resource") if _BUCKET.fullmatch(texts.get(role, ""))), None)
    everyone = texts.get("global", "").lower() == "true" or texts.get("scope", "").lower() == "global"
    if quotas or asked != NO_ADVICE or bucket is not None or everyone:
        kept = tuple(quotas.values())[:_MAX_QUOTAS]
        return RateLimitFields(kept, asked.seconds, bucket, everyone, asked.source, asked.forbidden)
    return NO_FIELDS


@lru_cache(maxsize=512)
def _quota_and_role(name: bytes) -> tuple[_Key, str] | None:
    """Return the quota that a field is about and its role there; None if it is about none."""
    text = name.decode("latin-1")
    if text in _LISTS:
        return (text, ""), "list"
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    prefix, rest = match[1], match[2] or ""
    if rest in _MARKS or (not prefix and rest in ("", "policy")):
        return _ALL, rest or "ratelimit"
    if rest in _ROLES:
        return (prefix, ""), _ROLES[rest]
    match = _ROLE.fullmatch(rest)
    if match is None or match["name"] in _ROLES or (match["role"] and match["last"]):
        return None
    if prefix == "zendesk-":
        return (prefix, rest), "pairs"
    role = match["role"] or match["last"] or ("limit" if rest in _PERIODS else None)
    return None if role is None else ((prefix, match["name"]), role)


def _again(role: str, before: bytes, raw: bytes) -> bytes:
    """Combine a repeated field: a list is continued (RFC 9110, 5.3); two different values are ambiguous, and ignored."""
    if role in _LIST_ROLES:
        return before if len(before) > _MAX_VALUE_SIZE else b"%b, %b" % (before, raw)
    return before if _text(before) == _text(raw) else b""


def _line(raw: bytes) -> str:
    return raw.decode("latin-1").strip(" \t") if len(raw) <= _MAX_VALUE_SIZE else ""


def _text(raw: bytes) -> str:
    """Return the value of a field that has one value. The same value twice in one line counts once."""
    text = _line(raw)
    if "," in text:
        parts = {part.strip(" \t") for part in text.split(",")}
        return parts.pop() if len(parts) == 1 else text
    return text


def _add(quotas: dict[str, Quota], prefix: str, quota: Quota) -> None:
    """Add a quota. One with and one without `X-` are merged, unless their limits differ."""
    name = quota.name
    other = quotas.setdefault(name, quota)
    if other is quota:
        return
    if prefix in ("", "x-") and (other.limit is None or quota.limit is None or other.limit == quota.limit):
        filled = Quota._make(mine if other is None else other for other, mine in zip(other, quota))
        reset = quota if other.reset is None else other
        quotas[name] = filled._replace(resolution=reset.resolution, kind=reset.kind)
    else:
        name = (prefix + name).strip("-")
        quotas.setdefault(name, quota._replace(name=name))


def _quotas(key: _Key, values: _Values, windows: dict[float, float], made: float, dated: bool) -> list[Quota]:
    """Return the quotas in the fields with one prefix and name."""
    prefix, name = key
    if "list" in values:
        return _listed(prefix, _line(values["list"]))
    if "pairs" in values:
        values = {**values, **_pairs(_text(values["pairs"]))}
    limit, window = _count(values.get("limit", b""))
    remaining, within = _count(values.get("remaining", b""))
    reset, resolution, kind = None, 1.0, "window"
    for role in ("reset-after", "reset"):
        if reset is None and role in values:
            reset, resolution, kind = _reset(_text(values[role]), made, dated)
    if limit is None and remaining is None and (name or not reset):  # without a name it is clear which limit is meant
        return []
    window, unit = window or within, "requests"
    if name:
        words = name.split("-")
        window = window or _PERIODS.get(words[-1])
        unit = next((word for word in words if word in _UNITS), unit)
    elif "milliseconds" in values:
        window = (delay_seconds(_text(values["milliseconds"])) or 0.0) / 1000 or window
    if window is None and limit is not None:
        window = windows.get(limit)
    return [Quota(name, limit, remaining, reset, resolution, window, unit, "bucket" if prefix in _FILLED else kind)]


def _count(raw: bytes) -> tuple[float | None, float | None]:
    """Return a number of units, and the seconds of its window if policies follow (`100, 100;w=60`) or it is one (`76;w=60`)."""
    if raw.isdigit() and len(raw) <= 15:  # the usual case
        return float(raw), None
    value = _text(raw)
    number = delay_seconds(value)
    if number is None:
        first, comma, rest = value.partition(",")
        number = delay_seconds(first.strip(" \t")) if comma else None
        windows = _policies(value if number is None else rest.strip(" \t"))[1]
        number = next(iter(windows), None) if number is None or not windows else number
        return number, windows.get(number or 0)
    return number, None


def _reset(value: str, made: float, dated: bool) -> tuple[float | None, float, str]:
    """Return seconds, their resolution, and the kind. A number is seconds or an instant, depending on its size."""
    number = delay_seconds(value)
    if number is not None and number < EPOCH:
        return number, 10.0 ** -min(len(value.partition(".")[2]), 3), "window"
    spelt = duration(value)
    if spelt is not None:
        return spelt, 0.001, "bucket"
    if number is None:
        at, resolution = instant(value, made)
    elif number >= EPOCH_MS:
        at, resolution = number / 1000, 0.001
    else:
        at, resolution = number, 10.0 ** -min(len(value.partition(".")[2]), 3)
    if at is None or at < made - max(resolution, _SLACK):
        return None, 1.0, "window"
    return max(at - made, 0.0), max(resolution, 1.0) if dated else resolution, "window"


def _listed(field: str, value: str) -> list[Quota]:
    """Return the quotas in one of `_LISTS`."""
    found: dict[str, Quota] = {}
    matches = each(_LISTS[field], COMMA_OR_SEMICOLON, value)
    for match in matches:
        numbers = {key: float(part) for key, part in match.groupdict().items() if key != "name"}
        limit, used = numbers.get("limit"), numbers.get("used", 0.0)
        remaining = numbers["remaining"] if limit is None else max(limit - used, 0.0)
        reset, resolution, kind = None, 1.0, "window"
        if limit is not None and field in _DRAINED:
            resolution, kind = _DRAINED[field] / limit, "bucket"
            reset = used * resolution
        found[match["name"]] = Quota(match["name"], limit, remaining, reset, resolution, None, "requests", kind)
    return list(found.values()) if len(found) == len(matches) else []


def _named(ratelimit: str, policies: dict[str, _Policy]) -> dict[str, Quota]:
    """Return the quotas of `RateLimit` since draft -08: names with `r`, the units left, and `t`, seconds."""
    found: dict[str, Quota] = {}
    seen: set[str] = set()
    plain = {policy[0]: policy for policy in policies.values()}
    for item, parameters in parse_list(ratelimit):
        name, remaining, seconds = _policy_name(item, parameters), _integer(parameters.get("r")), _integer(parameters.get("t"))
        if name is None or name in found or remaining is None or (seconds is None and "t" in parameters):
            found, seen = {}, set()
            break
        policy, limit, window, unit = policies.get(name) or plain.get(str(item)) or (name, None, None, "requests")
        found[name] = Quota(name, limit, remaining, seconds, 1.0, window, unit, "effective")
        seen.add(policy)
    for name, (policy, limit, window, unit) in policies.items():
        if policy not in seen:
            found[name] = Quota(name, limit, None, None, 1.0, window, unit, "effective")
    return found


@lru_cache(maxsize=64)  # a server has the same ones in all its responses
def _policies(value: str) -> tuple[dict[str, _Policy], dict[float, float]]:
    """Return the policies of `RateLimit-Policy` by name and, up to draft -07, where they have none, the windows by quota."""
    policies: dict[str, _Policy] = {}
    windows: dict[float, float] = {}
    for item, parameters in parse_list(value):
        window, nameless = _integer(parameters.get("w"), 1), _integer(item)
        if nameless is not None and window is not None and not policies:
            windows.setdefault(nameless, window)
            continue
        name, limit, unit = _policy_name(item, parameters), _integer(parameters.get("q")), parameters.get("qu", "requests")
        odd = windows or (window is None and "w" in parameters)
        if odd or name is None or name in policies or limit is None or not isinstance(unit, str):
            return {}, {}
        policies[name] = str(item), limit, window, unit
    return policies, windows


def _policy_name(item: Bare, parameters: dict[str, Bare]) -> str | None:
    """Return the name of a policy with its partition, if it has one: each partition has its own remaining units."""
    key = parameters.get("pk", b"")
    if not isinstance(item, str) or not isinstance(key, bytes):
        return None
    return f"{item};pk={key.decode()}" if key else item


def _integer(value: Bare | None, least: int = 0) -> float | None:
    return float(value) if type(value) is int and value >= least else None


def _pairs(text: str) -> _Values:
    """Return the numbers in a Dictionary (RFC 9651, 4.2.2), also one with semicolons; none if it is malformed."""
    found = {_PAIRS.get(match["key"]): _integer(bare(match)) for match in each(PAIR, COMMA_OR_SEMICOLON, text)}
    found.pop(None, None)
    numbers = {role: b"%d" % number for role, number in found.items() if role is not None and number is not None}
    return numbers if len(numbers) == len(found) else {}
