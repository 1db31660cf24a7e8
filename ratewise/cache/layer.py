"""The cache around a transport."""

from __future__ import annotations

import logging
import math
from typing import Any

from .._core.call_state import CallState
from .._core.exchange import exchange_with, state_of
from .._core.order import LayerKind, Ordered
from .._validation import refusal
from ..exceptions import RateWiseError
from ..layer import Call, Q, R
from . import rules
from .conditions import ORIGINS
from .config import CacheConfig
from .directives import Fields, joined
from .entry import Entry
from .fetch import EVENTS, Fetcher, or_close
from .key import Keys
from .lookup import Asked, Served, noted, only_if_cached
from .rules import Use
from .single_flight import Flight, Outcome, follow
from .stores.base import Cache
from .stores.memory import InMemoryCache

logger = logging.getLogger("ratewise")

PASSED = ORIGINS | {b"upgrade", b"content-length", b"transfer-encoding"}
"""A request with one of these is the server's business alone: a condition only it can judge, another protocol, a body."""

LATE = 1.0
"""Seconds that looking into a store takes at most, about."""

SPECIAL = PASSED | rules.OWN | {b"cache-control", b"pragma"}
"""A request with none of these takes what is fresh."""


class CacheLayer(Ordered):
    """Answers a request from a store of responses where that is allowed, and stores the responses that may be."""

    kind: LayerKind | None = "cache"

    def __init__(self, cache: Cache | None = None, config: CacheConfig | None = None) -> None:
        if not isinstance(cache, (Cache, type(None))):
            raise TypeError(refusal("cache", cache, "an InMemoryCache, a SQLiteCache, a RedisCache or another CacheBackend"))
        if not isinstance(config, (CacheConfig, type(None))):
            raise TypeError(refusal("cache_config", config, "a CacheConfig"))
        self.cache: Cache = InMemoryCache() if cache is None else cache
        self.config = config or CacheConfig()
        if self.config.mode == "force" and self.cache.ttl is None:
            raise ValueError(refusal("ttl", None, 'a number of seconds for a cache with the mode "force"'))
        self._store = self.cache._ratewise_store
        self._keys: Keys | None = None
        self._fetcher = Fetcher(self.cache, self.config)

    def __repr__(self) -> str:
        return f"CacheLayer({self.cache!r}, {self.config!r})"

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Answer the request from the store, or send it."""
        http, method = call.http, request.method
        fields = joined(http.fields(request.headers))
        store, keys = self._store, self._keys
        if keys is None or keys.secret is not store.secret:
            keys = await self._prepared(call)
        if method not in ("GET", "HEAD"):
            return await self._pass(request, fields, keys, call)  # type: ignore[no-any-return]
        state = state_of(request)
        wish = state.options.cache
        plain = SPECIAL.isdisjoint(fields)
        if wish == "bypass" or not (plain or PASSED.isdisjoint(fields)) or EVENTS in fields.get(b"accept", b""):
            return noted(await call.send(request), "fwd=bypass", call)  # type: ignore[no-any-return]
        if keys is None:
            if "only-if-cached" in rules.asks(fields):
                return only_if_cached(call)  # type: ignore[no-any-return]
            store.count("misses")
            return noted(await call.send(request), 'fwd=miss; detail="the store fails"', call)  # type: ignore[no-any-return]
        key = keys.key(http.target(request.url), fields)
        entries, number = store.find(key), 0
        if entries is None:
            number = store.order.begin()  # before the look, which takes time
            entries = await store.load(key, call)
        entry = keys.selected(entries, fields, method) if entries else None
        if plain and entry is not None and wish is None:  # the short way
            age, policy = call.clock.time() - entry.born, entry.policy
            if 0 <= age < policy.lifetime and not policy.no_cache:
                store.hit()
                body = entry.body if method == "GET" else b""
                return http.respond(entry.status, Served(entry.head, int(age), b"hit", int(policy.lifetime - age)), body)
        asked = Asked(request, state, call, number or store.order.begin(), fields, keys, key, entries, entry)
        if entry is not None and wish is None:
            use = rules.usable(entry.policy, asked.age(entry), asked.control, self.config)
            found: Any = None if use is Use.VALIDATE else asked.answer(entry, "hit")
            if found is not None:
                store.hit()
                if use is Use.REFRESH and "only-if-cached" not in asked.control:
                    self._refresh(asked, entry)
                return found  # type: ignore[no-any-return]
        if "only-if-cached" in asked.control:
            return only_if_cached(call)  # type: ignore[no-any-return]
        return await self._ask(asked)  # type: ignore[no-any-return]

    def _made(self, secret: bytes) -> Keys:
        config = self.config  # what is stored under other rules is none of ours
        partition = None if config.partition is None else sorted(config.partition)
        space = repr((self.cache.namespace, config.mode, config.shared, partition, config.targeted))
        return Keys(secret, space, config.partition)

    async def _prepared(self, call: Call[Any, Any]) -> Keys | None:
        secret = await self._store.prepare(call)
        if secret is not None:
            self._keys = self._made(secret)
        return self._keys

    async def _pass(self, request: Any, fields: Fields, keys: Keys | None, call: Call[Any, Any]) -> Any:
        """A request that no stored response answers. 4.4: what it has changed is no longer as it is stored."""
        response = await call.send(request)
        if rules.invalidates(request.method, response.status_code):
            if keys is None:
                self._store.distrust(call)
            else:
                await or_close(self._invalidate(request, response, fields, keys, call), response, request, call)
        return noted(response, "fwd=method", call)

    async def _invalidate(self, request: Any, response: Any, fields: Fields, keys: Keys, call: Call[Any, Any]) -> None:
        """4.4: the target URI, and those that the response names."""
        http, said = call.http, joined(call.http.fields(response.headers))
        references = [said[name].decode("latin-1") for name in (b"location", b"content-location") if name in said]
        targets = {http.target(request.url), *(http.resolve(request, reference) for reference in references)}
        for target in targets:
            if target is not None:
                key = keys.key(target, fields)
                self._store.order.invalidate(key)
                await self._store.drop(key, call)

    async def _ask(self, asked: Asked) -> Any:
        """Send the request, unless one is under way whose answer is good for both."""
        flights, call, config = self._store.flights, asked.call, self.config
        varied = asked.entries[0].vary if asked.entries else ()
        until = min(asked.began + config.max_wait, asked.state.deadline or math.inf)
        flight = None
        while asked.shareable and call.clock.monotonic() < until:
            flight_key = (asked.key, asked.keys.selector(varied, asked.fields))
            joins = flights.join(flight_key, call.current_task(), call.clock.monotonic(), config.max_wait)
            if joins is None:
                break
            flight, waiter = joins
            if waiter is None:
                again = await self._again(asked, flight)
                if again is None:
                    break
                return again
            await follow(flight, waiter, until, call)
            found, flight = flight.outcome, None
            if isinstance(found, Entry):
                if asked.keys.selected((found,), asked.fields, "GET") is None:  # it is in another language, say
                    varied = found.vary
                    continue
                if asked.age(found) < found.policy.lifetime:
                    self._store.hit()
                    return asked.answer(found, f"fwd={asked.forward}; collapsed")
            if found is not Outcome.FAILED:
                break
        self._store.count("misses")
        return await self._fetcher.fetch(asked, flight)

    async def _again(self, asked: Asked, flight: Flight) -> Any:
        """What another one has stored since this request looked, if it may be used; the flight is over then."""
        store = self._store
        entries = store.find(asked.key)
        if entries is None:
            if not store.flights.landed.known_since(flight.key, asked.began - LATE):
                return None
            entries = await store.load(asked.key, asked.call)
        entry = asked.keys.selected(entries, asked.fields, "GET") if entries is not asked.stored else None
        if entry is None or entry.policy.no_cache or asked.age(entry) >= entry.policy.lifetime:
            return None
        store.flights.land(flight, entry, asked.call.clock.monotonic())
        store.hit()
        return asked.answer(entry, "hit")

    def _refresh(self, asked: Asked, stale: Entry) -> None:
        """RFC 5861, 3: ask for anew what is being served stale, once, behind the request."""
        flights, call, max_wait = self._store.flights, asked.call, self.config.max_wait
        flight_key = (asked.key, asked.keys.selector(stale.vary, asked.fields))
        if flights.under_way(flight_key, call.clock.monotonic(), max_wait):
            return
        state = CallState()
        state.options, state.redactor, state.streamed = asked.state.options, asked.state.redactor, False
        asked.state = state
        asked.request = call.http.detached(
            asked.request, exchange_with(state), rules.OWN
        )  # the whole, and not what its caller lacks
        asked.fields = {name: value for name, value in asked.fields.items() if name not in rules.OWN}

        async def refresh() -> None:
            flight = flights.begin(flight_key, call.current_task(), call.clock.monotonic(), max_wait)
            if flight is None:
                return  # another one was quicker
            try:
                response = await self._fetcher.fetch(asked, flight)
                await call.http.buffer(response)
                await call.close(response)
            except (call.http.TransportError, RateWiseError) as error:
                url, why = state.redactor.url(asked.request.url), type(error).__name__
                logger.warning("Cache: %s is stale, and could not be refreshed (%s)", url, why, extra=state.log_fields)

        call.spawn(refresh)
