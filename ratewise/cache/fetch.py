"""Sending a request that the store does not answer, and storing the response."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from typing import Any

from ..exceptions import RateWiseError
from ..layer import Call
from . import rules
from .config import CacheConfig
from .directives import FieldValues, joined, length_of
from .entry import Entries, Entry, Field, Policy, pack
from .lookup import Lookup, with_cache_status
from .single_flight import Lead, NoResult, Recorder
from .stores.base import Cache

logger = logging.getLogger("ratewise")

MAX_VARIANTS = 8
"""Responses stored of one URL, at most: one for each variant."""

EVENTS = b"text/event-stream"
"""The media type of event streams, which are neither stored nor waited for."""


class Fetcher:
    """Sends requests to the server, and stores and updates responses."""

    def __init__(self, cache: Cache, config: CacheConfig) -> None:
        self._cache, self._store, self._config = cache, cache._ratewise_store, config

    async def fetch(self, lookup: Lookup, lead: Lead | None = None) -> Any:
        """Send a request, with conditions that let the server confirm what is stored."""
        call = lookup.call
        # The response to a range request says nothing about the whole.
        checkable = lookup.entries and b"range" not in lookup.fields
        conditions = rules.conditions(lookup.entries, lookup.entry, lookup.fields) if checkable else {}
        sent = call.http.with_headers(lookup.request, conditions) if conditions else lookup.request
        try:
            try:
                response = await call.send(sent)
                if response.status_code == 304 and conditions:
                    found = await or_close(self._revalidated(lookup, response, sent, lead), response, sent, call)
                    if found is not None:
                        return found
                    sent = lookup.request
                    response = await call.send(sent)  # the 304 was not about anything stored
            except (call.http.TransportError, RateWiseError) as error:
                name = type(error).__name__
                stale = self._stale(lookup, name, f'detail="{name}"')
                if stale is None:
                    raise
                return stale
            status = response.status_code
            if status in rules.ERRORS or (status == 429 and self._config.stale_if_error > 0):
                stale = self._stale(lookup, status, f"fwd-status={status}")
                if stale is not None:
                    await call.close(response, sent)
                    return stale
            return await or_close(self._received(lookup, response, lead), response, sent, call)
        finally:
            if lead is not None and lead.shared.result is None and not lead.shared.reading:
                self._finish(lookup, lead, NoResult.FAILED)

    def _stale(self, lookup: Lookup, cause: object, note: str) -> Any:
        """RFC 5861, 4: return a stored response in place of an error; None if that is not allowed."""
        entry = lookup.entry
        if entry is None or not rules.instead_of_error(entry.policy, lookup.age(entry), lookup.control, self._config):
            return None
        found = lookup.answer(entry, f"fwd=stale; {note}")
        if found is not None:
            url, extra = lookup.state.redactor.url(lookup.request.url), lookup.state.log_fields
            logger.warning("Cache: serving a stale response of %s: server unavailable (%s)", url, cause, extra=extra)
        return found

    async def _received(self, lookup: Lookup, response: Any, lead: Lead | None) -> Any:
        """Store a response that may be stored: now, or when its body has been read."""
        call, http, method, status = lookup.call, lookup.call.http, lookup.request.method, response.status_code
        received, raw = call.clock.time(), http.fields(response.headers)
        fields = joined(raw)
        vary, date = rules.vary_names(fields), rules.dated(fields, received)
        if method == "HEAD" and rules.replaces(status):
            await self._head_received(lookup, status, raw, fields, received)
        policy = self._policy(lookup, method, status, fields, date)
        length = length_of(fields)
        body = b"" if method == "HEAD" else http.buffered_body(response)
        size = length if body is None else len(body)
        if size is not None and size > self._config.max_body_size:
            policy = "too large"
        elif body is None and EVENTS in fields.get(b"content-type", b""):
            policy = "event stream"
        if isinstance(policy, str):
            return await self._unstored(lookup, response, fields, policy, lead)
        head = pack(rules.stored_fields(raw, fields, received), rules.UNSTORED)
        born = rules.born(fields, date, lookup.sent_at, received)
        selector, head_only = lookup.keys.selector(vary, lookup.fields), method == "HEAD"
        self._store.order.answered((lookup.key, vary, selector), lookup.number)

        async def keep(body: bytes) -> bool:
            if length is not None and length != len(body) and not head_only:  # RFC 9111, 3.3: incomplete
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
            return await self._keep(lookup, [entry], entry, lead)

        if body is not None:
            note = "; stored" if await keep(body) else ""
            return with_cache_status(response, f"fwd={lookup.forward}{note}", call)
        await self._discard(lookup, vary)  # now: its reader may take long, or never finish
        if lead is not None:
            lead.shared.reading = True
        response = with_cache_status(response, f"fwd={lookup.forward}; stored", call)
        return http.tap(response, Recorder(keep, self._config.max_body_size, self._store.single_flight, lead, call.clock))

    async def _unstored(self, lookup: Lookup, response: Any, fields: FieldValues, why: str, lead: Lead | None) -> Any:
        """Return a response that is not stored, and delete what it replaces."""
        if rules.replaces(response.status_code):
            self._store.order.answered(lookup.key, lookup.number)
            await self._discard(lookup, rules.vary_names(fields))
        elif rules.contradicts(lookup.entry, fields):
            await self._discard(lookup)
        if response.status_code < 500 and response.status_code != 429:  # after a failure a follower may try
            self._finish(lookup, lead, NoResult.NOT_SHAREABLE)
        return with_cache_status(response, f'fwd={lookup.forward}; detail="{why}"', lookup.call)

    async def _revalidated(self, lookup: Lookup, response: Any, sent: Any, lead: Lead | None) -> Any:
        """RFC 9111, 4.3.4: update the stored responses that a 304 is about, and return one; None if it is about none of them."""
        call = lookup.call
        received, raw = call.clock.time(), call.http.fields(response.headers)
        note = f"fwd={lookup.forward}; fwd-status=304"
        news = joined(raw)
        # A 304 without a validator may be about one of the caller's own tags: its condition has to be sent by itself.
        unsure = b"if-none-match" in lookup.fields and b"etag" not in news and b"last-modified" not in news
        about = () if unsure else rules.identified(lookup.entries, lookup.entry, news)
        if rules.contradicts(lookup.keys.selected(lookup.stored, lookup.fields, "GET"), news):
            await self._discard(lookup)
        if not (about or unsure or rules.CONDITIONAL.isdisjoint(lookup.fields)):  # the 304 is about what the caller has
            return with_cache_status(response, note, call)
        await call.close(response, sent)
        if not about:
            return None
        self._store.count("revalidated")
        selected = lookup.entry if lookup.entry in about else about[0]
        found, changed, removed = selected, [], []
        for old in about:
            new = self._updated(lookup, old, raw, received, selected is old)
            if selected is old:
                found = new
                self._store.order.answered(_variant(lookup, new), lookup.number)
            if new.policy is NOT_STORABLE:
                removed.append(old)
            elif _worth_storing(old, new, lookup):
                changed.append(new)
        await self._keep(lookup, changed, found, lead, removed)
        return lookup.answer(found, note)

    async def _head_received(
        self, lookup: Lookup, status: int, raw: Sequence[Field], fields: FieldValues, received: float
    ) -> None:
        """RFC 9111, 4.3.5: update or discard a stored response to GET after a response to HEAD."""
        stored = lookup.keys.selected(lookup.stored, lookup.fields, "GET")
        if stored is None:
            return
        new = self._updated(lookup, stored, raw, received, selected=True)
        if status == stored.status and rules.freshens(stored, fields) and new.policy is not NOT_STORABLE:
            await self._keep(lookup, [new], new, None)
        else:
            await self._discard(lookup, rules.vary_names(fields))

    def _updated(self, lookup: Lookup, old: Entry, raw: Sequence[Field], received: float, selected: bool) -> Entry:
        """Return a stored response with the fields of a 304 or of a response to HEAD. `selected`: it matches this request."""
        news = joined(raw)
        merged = rules.updated(old, raw, news, received)
        fields = joined(merged)
        date = rules.dated(fields, received)  # the stored Date is not among the merged fields
        policy = self._policy(lookup, "HEAD" if old.head_only else "GET", old.status, fields, date)
        vary = rules.vary_names(fields)
        return Entry(
            old.status,
            pack(merged),
            old.body,
            born=rules.born(news, date, lookup.sent_at, received),
            received=received,
            policy=NOT_STORABLE if isinstance(policy, str) else policy,
            vary=vary if selected else old.vary,
            selector=lookup.keys.selector(vary, lookup.fields) if selected else old.selector,
            head_only=old.head_only,
        )

    def _policy(self, lookup: Lookup, method: str, status: int, fields: FieldValues, date: float) -> Policy | str:
        ttl = lookup.state.options.cache_ttl
        ttl = self._cache.ttl if ttl is None else ttl
        return rules.storable(method, lookup.fields, status, fields, self._config, ttl, date)

    async def _keep(
        self, lookup: Lookup, new: Sequence[Entry], answer: Entry, lead: Lead | None, removed: Sequence[Entry] = ()
    ) -> bool:
        """Store entries in place of those that they supersede, and finish the shared request: with `answer` if it is fresh."""
        usable = answer.policy.lifetime > lookup.age(answer) and not answer.policy.no_cache
        order = self._store.order

        def merged(stored: Entries) -> Entries:
            # The response to an earlier request may be older than that to a later one, or than an invalidation.
            for variant in (lookup.key, *[_variant(lookup, entry) for entry in new]):
                if order.superseded(variant, lookup.number):
                    return stored
            return _merged(new, stored, removed)

        kept = False
        try:
            kept = bool(new or removed) and await self._store.change(lookup, merged, lambda entry: self._use(entry, lookup))
            if kept:
                self._store.count("stores", len(new))
            return kept
        finally:
            superseded = order.superseded(lookup.key, lookup.number)
            self._finish(lookup, lead, answer if usable and not superseded else NoResult.NOT_SHAREABLE)

    async def _discard(self, lookup: Lookup, vary: tuple[bytes, ...] | None = None) -> None:
        """Delete what is stored for a request and, if a newer response has another Vary, the entries with a different one."""
        keys, fields = lookup.keys, lookup.fields

        def rest(stored: Entries) -> Entries:
            others = tuple(
                entry
                for entry in stored
                if entry.vary and entry.selector != keys.selector(entry.vary, fields) and (vary is None or entry.vary == vary)
            )
            return others if len(others) < len(stored) else stored

        if lookup.stored:
            await self._store.change(lookup, rest, lambda entry: self._use(entry, lookup))

    def _use(self, entry: Entry, lookup: Lookup) -> float:
        """Return the seconds for which an entry may still be of use."""
        policy, config = entry.policy, self._config
        stale = max(rules.stale_for(policy, config), config.keep_stale if policy.checkable else 0.0)
        return max(policy.lifetime - lookup.age(entry) + stale, 1.0)

    def _finish(self, lookup: Lookup, lead: Lead | None, result: Entry | NoResult) -> None:
        if lead is not None:
            self._store.single_flight.finish(lead, result, lookup.call.clock.monotonic())


async def or_close(work: Awaitable[Any], response: Any, request: Any, call: Call[Any, Any]) -> Any:
    """Await work on a response. If it is cancelled, or fails, close the response, which gives its connection back."""
    try:
        return await work
    except BaseException:
        await call.close(response, request)
        raise


NOT_STORABLE = Policy(-1.0, no_cache=True)
"""The policy of an updated entry that must no longer be stored."""


def _worth_storing(old: Entry, new: Entry, lookup: Lookup) -> bool:
    """Whether an updated entry is worth a write: it can be used without revalidation, or more than its date has changed."""
    if new.policy.lifetime > lookup.age(new) and not new.policy.no_cache:
        return True
    before, after = ([field for field in entry.fields if field[1] != b"date"] for entry in (old, new))
    return before != after or (old.vary, old.selector) != (new.vary, new.selector)


def _variant(lookup: Lookup, entry: Entry) -> tuple[object, ...]:
    """Return what identifies an entry among those under its key."""
    return lookup.key, entry.vary, entry.selector


def _merged(new: Sequence[Entry], stored: Entries, removed: Sequence[Entry]) -> Entries:
    """Return the new entries and the stored ones that they do not supersede, the latest first."""
    if not stored:
        return tuple(new)
    superseding = {(entry.vary, entry.selector) for entry in (*new, *removed)}
    whole = any(not entry.head_only for entry in (*new, *removed))
    others = [entry for entry in stored if (entry.vary, entry.selector) not in superseding or not (whole or entry.head_only)]
    if any(other.vary != entry.vary and other.received >= entry.received for other in others for entry in new):
        return stored  # a newer response has another Vary
    return (*new, *others)[:MAX_VARIANTS]
