"""Random conversations with an origin that uses all that HTTP allows, where a simple model judges every response.

Every body, and a field beside it, identifies its version. The model derives what may be used without asking from what the origin
sent, and never from what the cache stores.
"""

from __future__ import annotations

import gzip
import random
from collections import defaultdict
from email.utils import formatdate, parsedate_to_datetime
from typing import Any, Callable, NamedTuple

import httpx
import pytest

import ratewise
from ratewise._core.background import Background
from ratewise.cache import CacheBackend, CacheConfig, InMemoryCache, SQLiteCache
from ratewise.testing import FakeClock
from tests.kit.wire import Body

URLS = ("/a", "/b")
USERS = {"": {}, "a": {"Authorization": "Bearer a"}, "b": {"Cookie": "session=b"}}
DIRECTIVES: list[dict[str, int | None]] = [
    {"max-age": 100},
    {"max-age": 100},
    {"max-age": 5},
    {"max-age": 0},
    {"no-store": None},
    {"no-cache": None, "max-age": 100},
    {"private": None, "max-age": 50},
    {"max-age": 5, "must-revalidate": None},
    {"max-age": 5, "stale-while-revalidate": 30},
    {"max-age": 5, "stale-if-error": 100},
    {"s-maxage": 20, "max-age": 3},
    {"public": None, "max-age": 50},
    {"x-none": None},
]
WISHES: list[dict[str, int | None]] = [
    {"no-cache": None},
    {"no-cache": None},
    {"no-store": None},
    {"max-age": 0},
    {"max-age": 3},
    {"min-fresh": 10},
    {"max-stale": None},
    {"max-stale": 30},
    {"only-if-cached": None},
    {"max-age": 0, "stale-if-error": 500},
]
CONFIGS: list[dict[str, Any]] = [
    {},
    {},
    {"shared": True},
    {"stale_if_error": 1000},
    {"stale_while_revalidate": 50, "stale_if_error": 20},
]
OWN = ("If-None-Match", "If-Modified-Since", "Range", "If-Range")


class Wall(FakeClock):
    """A clock that may be set back."""

    shift = 0.0

    def time(self) -> float:
        return super().time() + self.shift


class Shelf(CacheBackend):
    """A store that keeps bytes in a dict."""

    def __init__(self) -> None:
        super().__init__(secret=b"s" * 32)
        self.values: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def clear(self) -> None:
        self.values.clear()


class Version(NamedTuple):
    """One version of a resource, as its body identifies it."""

    url: str
    user: str
    language: str
    number: int
    coding: str
    status: int

    @property
    def body(self) -> bytes:
        text = repr(tuple(self)).encode().ljust(60 + self.number)
        return gzip.compress(text, mtime=0) if self.coding == "gzip" else text


class Resource:
    """The current state of one URL of the origin."""

    def __init__(self) -> None:
        self.number = self.modified = 0
        self.status, self.control, self.expires = 200, DIRECTIVES[0], None
        self.vary: tuple[str, ...] = ()
        self.tags, self.dated, self.chunked = "strong", False, False
        self.failures: list[Any] = []


def directives(control: dict[str, int | None]) -> str:
    return ", ".join(name if value is None else f"{name}={value}" for name, value in control.items())


def weakly(tags: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in tags.split(",") if tag.strip()]


def span(wanted: str, size: int) -> tuple[int, int]:
    """The bytes of a range: the first one, and the one after the last."""
    first, last = wanted.removeprefix("bytes=").split("-")
    if not first:
        return max(size - int(last), 0), size
    return int(first), min(int(last) + 1, size) if last else size


class Origin(httpx.BaseTransport):
    """A correct server that records what it has sent."""

    def __init__(self, clock: Wall) -> None:
        self.clock = clock
        self.resources = {url: Resource() for url in URLS}
        self.numbers = 0
        self.bodies: list[Body] = []
        self.asked: list[Any] = []
        """The outcome of each request: a status code or an error, and the version that was current."""
        self.said: dict[Version, list[Any]] = defaultdict(list)
        self.validators: dict[Any, set[str]] = defaultdict(set)
        self.caller: dict[str, str] = {}
        """The header fields of the current caller; empty while the cache itself sends the request."""
        for resource in self.resources.values():
            self.change(resource)

    def change(self, resource: Resource) -> None:
        self.clock.advance(2)
        self.numbers += 1
        resource.number = self.numbers
        resource.modified = max(resource.modified + 2, int(self.clock.time()))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        resource, fields, now = self.resources[request.url.path], request.headers, self.clock.time()
        user = "a" if "authorization" in fields else "b" if "cookie" in fields else ""
        for name in OWN:
            given = set(weakly(fields.get(name, ""))) if name == "If-None-Match" else set(filter(None, [fields.get(name)]))
            heard = self.validators[request.url.path, user] if name in OWN[:2] else set()
            assert given <= heard | set(weakly(self.caller.get(name, ""))) | {self.caller.get(name)}, f"nobody has this {name}"
        failure = resource.failures.pop(0) if resource.failures else None
        if isinstance(failure, str) and failure != "broken":
            self.asked.append((getattr(httpx, failure)("no"), None))
            raise self.asked[-1][0]
        if isinstance(failure, int):
            return self.answer(failure, {}, b"", None)
        if request.method not in ("GET", "HEAD"):
            self.change(resource)
            return self.answer(204, {}, b"", Version(request.url.path, user, "", resource.number, "", 204))
        return self.represented(request, resource, user, now, failure)

    def represented(self, request: httpx.Request, resource: Resource, user: str, now: float, failure: Any) -> httpx.Response:
        url, fields, status = request.url.path, request.headers, resource.status
        modified = resource.modified if resource.dated and resource.modified <= now else None
        bare = resource.tags == "none" and modified is None  # then only the length identifies the version of a HEAD
        language = fields.get("accept-language", "-") if "accept-language" in resource.vary else "-"
        zipped = "accept-encoding" in resource.vary and "gzip" in fields.get("accept-encoding", "") and not bare
        version = Version(url, user, language, resource.number, "gzip" if zipped else "", status)
        tag = f"{version.number}-{user}-{language}"
        tags = {
            "none": None,
            "strong": f'"{url}-{tag}{zipped}"',
            "shared": f'"{tag}{zipped}"',
            "weak": f'W/"{tag}"',
            "mixed": ("W/" if zipped else "") + f'"{tag}"',
        }
        etag, last = tags[resource.tags], modified and formatdate(modified, usegmt=True)
        said = {"X-Version": repr(tuple(version)), "Cache-Control": directives(resource.control), "ETag": etag}
        said.update({"Last-Modified": last, "Vary": ", ".join(resource.vary) or None})
        if resource.expires is not None:
            said["Expires"] = formatdate(now + resource.expires, usegmt=True)
        self.validators[url, user].update(weakly(etag or ""), filter(None, [last]))
        selecting = {name: fields.get(name) for name in resource.vary}
        secret = "authorization" in fields
        forbidden = "no-store" in fields.get("cache-control", "")
        self.said[version].append((now, resource.control, resource.expires, modified, selecting, secret, forbidden))
        body = version.body
        if status == 200:
            theirs, since = fields.get("if-none-match"), fields.get("if-modified-since")
            if theirs is not None:
                same = theirs == "*" or bool({*weakly(etag or "")} & {*weakly(theirs)})
            else:
                same = modified is not None and since is not None and modified <= parsedate_to_datetime(since).timestamp()
            if same:
                return self.answer(304, said, b"", version)
            wanted, unless = fields.get("range"), fields.get("if-range")
            if unless is not None and (unless.startswith("W/") or unless not in (etag, last)):
                wanted = None
            if wanted is not None and request.method == "GET" and not zipped:
                start, stop = span(wanted, len(body))
                if start >= len(body):
                    return self.answer(416, {}, b"", version)
                said["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
                return self.answer(206, said, body[start:stop], version)
        if not resource.chunked or bare:
            said["Content-Length"] = str(len(body))
        if zipped:
            said["Content-Encoding"] = "gzip"
        if request.method == "HEAD":
            body = b""
        return self.answer(status, said, body, version, httpx.RemoteProtocolError("no") if failure == "broken" and body else None)

    def answer(
        self, status: int, said: dict[str, Any], body: bytes, version: Version | None, error: Any = None
    ) -> httpx.Response:
        self.asked.append((error or status, version))
        self.bodies.append(Body(body[:9], body[9:], error=error))
        headers = {"Date": formatdate(self.clock.time(), usegmt=True), **{name: value for name, value in said.items() if value}}
        return httpx.Response(status, headers=headers, stream=self.bodies[-1])


class Lookup(NamedTuple):
    """A request, and its response whose body is still unread."""

    method: str
    place: tuple[Any, ...]
    headers: dict[str, str]
    wish: dict[str, int | None]
    bypass: bool
    response: Any
    came: list[Any]
    """The outcome at the origin."""
    stored: bool
    """Whether the response comes from the store alone."""


class Conversation:
    """One or two clients with one store, and one origin."""

    def __init__(self, cache: Any, chance: random.Random, config: dict[str, Any], later: list[Callable[[], None]]) -> None:
        self.clock, self.cache, self.chance, self.config, self.later = Wall(auto=True), cache, chance, config, later
        self.origin = Origin(self.clock)
        self.clients = [
            ratewise.CacheTransport(self.origin, cache, CacheConfig(**config), clock=self.clock)
            for _ in range(chance.choice([1, 2]))
        ]
        self.users = chance.sample(sorted(USERS), chance.choice([1, 1, 2, 3]))
        self.urls = chance.choice([URLS[:1], URLS])
        self.oddness = chance.choice([0, 0.2, 0.5])
        self.open: list[Lookup] = []
        self.known: dict[tuple[Any, ...], int] = defaultdict(int)
        """The latest version that is confirmed, for each caller: nothing older may be served again."""
        self.seen: dict[Any, list[str]] = defaultdict(list)

    def go_on(self) -> None:
        """Perform one random step."""
        chance, resource = self.chance, self.origin.resources[self.chance.choice(self.urls)]
        lot = chance.random()
        if lot < 0.16:
            self.clock.advance(chance.choice([1, 1, 3, 6, 20, 60, 200, 4000]))
        elif lot < 0.17:
            self.clock.shift -= chance.choice([5, 50, 100, 5000])
        elif lot < 0.26:
            self.configure(resource)
            self.origin.change(resource)
        elif lot < 0.28 and resource.expires is None:  # its metadata changes, its body does not
            resource.control = chance.choice(DIRECTIVES)
        elif lot < 0.32:
            resource.failures = chance.choice([[], [chance.choice([500, 503, "ConnectError", "ReadTimeout", "broken"])]])
        elif lot < 0.36:
            self.refresh()
        elif lot < 0.41 and self.open:
            self.finish(self.open.pop(chance.randrange(len(self.open))))
        else:
            self.ask()

    def configure(self, resource: Resource) -> None:
        chance = self.chance
        if chance.random() < 0.4:
            resource.control, resource.expires = chance.choice(DIRECTIVES), chance.choice([None, None, None, 10, 0, -5])
        if chance.random() < 0.2:
            resource.status = chance.choice([200, 200, 404, 410, 301])
        if chance.random() < 0.4:
            resource.vary = chance.choice(
                [(), ("accept-language",), ("accept-encoding",), ("accept-encoding", "accept-language")]
            )
        if chance.random() < 0.4:
            resource.tags, resource.dated = chance.choice(["none", "strong", "shared", "weak", "mixed"]), chance.random() < 0.5
            resource.chunked = chance.random() < 0.3

    def refresh(self) -> None:
        while self.later:
            self.later.pop(0)()

    def ask(self) -> None:
        chance, odd = self.chance, self.chance.random() < self.oddness
        url, user = chance.choice(self.urls), chance.choice(self.users)
        method = chance.choices(["GET", "HEAD", "PUT", "POST", "DELETE"], [14, 3, 1, 0.5, 0.5])[0]
        fields = {"Accept-Language": chance.choice([None, "de", "en"]), "Accept-Encoding": chance.choice([None, None, "gzip"])}
        wish = chance.choice(WISHES) if chance.random() < max(self.oddness, 0.15) else {}
        option = (
            chance.choice(["bypass", "refresh", "refresh"]) if chance.random() < 0.08 and "only-if-cached" not in wish else None
        )
        fields["Cache-Control"] = directives(wish) or None
        seen = self.seen[url, user]
        if odd and seen and method in ("GET", "HEAD"):
            name, validator = chance.choice(OWN[:3]), chance.choice(seen)
            if name == "Range":
                fields["If-Range"] = chance.choice([None, validator])
                fields[name] = chance.choice(["bytes=0-3", "bytes=2-", "bytes=-4", "bytes=900-", "bytes=5-900"])
            elif (name == "If-None-Match") == validator.endswith('"'):
                fields[name] = validator
        headers = {**USERS[user], **{name: value for name, value in fields.items() if value}}
        extensions = ratewise.options(cache=option) if option else {}
        request = httpx.Request(method, f"https://h{url}", headers=headers, extensions=extensions)
        before, self.origin.asked, self.origin.caller = list(request.headers.raw), [], headers
        try:
            response = chance.choice(self.clients).handle_request(request)
        except httpx.TransportError as error:
            self.judge_error(error, self.origin.asked)
            return
        finally:
            self.origin.caller = {}
        assert list(request.headers.raw) == before
        came = self.origin.asked
        place = (url, user, headers.get("Accept-Language"), headers.get("Accept-Encoding"))
        failed = bool(came) and came[-1][1] is None
        stored = not came or (failed and response.status_code != came[-1][0])
        asked = Lookup(method, place, headers, wish, option == "bypass", response, came, stored)
        if method not in ("GET", "HEAD"):
            assert [status for status, _ in came] == [response.status_code]
            if not failed:
                self.known[url, user] = came[0][1].number
            response.close()
            return
        self.judge(asked, failed, option)
        if stored or chance.random() < 0.8:
            self.finish(asked)
        else:
            self.open.append(asked)

    def judge(self, asked: Lookup, failed: bool, option: str | None) -> None:
        """Judge the head of a response."""
        status, came, own = asked.response.status_code, asked.came, asked.headers
        told = asked.response.headers.get("X-Version")
        assert "only-if-cached" not in asked.wish or not came
        assert len(came) <= 2
        if status == 304:
            tag, theirs = asked.response.headers.get("ETag", ""), own.get("If-None-Match")
            assert weakly(tag)[0] in weakly(theirs) if theirs else "If-Modified-Since" in own
        if asked.stored:
            if status == 504 and "only-if-cached" in asked.wish:
                return
            assert option is None or came
            versions = (
                [Version(*eval(told))] if told else [version for version in self.origin.said if version[:2] == asked.place[:2]]
            )
            assert status in (200, 206, 304, 404, 410, 301, 416)
            assert bool(told) is (status not in (304, 416))
            assert versions[0][:2] == asked.place[:2], "of another URL, or for another user"
            least = max(self.known[asked.place], self.known[asked.place[:2]])
            recent = [version for version in versions if version.number >= least]
            assert recent, f"{versions} is older than what was told before ({least})"
            assert any(self.usable(version, asked, failed) for version in recent), f"{versions} may not be used"
        elif failed:
            assert status == came[-1][0]
        else:
            outcome, current = came[-1]
            assert status == outcome or outcome == 304 or isinstance(outcome, Exception)
            assert told is None or Version(*eval(told))[:4] == current[:4], f"{told} in place of {current}"
            if asked.method == "HEAD" and status != 304 and not asked.bypass:
                self.learn(asked, current)

    def judge_error(self, error: Exception, came: list[Any]) -> None:
        assert came[-1][0] is error

    def usable(self, version: Version, asked: Lookup, failed: bool) -> bool:
        """Whether anything that the origin has sent allows to use the version now."""
        wish, shared = asked.wish, "shared" in self.config
        for then, control, expires, modified, selecting, secret, forbidden in self.origin.said[version]:
            if forbidden or {"no-store", "no-cache"} & {*control} or "no-cache" in wish:
                continue
            if shared and ("private" in control or (secret and not {"public", "s-maxage", "must-revalidate"} & {*control})):
                continue
            if any(asked.headers.get(name.title()) != value for name, value in selecting.items()):
                continue
            age = self.clock.time() - int(then)
            if age <= -60:  # unknown, and so certainly stale
                age = 1e9
            lifetime = control.get("s-maxage") if shared else None
            lifetime = control.get("max-age", expires) if lifetime is None else lifetime
            if lifetime is None:
                lifetime = 0 if modified is None else (then - modified) / 10
            stale = max(age, 0) - max(lifetime, 0)
            strict = "must-revalidate" in control or (shared and "s-maxage" in control)
            if failed:
                most = max(
                    control.get("stale-if-error", self.config.get("stale_if_error", 0)), wish.get("stale-if-error", 0) or 0
                )
                if not strict and 0 < most >= stale:
                    return True
                continue
            if age > wish.get("max-age", age) or -stale < wish.get("min-fresh", -stale):
                continue
            if stale < 0 or (not strict and "max-stale" in wish and (wish["max-stale"] is None or stale <= wish["max-stale"])):
                return True
            most = control.get("stale-while-revalidate", self.config.get("stale_while_revalidate", 0))
            if not strict and stale < most and not {"max-age", "max-stale", "min-fresh"} & {*wish}:
                return True
        return False

    def learn(self, asked: Lookup, version: Version) -> None:
        self.known[asked.place] = max(self.known[asked.place], version.number)

    def finish(self, asked: Lookup) -> None:
        """Read the body, or not, and judge it."""
        response, status, fields = asked.response, asked.response.status_code, asked.response.headers
        if not asked.stored and self.chance.random() < 0.1:
            next(iter(response.stream), b"")
            response.close()
            return
        try:
            body = b"".join(response.stream)
        except httpx.RemoteProtocolError as error:
            self.judge_error(error, asked.came)
            return
        finally:
            response.close()
        told = fields.get("X-Version")
        if asked.method == "HEAD" or status in (304, 416) or told is None:
            assert body == b""
        if told is None or status == 304:
            return
        version = Version(*eval(told))
        if version.coding and not fields.get("Content-Encoding"):  # another form of the same version, by a weak tag
            version = version._replace(coding="")
        whole = version.body
        if status == 206:
            start, stop = span(asked.headers["Range"], len(whole))
            assert fields["Content-Range"] == f"bytes {start}-{stop - 1}/{len(whole)}"
            whole = whole[start:stop]
        else:
            assert status == version.status
        if asked.method == "GET":
            assert body == whole, f"{body[:60]!r} is not {version}"
            assert fields.get("Content-Length", str(len(body))) == str(len(body))
            assert fields.get("Content-Encoding", "") == version.coding
            assert not version.coding or asked.place[3] == "gzip"
            assert version.language in ("-", asked.place[2])
            if status != 206 and not asked.stored and not asked.bypass:
                self.learn(asked, version)
        self.seen[asked.place[:2]] += filter(None, [fields.get("ETag"), fields.get("Last-Modified")])

    def end(self) -> None:
        while self.open:
            self.finish(self.open.pop())
        self.refresh()
        assert [body.closed for body in self.origin.bodies] == [1] * len(self.origin.bodies)
        assert not self.cache._ratewise_store.single_flight._requests


@pytest.mark.parametrize(("store", "conversations"), [("memory", 120), ("backend", 80), ("sqlite", 10)])
def test_conversations_with_a_correct_origin(store: str, conversations: int, tmp_path: Any, monkeypatch: Any) -> None:
    """Each response is of its URL, its user and a requested form, and as recent as HTTP and the request demand."""
    later: list[Callable[[], None]] = []
    monkeypatch.setattr(Background, "spawn_thread", lambda _, run: later.append(run))
    for seed in range(conversations):
        chance = random.Random(seed)
        kinds: dict[str, Callable[[], Any]] = {
            "memory": InMemoryCache,
            "backend": Shelf,
            "sqlite": lambda: SQLiteCache(tmp_path / f"{seed}.db"),  # noqa: B023  (called at once)
        }
        cache = kinds[store]()
        conversation = Conversation(cache, chance, chance.choice(CONFIGS), later)
        try:
            for _ in range(60):
                conversation.go_on()
            conversation.end()
        except AssertionError as error:
            raise AssertionError(f"conversation {seed}: {error}") from error
        finally:
            getattr(cache, "close", lambda: None)()
