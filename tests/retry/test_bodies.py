"""Request bodies that can be sent again, and bodies that cannot."""

from __future__ import annotations

import io
import tempfile
from typing import Any

import pytest

from ratewise.testing import FakeClock
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World, only
from tests.retry.plain import PLAIN


async def test_bodies_in_memory_are_sent_again(world: World, clock: FakeClock) -> None:
    """Bytes, JSON, forms and multipart bodies are complete in every attempt."""
    for body in ({"content": b"abc"}, {"json": {"a": 1}}, {"data": {"a": "1"}}, {"files": {"f": b"abc"}}):
        wire = Scripted(503, 503, 200)
        await world.send(world.RetryTransport(wire, PLAIN, clock=clock), "PUT", **body)
        assert len({sent.body for sent in wire.sent}) == 1
        assert len(wire.sent) == 3
        assert wire.sent[0].body


async def test_multipart_files_are_sent_again(world: World, clock: FakeClock) -> None:
    """Multipart files that can be rewound are sent again; with a file that cannot, the outcome is returned without a retry."""
    for file, sent in ((io.BytesIO(b"abc"), 2), (Unseekable(b"abc"), 1)):
        wire = Scripted(503, 200)
        await world.send(world.RetryTransport(wire, PLAIN, clock=clock), "PUT", files={"f": file, "g": b"1"}, data={"a": "1"})
        assert len(wire.sent) == sent
        assert all(b"abc" in one.body for one in wire.sent)


class Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation


@only("sync")
async def test_a_file_is_rewound_to_where_it_stood(world: World, clock: FakeClock) -> None:
    """A file given as content is sent completely in every attempt, from its initial position; also if it has no `seekable`."""
    with tempfile.SpooledTemporaryFile() as spooled:
        for file in (io.BytesIO(), spooled):
            file.write(b"0123456789")
            file.seek(4)
            wire = Scripted(503, failing("ConnectError", "no"), 200)
            await world.send(world.RetryTransport(wire, PLAIN, clock=clock), "PUT", content=file)
            assert [sent.body for sent in wire.sent] == [b"456789"] * 3


async def test_what_can_be_read_once_is_sent_once(world: World, clock: FakeClock) -> None:
    """With generators, iterators and unknown streams the first outcome is returned without a retry, with the reason."""

    def chunks() -> Any:
        yield b"abc"

    async def achunks() -> Any:
        yield b"abc"

    class Foreign(Body):
        pass

    class File:
        """An asynchronous file."""

        async def read(self, size: int = -1) -> bytes:
            return b""

        async def aread(self, size: int = -1) -> bytes:
            return b""

        def __aiter__(self) -> Any:
            return achunks()

    class Pipe(io.BytesIO):
        def tell(self) -> int:
            raise OSError("illegal seek")

    sync = [{"content": chunks()}, {"content": iter([b"abc"])}, {"content": Unseekable(b"abc")}, {"content": Pipe(b"abc")}]
    asynchronous = [{"content": achunks()}, {"content": File()}]
    for body in [{"stream": Foreign(b"abc")}, *(sync if world.is_sync else asynchronous)]:
        wire = Scripted(response(503, body=b"original"))
        result = await world.send(world.RetryTransport(wire, PLAIN, clock=clock), "PUT", **body)
        assert await world.read(result) == b"original"
        assert result.extensions["ratewise"].history[0].reason == "the request body can be sent only once"
        wire = Scripted(world.httpx.ConnectError("no"))
        with pytest.raises(world.httpx.ConnectError):
            await world.send(world.RetryTransport(wire, PLAIN, clock=clock), "PUT", stream=Foreign(b"abc"))
    assert clock.sleeps == []


@only("sync")
async def test_a_list_of_chunks_is_sent_again(world: World, clock: FakeClock) -> None:
    """A list of chunks can be iterated again, so it is sent again."""
    wire = Scripted(503, 200)
    await world.send(world.RetryTransport(wire, PLAIN, clock=clock), "PUT", content=[b"a", b"bc"])
    assert [sent.body for sent in wire.sent] == [b"abc", b"abc"]


async def test_what_may_read_as_it_goes_is_sent_once(world: World, clock: FakeClock) -> None:
    """An object with its own `__iter__` or `__aiter__` is sent once: it may read a file, which would be empty the second time."""
    file = io.BytesIO(b"precious")

    class Progress:
        def __iter__(self) -> Any:
            while chunk := file.read(3):
                yield chunk

        async def __aiter__(self) -> Any:
            for chunk in self:
                yield chunk

    class AsyncProgress(Progress):
        __iter__ = None

        async def __aiter__(self) -> Any:
            while chunk := file.read(3):
                yield chunk

    wire = Scripted(503, 200)
    content: Any = Progress() if world.is_sync else AsyncProgress()
    result = await world.send(world.RetryTransport(wire, PLAIN, clock=clock), "PUT", content=content)
    assert result.status_code == 503
    assert [sent.body for sent in wire.sent] == [b"precious"]


@only("sync")
async def test_a_file_that_was_closed(world: World, clock: FakeClock) -> None:
    """A file that is closed after the first attempt cannot be sent again: the outcome is returned, with the reason."""
    file = io.BytesIO(b"abc")

    def close(request: Any) -> Any:
        file.close()
        return response(503)

    result = await world.send(world.RetryTransport(Scripted(close), PLAIN, clock=clock), "PUT", content=file)
    assert result.status_code == 503
    reason = result.extensions["ratewise"].history[0].reason
    assert reason == "the request body cannot be sent again: I/O operation on closed file."
