"""What comes of a request that the store does not answer: it is sent, and what the server says is stored, or not."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from typing import Any

from ..exceptions import RateWiseError
from ..layer import Call
from . import rules
from .config import CacheConfig
from .directives import Fields, joined, length_of
from .entry import Entries, Entry, Field, Policy, pack
from .lookup import Asked, noted
from .single_flight import Flight, Outcome, Recorder
from .stores.base import Cache

logger = logging.getLogger("ratewise")

VARIANTS = 8
"""Responses that are kept of one URL at most."""

EVENTS = b"text/event-stream"


class Fetcher:
    """Sends requests for a cache."""

    def __init__(self, cache: Cache, config: CacheConfig) -> None:
        self._cache, self._store, self._config = cache, cache._ratewise_store, config

    async def fetch(self, asked: Asked, flight: Flight | None = None) -> Any:
        """Send a request, with what it takes to learn whether what is stored is still good."""
        call = asked.call
        # A part of something tells nothing of the whole.
        conditions = {} if b"range" in asked.fields else rules.conditions(asked.entries, asked.entry, asked.fields)
        sent = call.http.with_headers(asked.request, conditions) if conditions else asked.request
        try:
            try:
                response = await call.send(sent)
                if response.status_code == 304 and conditions:
                    found = await or_close(self._revalidated(asked, response, sent, flight), response, sent, call)
                    if found is not None:
                        return found
                    sent = asked.request
                    response = await call.send(sent)  # that was about something else
            except (call.http.TransportError, RateWiseError) as error:
                stale = self._stale(asked, f'detail="{type(error).__name__}"')
                if stale is None:
                    raise
                return stale
            status = response.status_code
            if status in rules.ERRORS or (status == 429 and self._config.stale_if_error > 0):
                stale = self._stale(asked, f"fwd-status={status}")
                if stale is not None:
                    await call.close(response, sent)
                    return stale
            return await or_close(self._taken(asked, response, flight), response, sent, call)
        finally:
            if flight is not None and flight.outcome is None and not flight.reading:
                self._land(asked, flight, Outcome.FAILED)

    def _stale(self, asked: Asked, why: str) -> Any:
        """RFC 5861, 4: what is stored, instead of an error; None if that is not allowed."""
        entry = asked.entry
        if entry is None or not rules.instead_of_error(entry.policy, asked.age(entry), asked.control, self._config):
            return None
        found = asked.answer(entry, f"fwd=stale; {why}")
        if found is not None:
            url, told = asked.state.redactor.url(asked.request.url), asked.state.log_fields
            logger.warning("Cache: %s is answered from the store, for the server cannot (%s)", url, why, extra=told)
        return found

    async def _taken(self, asked: Asked, response: Any, flight: Flight | None) -> Any:
        """Store a response if it may be: now, or when its body has been read."""
        call, http, method, status = asked.call, asked.call.http, asked.request.method, response.status_code
        received, raw = call.clock.time(), http.fields(response.headers)
        fields = joined(raw)
        vary, date = rules.varies(fields), rules.dated(fields, received)
        if method == "HEAD" and rules.replaces(status):
            await self._headed(asked, status, raw, fields, received)
        policy = self._policy(asked, method, status, fields, date)
        length = length_of(fields)
        body = b"" if method == "HEAD" else http.buffered_body(response)
        size = length if body is None else len(body)
        if size is not None and size > self._config.max_body_size:
            policy = "too large"
        elif body is None and EVENTS in fields.get(b"content-type", b""):
            policy = "event stream"
        if isinstance(policy, str):
            return await self._passed(asked, response, fields, policy, flight)
        head, born = pack(rules.kept(raw, fields, received), rules.UNSTORED), rules.born(fields, date, asked.sent_at, received)
        selector, head_only = asked.keys.selector(vary, asked.fields), method == "HEAD"
        self._store.order.tell((asked.key, vary, selector), asked.number)

        async def keep(body: bytes) -> bool:
            if length is not None and length != len(body) and not head_only:  # 3.3: an incomplete one is not stored
                return False
            entry = Entry(
                status,
                head,
                body,
                born=born,
                received=received,
                policy=policy,
                vary=vary,
                selector=selector,
                head_only=head_only,
            )
            return await self._keep(asked, [entry], entry, flight)

        if body is not None:
            note = "; stored" if await keep(body) else ""
            return noted(response, f"fwd={asked.forward}{note}", call)
        await self._outdated(asked, vary)  # now, and not when its reader is done with it, if ever
        if flight is not None:
            flight.reading = True
        response = noted(response, f"fwd={asked.forward}; stored", call)
        return http.tap(response, Recorder(keep, self._config.max_body_size, self._store.flights, flight, call.clock))

    async def _passed(self, asked: Asked, response: Any, fields: Fields, why: str, flight: Flight | None) -> Any:
        """Hand on a response that is not stored."""
        if rules.replaces(response.status_code):
            self._store.order.tell(asked.key, asked.number)
            await self._outdated(asked, rules.varies(fields))
        elif rules.contradicts(asked.entry, fields):
            await self._outdated(asked)
        if response.status_code < 500 and response.status_code != 429:  # after a failure another one may try
            self._land(asked, flight, Outcome.UNSHARED)
        return noted(response, f'fwd={asked.forward}; detail="{why}"', asked.call)

    async def _revalidated(self, asked: Asked, response: Any, sent: Any, flight: Flight | None) -> Any:
        """4.3.4: freshen what a 304 is about, and answer with it; None if it is about nothing that is stored."""
        call = asked.call
        received, raw = call.clock.time(), call.http.fields(response.headers)
        note = f"fwd={asked.forward}; fwd-status=304"
        said = joined(raw)
        # One without a validator may be about a tag of the caller's own: then that is to be asked by itself.
        unsure = b"if-none-match" in asked.fields and b"etag" not in said and b"last-modified" not in said
        about = () if unsure else rules.identified(asked.entries, asked.entry, said)
        if rules.contradicts(asked.keys.selected(asked.stored, asked.fields, "GET"), said):
            await self._outdated(asked)
        if not (about or unsure or rules.OWN.isdisjoint(asked.fields)):  # its caller has what it is about
            return noted(response, note, call)
        await call.close(response, sent)
        if not about:
            return None
        self._store.count("revalidated")
        selected = asked.entry if asked.entry in about else about[0]
        found, news, gone = selected, [], []
        for old in about:
            new = self._updated(asked, old, raw, received, selected is old)
            if selected is old:
                found = new
                self._store.order.tell(_part(asked, new), asked.number)
            if new.policy is GONE:
                gone.append(old)
            elif _news(old, new, asked):
                news.append(new)
        await self._keep(asked, news, found, flight, gone)
        return asked.answer(found, note)

    async def _headed(self, asked: Asked, status: int, raw: Sequence[Field], fields: Fields, received: float) -> None:
        """4.3.5: what a HEAD says of a stored response to GET."""
        stored = asked.keys.selected(asked.stored, asked.fields, "GET")
        if stored is None:
            return
        new = self._updated(asked, stored, raw, received, selected=True)
        if status == stored.status and rules.freshens(stored, fields) and new.policy is not GONE:
            await self._keep(asked, [new], new, None)
        else:
            await self._outdated(asked, rules.varies(fields))

    def _updated(self, asked: Asked, old: Entry, raw: Sequence[Field], received: float, selected: bool) -> Entry:
        """A stored response with the fields of a 304 or a HEAD. `selected`: it is what this very request is about."""
        said = joined(raw)
        merged = rules.updated(old, raw, said, received)
        fields = joined(merged)
        date = rules.dated(fields, received)  # the stored one has gone, or been replaced
        policy = self._policy(asked, "HEAD" if old.head_only else "GET", old.status, fields, date)
        vary = rules.varies(fields)
        return Entry(
            old.status,
            pack(merged),
            old.body,
            born=rules.born(said, date, asked.sent_at, received),
            received=received,
            policy=GONE if isinstance(policy, str) else policy,
            vary=vary if selected else old.vary,
            selector=asked.keys.selector(vary, asked.fields) if selected else old.selector,
            head_only=old.head_only,
        )

    def _policy(self, asked: Asked, method: str, status: int, fields: Fields, date: float) -> Policy | str:
        ttl = asked.state.options.cache_ttl
        ttl = self._cache.ttl if ttl is None else ttl
        return rules.storable(method, asked.fields, status, fields, self._config, ttl, date)

    async def _keep(
        self, asked: Asked, new: Sequence[Entry], shared: Entry, flight: Flight | None, gone: Sequence[Entry] = ()
    ) -> bool:
        """Store entries in place of those that they supersede, and let those go who wait for one of them."""
        usable = shared.policy.lifetime > asked.age(shared) and not shared.policy.no_cache
        order = self._store.order

        def merged(stored: Entries) -> Entries:
            # An answer that was asked for before a later one, or before something changed, may be older than that.
            for part in (asked.key, *[_part(asked, entry) for entry in new]):
                if order.later(part, asked.number):
                    return stored
            return _merged(new, stored, gone)

        kept = False
        try:
            kept = bool(new or gone) and await self._store.change(asked, merged, lambda entry: self._use(entry, asked))
            if kept:
                self._store.count("stores", len(new))
            return kept
        finally:
            later = order.later(asked.key, asked.number)
            self._land(asked, flight, shared if usable and not later else Outcome.UNSHARED)

    async def _outdated(self, asked: Asked, vary: tuple[bytes, ...] | None = None) -> None:
        """What is stored for a request is so no longer; nor is what varies by something else, where the newer answer says so."""
        keys, fields = asked.keys, asked.fields

        def rest(stored: Entries) -> Entries:
            others = tuple(
                entry
                for entry in stored
                if entry.vary and entry.selector != keys.selector(entry.vary, fields) and (vary is None or entry.vary == vary)
            )
            return others if len(others) < len(stored) else stored

        if asked.stored:
            await self._store.change(asked, rest, lambda entry: self._use(entry, asked))

    def _use(self, entry: Entry, asked: Asked) -> float:
        """Seconds for which it may be of use yet."""
        policy, config = entry.policy, self._config
        stale = max(rules.stale_for(policy, config), config.keep_stale if policy.checkable else 0.0)
        return max(policy.lifetime - asked.age(entry) + stale, 1.0)

    def _land(self, asked: Asked, flight: Flight | None, outcome: Entry | Outcome) -> None:
        if flight is not None:
            self._store.flights.land(flight, outcome, asked.call.clock.monotonic())


async def or_close(work: Awaitable[Any], response: Any, request: Any, call: Call[Any, Any]) -> Any:
    """What is done with a response. If that is cancelled while a store takes its time, its connection is given back."""
    try:
        return await work
    except BaseException:
        await call.close(response, request)
        raise


GONE = Policy(-1.0, no_cache=True)
"""Of what may not be stored any more."""


def _news(old: Entry, new: Entry, asked: Asked) -> bool:
    """It is worth a write: it can be used again without asking, or more about it has changed than its date."""
    if new.policy.lifetime > asked.age(new) and not new.policy.no_cache:
        return True
    before, after = ([field for field in entry.fields if field[1] != b"date"] for entry in (old, new))
    return before != after or (old.vary, old.selector) != (new.vary, new.selector)


def _part(asked: Asked, entry: Entry) -> tuple[object, ...]:
    """Which of the responses under a key it is."""
    return asked.key, entry.vary, entry.selector


def _merged(new: Sequence[Entry], stored: Entries, gone: Sequence[Entry]) -> Entries:
    """The new entries and, of the stored ones, those that they do not supersede, the latest first."""
    if not stored:
        return tuple(new)
    superseding = {(entry.vary, entry.selector) for entry in (*new, *gone)}
    whole = any(not entry.head_only for entry in (*new, *gone))
    others = [entry for entry in stored if (entry.vary, entry.selector) not in superseding or not (whole or entry.head_only)]
    if any(other.vary != entry.vary and other.received >= entry.received for other in others for entry in new):
        return stored  # it varies by something else now
    return (*new, *others)[:VARIANTS]
