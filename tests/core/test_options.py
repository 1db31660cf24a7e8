"""Options of a request in the wrong place: the error says how to write them, and costs other requests nothing."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import ratewise
from ratewise import options
from ratewise._core.options import OPTIONS
from tests.kit.wire import Scripted
from tests.kit.world import World

GIVEN: dict[str, Any] = {"retry": False, "max_attempts": 2, "idempotency_key": "order-1", "cache": "bypass", "cache_ttl": 5}
"""One good value of each option."""

SHOWN = {"retry": "False", "max_attempts": "2", "idempotency_key": "...", "cache": "...", "cache_ttl": "5"}


def test_every_option_is_tested() -> None:
    """Those of `options()`, and no other."""
    assert GIVEN.keys() == SHOWN.keys() == OPTIONS == inspect.signature(options).parameters.keys()


@pytest.mark.parametrize("option", GIVEN)
async def test_as_a_keyword(world: World, option: str) -> None:
    """Of each verb, `request()`, `stream()` and `send()`, as their own `TypeError` is: nothing is sent."""
    wire = Scripted()
    client, kind = world.RateWiseClient("https://x.example", transport=wire), world.RateWiseClient.__name__
    given = {option: GIVEN[option]}
    said = f"got an unexpected keyword argument '{option}': give"
    written = f"extensions=ratewise.options({option}={SHOWN[option]})"
    calls: dict[str, tuple[str, ...]] = dict.fromkeys(("get", "options", "head", "post", "put", "patch", "delete"), ("/",))
    calls.update(request=("GET", "/"), stream=("GET", "/"))
    if hasattr(client, "query"):
        calls["query"] = ("/",)
    for name, args in calls.items():
        with pytest.raises(TypeError) as raised:
            await world(getattr(client, name), *args, **given)
        assert str(raised.value) == f"{kind}.{name}() {said} {written}"
    with pytest.raises(TypeError) as raised:
        await world(client.send, client.build_request("GET", "/"), **given)
    assert str(raised.value) == f"{kind}.send() {said} the request its options, as in client.build_request(..., {written})"
    assert wire.sent == []
    assert client.get_stats().total_requests == 0


async def test_as_others_call_it(world: World) -> None:
    """A number of retries is an option, too. What is none of ours is the library's own error."""
    client = world.RateWiseClient("https://x.example", transport=Scripted())
    with pytest.raises(TypeError, match=r"give extensions=ratewise\.options\(max_attempts=4\)$"):
        await world(client.get, "/", retries=3)
    with pytest.raises(TypeError, match=r"^(Async)?Client\.get\(\) got an unexpected keyword argument 'json'$|^get\(\) got"):
        await world(client.get, "/", json={})
    with pytest.raises(TypeError, match="not JSON serializable") as raised:
        await world(client.post, "/", json=object())
    assert raised.value.__cause__ is None
    assert not raised.value.__suppress_context__
    with pytest.raises(TypeError, match="positional argument"):
        await world(client.request, "GET")


async def test_the_methods_are_the_librarys(world: World) -> None:
    """To whoever looks: their signatures, names, documents, and whether they are coroutine functions."""
    kind = world.RateWiseClient
    for name in ("get", "options", "head", "post", "put", "patch", "delete", "request", "stream", "build_request"):
        ours, theirs = getattr(kind, name), getattr(world.Client, name)
        assert inspect.signature(ours) == inspect.signature(theirs)
        assert (ours.__name__, ours.__doc__) == (theirs.__name__, theirs.__doc__)
        assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs)
    assert [*inspect.signature(kind.send).parameters] == [*inspect.signature(world.Client.send).parameters]
    assert inspect.iscoroutinefunction(kind.send) is not world.is_sync


@pytest.mark.parametrize("option", GIVEN)
@pytest.mark.parametrize("bundled", [True, False])
async def test_in_the_extensions(world: World, option: str, bundled: bool) -> None:
    """An error where the value is one that the option takes: nothing is sent."""
    wire = Scripted(200)
    if bundled:
        client = world.RateWiseClient(transport=wire, rate_limiter=None)
    else:
        client = world.Client(transport=world.RateWiseTransport(wire))
    value = GIVEN[option]
    with pytest.raises(TypeError) as raised:
        await world(client.get, "https://x.example", extensions={"trace": None, option: value})
    written = f"ratewise.options({option}={value!r})"
    beside = f"extensions={{**{written}, ...}} beside other extensions"
    assert str(raised.value) == f'extensions["{option}"] has no effect: give extensions={written}, or {beside}'
    assert wire.sent == []
    extensions = {**options(**{option: value}), "target": b"/other"}
    assert (await world(client.get, "https://x.example", extensions=extensions)).status_code == 200


async def test_the_extensions_of_others(world: World) -> None:
    """What another library has under such a name is left alone, and arrives."""
    wire = Scripted(200)
    theirs = {"retry": object(), "max_attempts": "2", "idempotency_key": b"x", "cache": "shared", "cache_ttl": None}
    client = world.RateWiseClient("https://x.example", transport=wire)
    await world(client.get, "/", extensions=theirs)
    assert theirs.items() <= wire.sent[0].request.extensions.items()


def test_a_subclass_of_the_users_own() -> None:
    """It may override a method, and hand keywords on."""

    class Mine(ratewise.RateWiseClient):
        def get(self, url: str, **given: Any) -> Any:  # type: ignore[override]
            return super().get(url, **given)

    with pytest.raises(TypeError, match=r"^RateWiseClient\.get\(\) got an unexpected keyword argument 'retry': give "):
        Mine("https://x.example", transport=Scripted()).get("/", retry=False)
