"""Keywords that a constructor does not know: the error names the class and suggests what was meant. Costs nothing until then."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from importlib import import_module
from inspect import Parameter, signature
from typing import Any, NamedTuple, TypeVar, cast

T = TypeVar("T", bound=Callable[..., Any])

OTHER_NAMES = {
    "base_url": "api_url base endpoint host root_url url",
    "max_retries": "attempts max_retry max_tries num_retries retries retry retry_count total tries",
    "max_attempts": "attempts max_retries max_retry max_tries num_retries retries retry_count stop_after_attempt total tries",
    "retry_config": "retry_options retry_policy retry_rules retry_strategy",
    "backoff_strategy": "backoff backoff_policy wait",
    "initial_delay": "backoff_base backoff_factor base_delay delay initial_backoff min_delay min_wait",
    "max_delay": "backoff_max max_backoff max_wait maximum_delay",
    "retry_on_status": "retry_on retry_statuses status_codes status_forcelist statuses",
    "methods": "allowed_methods method_whitelist retry_methods",
    "respect_retry_after": "respect_retry_after_header retry_after",
    "decide": "predicate retry_if should_retry",
    "timeout": "request_timeout timeouts",
    "total_timeout": "deadline max_elapsed_time max_time overall_timeout",
    "connect_timeout": "connection_timeout",
    "cache": "cache_backend caching storage store",
    "cache_ttl": "max_age ttl",
    "ttl": "cache_ttl default_ttl expire expire_after expires expiry lifetime max_age",
    "max_size": "capacity max_entries max_items maxsize size",
    "max_bytes": "max_memory memory",
    "namespace": "key_prefix",
    "path": "database db file filename",
    "rate_limiter": "limiter rate_limit rate_limiting throttle throttler",
    "rate": "calls max_calls max_rate requests requests_per_second rps",
    "per": "interval period time_period window",
    "burst": "burst_size capacity max_burst",
    "circuit_breaker": "breaker circuit circuitbreaker",
    "failure_threshold": "fail_max failures max_failures threshold",
    "success_threshold": "successes",
    "recovery_timeout": "open_duration reset_timeout retry_after timeout_duration",
    "max_in_flight": "concurrency limit max_concurrency max_concurrent max_concurrent_calls max_parallel",
    "max_queue": "max_waiting queue_size",
    "log_config": "log logger logging logging_config",
    "level": "log_level loglevel",
    "redact_headers": "sensitive_headers",
    "mask_style": "mask masking style",
    "verify": "ssl_context",
    "verify_ssl": "ssl ssl_verify verify_tls",
    "default_headers": "extra_headers",
    "ratio": "budget percent",
}
"""What other libraries call our settings, where that is not spelt alike."""

STANDS_FOR = {"Backoff": "ExponentialBackoff", "Cache": "InMemoryCache"}
"""For a setting that takes anything of a kind, the class whose keywords are looked through."""

COUNT_SETTINGS = ("max_attempts", "max_retries")
"""The two settings that count, one with the first attempt, the other without."""


def explained(
    *,
    options: Callable[..., Any] | None = None,
    transport: Callable[..., Any] | None = None,
    client: Callable[..., Any] | None = None,
) -> Callable[[T], T]:
    """A decorator of a class or function: if a keyword is unknown, the `TypeError` says what was probably meant.

    `options`: the constructor of a library that is given all other keywords. `transport`, `client`: constructors whose keywords
    belong to the transport inside, or to the client outside. The signature stays as it is, for checkers and `inspect` too.
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
                name = callee.unknown(kwargs, error)
                if name is None:
                    raise
                raise callee.error(name, kwargs[name]) from None

        if init:
            target.__init__ = wrapper
        else:
            target = wrapper
        return cast(T, target)

    return decorate


class _Callee(NamedTuple):
    """What was called, and where else its keywords may belong: see `explained`."""

    name: str
    function: Callable[..., Any]
    options: Callable[..., Any] | None
    transport: Callable[..., Any] | None
    client: Callable[..., Any] | None

    def unknown(self, given: Mapping[str, Any], error: TypeError) -> str | None:
        """The keyword that nothing takes; None if the error is about something else."""
        own = _names(self.function)
        others = [name for name in given if name not in own]
        if not _takes_any(self.function):
            return next(iter(others), None)
        refused = re.search(r"unexpected keyword argument '(\w+)'", str(error))  # the library's own refusal
        if refused is not None and refused[1] in others:
            return refused[1]
        if self.options is None or _takes_any(self.options):
            return None
        theirs = _names(self.options)
        return next((name for name in others if name not in theirs), None)

    def error(self, name: str, value: object) -> TypeError:
        return TypeError(f"{self.name} got an unexpected keyword argument {name!r}: {self._way_out(name, value)}")

    def _way_out(self, name: str, value: object) -> str:
        own = _names(self.function)
        parts = list(_parts(own))
        ours = _synonym(name, value, own)
        if ours is not None:
            return _did_you_mean(name, value, ours)
        for find in (_same, _synonym):
            found = [(setting, kind, find(name, value, _names(kind))) for setting, kind in parts]
            ways = [_nested(setting, kind.__name__, name, value, ours) for setting, kind, ours in found if ours is not None]
            if ways:
                return f"give {' or '.join(ways)}"
        if self.transport is not None and name in _names(self.transport):
            return f"give {_nested('transport', _shown(self.transport), name, value, name)}"
        if self.client is not None and name in _names(self.client):
            client = f"{_shown(self.client)}(transport={self.name}(...), {_argument(name, value, name)})"
            return f"{name} belongs to the client: {client}"
        theirs = () if self.options is None else _names(self.options)
        ours = _similar(name, [*own, *theirs])
        if ours is not None:
            return _did_you_mean(name, value, ours)
        for setting, kind in parts:
            ours = _similar(name, _names(kind))
            if ours is not None:
                return f"did you mean {_nested(setting, kind.__name__, name, value, ours)}?"
        others = "" if self.options is None else f", and the keywords of {_shown(self.options)}"
        return f"it takes {', '.join(own)}{others}"


def option_like(name: str, value: object) -> str | None:
    """How `ratewise.options()` spells a keyword that was given elsewhere, with its value; None if it has none like it."""
    known = _names(_public("options"))
    ours = _same(name, value, known) or _synonym(name, value, known)
    return None if ours is None else _argument(name, value, ours)


def _same(name: str, value: object, known: Iterable[str]) -> str | None:
    return name if name in known else None


def _synonym(name: str, value: object, known: Iterable[str]) -> str | None:
    if "retry" in known and isinstance(value, bool) and name in ("retries", "max_retries"):
        return "retry"
    return next((ours for ours in known if name in OTHER_NAMES.get(ours, "").split()), None)


def _similar(name: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches  # loaded only after a mistake

    return next(iter(get_close_matches(name, list(known), 1)), None)


def _did_you_mean(name: str, value: object, ours: str) -> str:
    if ours not in COUNT_SETTINGS or _attempts(ours) == _attempts(name):
        return f"did you mean {ours!r}?"
    first = "included" if _attempts(ours) else "not counted"
    return f"did you mean {ours!r} (the first attempt {first}): {_argument(name, value, ours)}?"


def _nested(setting: str, kind: str, name: str, value: object, ours: str) -> str:
    return f"{setting}={kind}({_argument(name, value, ours)})"


def _argument(name: str, value: object, ours: str) -> str:
    """As it is to be written; a value that might hold a secret is not shown."""
    if ours in COUNT_SETTINGS and type(value) is int:
        value = max(value + _attempts(ours) - _attempts(name), _attempts(ours))
    return f"{ours}={value!r}" if value is None or isinstance(value, (bool, int, float)) else f"{ours}=..."


def _attempts(name: str) -> bool:
    """The name is one of a number of attempts, the first included; else of a number of retries."""
    return "retr" not in name and ("attempt" in name or "tries" in name)


def _parts(own: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The settings that are objects of ours, by their annotations, and the classes of these."""
    for setting, parameter in own.items():
        kind = str(parameter.annotation).partition(" ")[0]
        kind = STANDS_FOR.get(kind, kind)
        if kind in _public("__all__"):
            yield setting, _public(kind)


def _public(name: str) -> Any:
    """What this package has under a public name; loads it."""
    return getattr(import_module(__name__.partition(".")[0]), name)


def _names(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters that can be given by keyword, without `self`."""
    found = signature(function).parameters.values()
    named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return {one.name: one for one in found if one.kind in named and one.name != "self"}


def _takes_any(function: Callable[..., Any]) -> bool:
    return any(one.kind is one.VAR_KEYWORD for one in signature(function).parameters.values())


def _shown(kind: Any) -> str:
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
