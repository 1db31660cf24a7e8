"""Keywords that a function does not know: the error names the function and says what was meant. Costs nothing until then."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from importlib import import_module
from inspect import Parameter, signature
from typing import Any, NamedTuple, TypeVar, cast

from ._util.packages import OURS, package_of

T = TypeVar("T", bound=Callable[..., Any])

OTHER_NAMES = {
    "base_url": "api_url base endpoint host root_url url",
    "max_retries": "attempts max_retry max_tries num_retries retries retry retry_count total tries",
    "retry": "max_retries retries",
    "max_attempts": "attempts max_retries max_retry max_tries num_retries retries retry retry_count total tries",
    "retry_config": "retry_options retry_policy retry_rules retry_strategy",
    "backoff_strategy": "backoff backoff_policy wait",
    "initial_delay": "backoff_base backoff_factor base_delay delay initial_backoff min_delay min_wait",
    "max_delay": "backoff_max max_backoff max_wait maximum_delay",
    "retry_on_status": "retry_on retry_statuses status_codes status_forcelist statuses",
    "methods": "allowed_methods method_whitelist retry_methods",
    "respect_retry_after": "respect_retry_after_header retry_after",
    "decide": "predicate retry_if should_retry",
    "should_retry": "do_retry retry",
    "delay": "retry_after wait",
    "timeout": "request_timeout timeouts",
    "total_timeout": "deadline max_elapsed_time max_time overall_timeout",
    "connect": "connect_timeout connection_timeout",
    "read": "read_timeout",
    "write": "write_timeout",
    "pool": "pool_timeout",
    "max_connections": "pool_maxsize pool_size",
    "cache": "cache_backend caching storage store",
    "cache_ttl": "max_age ttl",
    "ttl": "cache_ttl default_ttl expire expire_after expires expiry lifetime max_age",
    "max_size": "capacity max_entries max_items size",
    "max_bytes": "max_memory memory",
    "namespace": "key_prefix",
    "path": "database db file filename",
    "rate_limiter": "limiter rate_limit rate_limiting throttle throttler",
    "rate": "calls max_calls max_rate requests requests_per_second rps",
    "per": "interval period time_period window",
    "burst": "burst_size capacity max_burst",
    "circuit_breaker": "breaker circuit",
    "failure_threshold": "fail_max failures max_failures threshold",
    "success_threshold": "successes",
    "recovery_timeout": "open_duration reset_timeout retry_after timeout_duration",
    "max_in_flight": "concurrency limit max_concurrency max_concurrent max_concurrent_calls max_parallel",
    "max_queue": "max_waiting queue_size",
    "log_config": "log logger logging logging_config",
    "level": "log_level",
    "redact_headers": "sensitive_headers",
    "bodies": "body",
    "mask_style": "mask masking style",
    "verify_ssl": "ssl ssl_context ssl_verify verify_tls",
    "verify": "ssl ssl_context ssl_verify verify_ssl verify_tls",
    "default_headers": "extra_headers",
    "headers": "default_headers extra_headers",
    "params": "query query_params",
    "content": "body",
    "follow_redirects": "allow_redirects",
    "ratio": "budget percent",
}
"""What other libraries call our settings and httpx's, where that is not spelt alike."""

STANDS_FOR = {"Backoff": "ExponentialBackoff", "Cache": "InMemoryCache"}
"""For a setting that takes anything of a kind, the class whose keywords are looked through."""

LIBRARY_PARTS = {"limits": "Limits({})", "timeout": "Timeout(..., {})"}
"""The settings of an HTTP library that are objects with keywords of their own, and how these objects are written."""

ELSEWHERE = {
    "CacheConfig": ("the store: ", "InMemoryCache"),
    **dict.fromkeys(("CacheBackend", "InMemoryCache", "RedisCache", "SQLiteCache"), ("", "CacheConfig")),
}
"""For a class, another one whose settings are often given to it."""

CLOSE, VERY_CLOSE = 0.63, 0.85
"""How similar a misspelt keyword must be to a setting of the function itself, and to one of another; 1 is equal."""


class Place(NamedTuple):
    """Where a keyword may belong: the settings there, how one is written, and whose they are if not those of what was called."""

    settings: Mapping[str, Parameter]
    written: str = "{}"
    owner: str | None = None
    accepts: Callable[[str, Any], bool] | None = None


class _Match(NamedTuple):
    place: Place
    setting: str
    value: Any

    @property
    def allowed(self) -> bool:
        """Whether the setting takes this value, or values of its type as far as the annotation says."""
        if self.place.accepts is not None:
            return self.place.accepts(self.setting, self.value)
        words, kinds = _words(self.place.settings[self.setting]), {kind.__name__ for kind in type(self.value).__mro__}
        kinds = {"bool"} if "bool" in kinds else kinds | {"float"} if "int" in kinds else kinds
        known = {"bool", "int", "float", "str", "None", *STANDS_FOR, *_public("__all__")}
        return self.value is None or not (kinds.isdisjoint(words) and known.issuperset(words))

    @property
    def written(self) -> str:
        """As it is to be written. A value that might be a secret is not shown, nor one that is not allowed."""
        words, shown = _words(self.place.settings[self.setting]), "..."
        if self.allowed and (self.value is None or isinstance(self.value, (bool, int, float)) or "Literal" in words):
            shown = repr(self.value)
        elif "Literal" in words:
            shown = " or ".join(repr(word) for word in words if word not in ("Literal", "None"))
        return self.place.written.replace("{}", f"{self.setting}={shown}")


def explained(
    *,
    options: Callable[..., Any] | str | None = None,
    transport: Callable[..., Any] | None = None,
    client: Callable[..., Any] | None = None,
) -> Callable[[T], T]:
    """A decorator of a class or function: if a keyword is unknown, the `TypeError` says what was probably meant.

    `options`: the constructor of a library that is given all other keywords, or its name if it is loaded later. `transport`,
    `client`: constructors whose keywords belong to the transport inside, or to the client outside. The signature is kept.
    """

    def decorate(thing: T) -> T:
        target: Any = thing
        init = isinstance(target, type)
        function = target.__init__ if init else target
        callee = _Callee(target.__name__ if init else f"{target.__name__}()", function, options, transport, client)

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except TypeError as error:
                unknown = callee.unknown(kwargs, error)
                if unknown is None:
                    raise
                raise callee.error(unknown, kwargs[unknown]) from None

        if not init:
            return cast(T, wrapper)
        target.__init__ = wrapper
        return thing

    return decorate


class _Callee(NamedTuple):
    """What was called, and where else its keywords may belong: see `explained`."""

    name: str
    function: Callable[..., Any]
    options: Callable[..., Any] | str | None
    transport: Callable[..., Any] | None
    client: Callable[..., Any] | None

    def unknown(self, given: Mapping[str, Any], error: TypeError) -> str | None:
        """The keyword that nothing takes; None if the error is about something else."""
        own = settings_of(self.function)
        others = [name for name in given if name not in own]
        if not _takes_any(self.function):
            return next(iter(others), None)
        refused = re.search(r"unexpected keyword argument '([^']+)'", str(error))  # the library's own refusal
        if refused is not None and refused[1] in others:
            return refused[1]
        known = None if not callable(self.options) or _takes_any(self.options) else settings_of(self.options)
        return next((name for name in others if known is not None and name not in known), None)

    def error(self, name: str, value: object) -> TypeError:
        own, options, takes = settings_of(self.function), self.options, ", ".join(settings_of(self.function))
        if isinstance(options, str):
            options = cast("Callable[..., Any]", getattr(import_module(options.partition(".")[0]), options.partition(".")[2]))
        if options is not None:
            takes += f", and the keywords of {_library(options)}.{options.__name__}"
            own = {**own, **settings_of(options), **own}
        way = way_out(name, value, list(self._groups(own)), takes)
        return TypeError(f"{self.name} got an unexpected keyword argument {name!r}: {way}")

    def _groups(self, own: Mapping[str, Parameter]) -> Iterator[list[Place]]:
        yield from with_parts(Place(own), self.transport or self.client)
        if self.transport is not None:
            written = f"transport={_library(self.transport)}.{self.transport.__name__}({{}})"
            yield from with_parts(Place(settings_of(self.transport), written), self.transport)
        if self.client is not None:
            library, kind = _library(self.client), self.client.__name__
            written = f"{library}.{kind}(transport={self.name}(...), {{}})"
            yield from with_parts(Place(settings_of(self.client), written, "the client: "), self.client)
            kind = kind.replace("Client", "RateWiseClient")
            yield [Place(settings_of(_public(kind, library)), f"{kind}({{}})", "the client: ")]
        if self.name in ELSEWHERE:
            owner, kind = ELSEWHERE[self.name]
            yield [Place(settings_of(_public(kind)), f"{kind}({{}})", owner)]


def with_parts(place: Place, library: Callable[..., Any] | None) -> Iterator[list[Place]]:
    """A place, and then those of its settings that are objects with keywords of their own."""
    yield [place]
    parts = []
    for setting, parameter in place.settings.items():
        kind = STANDS_FOR.get(_words(parameter)[0], _words(parameter)[0])
        if kind in _public("__all__"):
            part, written = _public(kind), f"{kind}({{}})"
        elif library is not None and setting in LIBRARY_PARTS:
            written = f"{_library(library)}.{LIBRARY_PARTS[setting]}"
            part = getattr(import_module(_library(library)), LIBRARY_PARTS[setting].partition("(")[0])
        else:
            continue
        parts.append(Place(settings_of(part), place.written.replace("{}", f"{setting}={written}"), place.owner))
    yield parts


def settings_of(function: Callable[..., Any]) -> dict[str, Parameter]:
    """The parameters that can be given by keyword; of a class that hands keywords on, those of its bases too."""
    found: dict[str, Parameter] = {}
    for one in [vars(kind).get("__init__", function) for kind in function.__mro__] if isinstance(function, type) else [function]:
        for name, parameter in signature(one).parameters.items():
            if name != "self" and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(name, parameter)
        if not _takes_any(one):
            break
    return found


def way_out(name: str, value: object, groups: list[list[Place]], takes: str) -> str:
    """What to give instead of an unknown keyword. `groups`: where it may belong, the likeliest first."""
    from difflib import SequenceMatcher  # loaded only after a mistake

    tried = [(find, group) for group in groups for find in (_by_type, _same, _synonym)]
    matches = [[match for place in group for match in find(name, value, place)] for find, group in tried]
    for found in [[match for match in group if match.allowed] for group in matches] + matches:
        if found:
            return _said(name, found)
    alike = []
    for group in groups:
        for setting in dict.fromkeys(setting for place in group for setting in place.settings):
            likeness = SequenceMatcher(None, _plain(name), _plain(setting)).ratio()
            if likeness >= (CLOSE if group is groups[0] else VERY_CLOSE):
                alike.append((likeness, [_Match(place, setting, value) for place in group if setting in place.settings]))
    return _said(name, max(alike, key=lambda one: one[0])[1], sure=False) if alike else f"it takes {takes}"


def _said(name: str, found: list[_Match], *, sure: bool = True) -> str:
    match, ways = found[0], " or ".join(match.written for match in found)
    if match.place.written == "{}":
        first = ("not counted", None, "included")[_more(name, match.setting) + 1] if sure else None
        return f"did you mean {match.setting!r}{f' (the first attempt {first}): {match.written}' if first else ''}?"
    if not sure:
        return f"did you mean {ways}?"
    return f"give {ways}" if match.place.owner is None else f"{name} belongs to {match.place.owner}{ways}"


def _by_type(name: str, value: object, place: Place) -> Iterator[_Match]:
    ours = {kind.__name__ for kind in type(value).__mro__} & {*STANDS_FOR, *_public("__all__")}
    return (_Match(place, setting, value) for setting, one in place.settings.items() if not ours.isdisjoint(_words(one)))


def _same(name: str, value: object, place: Place) -> Iterator[_Match]:
    return (_Match(place, setting, value) for setting in place.settings if _plain(setting) == _plain(name))


def _synonym(name: str, value: Any, place: Place) -> Iterator[_Match]:
    for setting in place.settings:
        if _plain(name) in map(_plain, OTHER_NAMES.get(setting, "").split()):
            more = _more(name, setting)
            yield _Match(place, setting, max(value + more, more, 0) if more and type(value) is int else value)


def _plain(name: str) -> str:  # of `maxRetries` and `Max-Retries` as of `max_retries`
    return re.sub(r"[-_]", "", name).lower()


def _more(name: str, setting: str) -> int:
    """How much more than the keyword `name` the setting counts: 1 if only the setting counts the first attempt; or 0, or -1."""
    if setting not in ("max_attempts", "max_retries"):
        return 0
    attempts = "retr" not in _plain(name) and ("attempt" in _plain(name) or "tries" in _plain(name))
    return ("attempt" in setting) - attempts


def _words(parameter: Parameter) -> list[str]:
    return re.findall(r"\w+", str(parameter.annotation))


def _public(name: str, library: str = "httpx") -> Any:
    return getattr(import_module(OURS if library == "httpx" else f"{OURS}.{library}"), name)


def _takes_any(function: Callable[..., Any]) -> bool:
    return any(one.kind is one.VAR_KEYWORD for one in signature(function).parameters.values())


def _library(kind: Callable[..., Any]) -> str:
    return package_of(kind.__module__)
