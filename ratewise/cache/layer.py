"""The layer that answers requests from a store of responses."""

from __future__ import annotations

import logging
import math
from typing import Any

from .._core.call_state import CallState
from .._core.exchange import Exchange, state_of
from .._core.order import LayerKind, Ordered
from .._core.own_clock import OwnClock
from .._validation import refusal
from ..exceptions import RateWiseError
from ..layer import Call, Q, R
from . import rules
from .conditions import ORIGIN_CONDITIONS
from .config import CacheConfig
from .directives import FieldValues, joined
from .entry import Entry
from .fetch import EVENTS, Fetcher, or_close
from .key import Keys
from .lookup import Lookup, ServedHead, gateway_timeout, with_cache_status
from .rules import Use
from .single_flight import Lead, NoResult, follow
from .stores.base import Cache
from .stores.memory import InMemoryCache

logger = logging.getLogger("ratewise")

SERVER_ONLY = ORIGIN_CONDITIONS | {b"upgrade", b"content-length", b"transfer-encoding"}
"""Request fields that only the server can answer: a condition that only it can evaluate, another protocol, a body."""

LOAD_TIME = 1.0
"""Seconds that a look into a store is assumed to take at most."""

RELEVANT = SERVER_ONLY | rules.CONDITIONAL | {b"cache-control", b"pragma"}
"""Request fields that matter to the cache. A request with none of them takes any fresh response."""


class CacheLayer(Ordered):
    """Answers requests from a store of responses where RFC 9111 allows it, and stores the responses that may be stored.

    - `cache`: the store, which other layers may share; None for an `InMemoryCache` of its own.
    - `config`: how the cache behaves; None for `CacheConfig()`.

    Raises `TypeError` for another value, and `ValueError` for the mode "force" with a store that has no `ttl`.
    """

    _kind: LayerKind | None = "cache"

    def __init__(self, cache: Cache | None = None, config: CacheConfig | None = None) -> None:
        if not isinstance(cache, (Cache, type(None))):
            raise TypeError(refusal("cache", cache, "an InMemoryCache, a SQLiteCache, a RedisCache or another CacheBackend"))
        if not isinstance(config, (CacheConfig, type(None))):
            raise TypeError(refusal("cache_config", config, "a CacheConfig"))
        if cache is not None and not hasattr(cache, "_ratewise_store"):
            raise TypeError(f"{type(cache).__name__}.__init__ must call super().__init__()")
        self.cache: Cache = InMemoryCache() if cache is None else cache
        self.config = config or CacheConfig()
        if self.config.mode == "force" and self.cache.ttl is None:
            raise ValueError(refusal("ttl", None, 'a number of seconds for a cache with the mode "force"'))
        self._store = self.cache._ratewise_store
        self._keys: Keys | None = None
        self._fetcher = Fetcher(self.cache, self.config)

    def __repr__(self) -> str:
        return f"CacheLayer({self.cache!r}, {self.config!r})"

    @property
    def _own_clock(self) -> OwnClock:
        return self.cache._ratewise_store.clock

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Answer the request from the store, or send it."""
        http, method = call.http, request.method
        fields = joined(http.fields(request.headers))
        store, keys = self._store, self._keys
        if keys is None or keys.secret is not store.secret:
            keys = await self._prepared_keys(call)
        if method not in ("GET", "HEAD"):
            return await self._pass(request, fields, keys, call)  # type: ignore[no-any-return]
        state = state_of(request)
        option = state.options.cache
        plain = RELEVANT.isdisjoint(fields)
        if option == "bypass" or not (plain or SERVER_ONLY.isdisjoint(fields)) or EVENTS in fields.get(b"accept", b""):
            return with_cache_status(await call.send(request), "fwd=bypass", call)  # type: ignore[no-any-return]
        if keys is None:
            if "only-if-cached" in rules.request_directives(fields):
                return gateway_timeout(call)  # type: ignore[no-any-return]
            store.count("misses")
            return with_cache_status(await call.send(request), 'fwd=miss; detail="store unavailable"', call)  # type: ignore[no-any-return]
        key = keys.key(http.target(request.url), fields)
        entries, number = store.find(key), 0
        if entries is None:
            number = store.order.begin()  # before the look, which takes time
            entries = await store.load(key, call)
        entry = keys.selected(entries, fields, method) if entries else None
        if plain and entry is not None and option is None:  # the common case, without a `Lookup`
            age, policy = call.clock.time() - entry.born, entry.policy
            if 0 <= age < policy.lifetime and not policy.no_cache:
                store.hit()
                body = entry.body if method == "GET" else b""
                return http.respond(entry.status, ServedHead(entry.head, int(age), b"hit", int(policy.lifetime - age)), body)
        lookup = Lookup(request, state, call, number or store.order.begin(), fields, keys, key, entries, entry)
        if entry is not None and option is None:
            use = rules.usable(entry.policy, lookup.age(entry), lookup.control, self.config)
            found: Any = None if use is Use.VALIDATE else lookup.answer(entry, "hit")
            if found is not None:
                store.hit()
                if use is Use.REFRESH and "only-if-cached" not in lookup.control:
                    self._refresh(lookup, entry)
                return found  # type: ignore[no-any-return]
        if "only-if-cached" in lookup.control:
            return gateway_timeout(call)  # type: ignore[no-any-return]
        return await self._ask(lookup)  # type: ignore[no-any-return]

    async def _prepared_keys(self, call: Call[Any, Any]) -> Keys | None:
        """Return the keys made with the store's secret; None if the store cannot be reached."""
        secret = await self._store.prepare(call)
        if secret is not None:
            config = self.config  # part of each key: entries stored under other settings are not to be found
            partition = None if config.partition is None else sorted(config.partition)
            space = repr((self.cache.namespace, config.mode, config.shared, partition, config.targeted))
            self._keys = Keys(secret, space, config.partition)
        return self._keys

    async def _pass(self, request: Any, fields: FieldValues, keys: Keys | None, call: Call[Any, Any]) -> Any:
        """Send a request that no stored response answers, and invalidate what it has changed (RFC 9111, 4.4)."""
        response = await call.send(request)
        if rules.invalidates(request.method, response.status_code):
            if keys is None:
                self._store.distrust(call)
            else:
                await or_close(self._invalidate(request, response, fields, keys, call), response, request, call)
        return with_cache_status(response, "fwd=method", call)

    async def _invalidate(self, request: Any, response: Any, fields: FieldValues, keys: Keys, call: Call[Any, Any]) -> None:
        """RFC 9111, 4.4: invalidate the target URI, and those that Location and Content-Location of the response name."""
        http, received = call.http, joined(call.http.fields(response.headers))
        references = [received[name].decode("latin-1") for name in (b"location", b"content-location") if name in received]
        targets = {http.target(request.url), *(http.resolve(request, reference) for reference in references)}
        for target in targets:
            if target is not None:
                key = keys.key(target, fields)
                self._store.order.invalidated(key)
                await self._store.drop(key, call)

    async def _ask(self, lookup: Lookup) -> Any:
        """Send the request, unless one is in progress whose response answers both."""
        single_flight, call, config = self._store.single_flight, lookup.call, self.config
        vary = lookup.entries[0].vary if lookup.entries else ()
        until = min(lookup.began + config.max_wait, lookup.state.deadline or math.inf)
        lead = None
        while lookup.shareable and call.clock.monotonic() < until:
            shared_key = (lookup.key, lookup.keys.selector(vary, lookup.fields))
            joined_request = single_flight.join(shared_key, call.current_task(), call.clock.monotonic(), config.max_wait)
            if joined_request is None:
                break
            if isinstance(joined_request, Lead):
                lead = joined_request
                stored = await self._stored_meanwhile(lookup, lead)
                if stored is None:
                    break
                return stored
            shared, waiter = joined_request
            await follow(shared, waiter, until, call)
            found = shared.result
            if isinstance(found, Entry):
                if lookup.keys.selected((found,), lookup.fields, "GET") is None:  # another variant, such as another language
                    vary = found.vary
                    continue
                if lookup.age(found) < found.policy.lifetime:
                    self._store.hit()
                    return lookup.answer(found, f"fwd={lookup.forward}; collapsed")
            if found is not NoResult.FAILED:
                break
        self._store.count("misses")
        return await self._fetcher.fetch(lookup, lead)

    async def _stored_meanwhile(self, lookup: Lookup, lead: Lead) -> Any:
        """Return a response that another request has stored since this one looked, and finish `lead`; None if there is none."""
        store = self._store
        entries = store.find(lookup.key)
        if entries is None:
            if not store.single_flight.finished.known_since(lead.shared.key, lookup.began - LOAD_TIME):
                return None
            entries = await store.load(lookup.key, lookup.call)
        entry = lookup.keys.selected(entries, lookup.fields, "GET") if entries is not lookup.stored else None
        if entry is None or entry.policy.no_cache or lookup.age(entry) >= entry.policy.lifetime:
            return None
        store.single_flight.finish(lead, entry, lookup.call.clock.monotonic())
        store.hit()
        return lookup.answer(entry, "hit")

    def _refresh(self, lookup: Lookup, stale: Entry) -> None:
        """RFC 5861, 3: fetch in the background, once, what is being served stale."""
        single_flight, call, max_wait = self._store.single_flight, lookup.call, self.config.max_wait
        shared_key = (lookup.key, lookup.keys.selector(stale.vary, lookup.fields))
        if single_flight.in_progress(shared_key, call.clock.monotonic(), max_wait):
            return
        state = CallState()
        state.options, state.redactor, state.streamed = lookup.state.options, lookup.state.redactor, False
        lookup.state = state
        # Without conditions and ranges of the caller: the whole response is wanted.
        lookup.request = call.http.detached(lookup.request, Exchange(state), rules.CONDITIONAL)
        lookup.fields = {name: value for name, value in lookup.fields.items() if name not in rules.CONDITIONAL}

        async def refresh() -> None:
            lead = single_flight.begin(shared_key, call.current_task(), call.clock.monotonic(), max_wait)
            if lead is None:
                return  # another refresh has begun since
            try:
                response = await self._fetcher.fetch(lookup, lead)
                await call.http.buffer(response)
                await call.close(response)
            except (call.http.TransportError, RateWiseError) as error:
                url, kind = state.redactor.url(lookup.request.url), type(error).__name__
                logger.warning("Cache: refreshing the stale response of %s failed (%s)", url, kind, extra=state.log_fields)

        call.spawn(refresh)
