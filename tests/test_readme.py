"""The README's code blocks run, and its tables, lists and defaults agree with the package."""

from __future__ import annotations

import inspect
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

import ratewise
from ratewise._core.clock import Clock
from ratewise._redaction import secrets
from tests.kit.wire import library

README = (Path(__file__).parent.parent / "README.md").read_text()
KIT = README[README.index("\n## Testing\n") : README.index("\n## What it costs\n")]
"""The section whose blocks need no other wire than the test kit's."""


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


BLOCKS = blocks(README.replace(KIT, ""))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[-1][:40])
def test_blocks_run(block: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each block runs against a wire that fails once and then succeeds, with a clock that does not wait."""
    opened: list[Any] = []
    statuses = [503]

    def answer(request: Any) -> Any:
        assert request.url.host == "api.example.com"
        return library(request).Response(statuses.pop() if statuses else 200, json={"ok": True})

    def handle(self: Any, request: Any) -> Any:
        opened.append(self)
        return answer(request)

    async def handle_async(self: Any, request: Any) -> Any:
        return answer(request)

    async def asleep(self: Any, seconds: float) -> None: ...

    for one in (httpx, httpx2):
        monkeypatch.setattr(one.HTTPTransport, "handle_request", handle)
        monkeypatch.setattr(one.AsyncHTTPTransport, "handle_async_request", handle_async)
    monkeypatch.setattr(Clock, "sleep", lambda self, seconds: None)
    monkeypatch.setattr(Clock, "asleep", asleep)
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger("ratewise")
    monkeypatch.setattr(logger, "handlers", logger.handlers.copy())
    monkeypatch.setattr(logger, "level", logger.level)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    monkeypatch.undo()
    logger.setLevel(logger.level)  # clears the logger's cache of enabled levels
    for transport in opened:
        transport.close()


@pytest.mark.parametrize("block", blocks(KIT), ids=lambda block: block.strip().splitlines()[-1][:40])
def test_blocks_of_the_test_kit_run(block: str, tmp_path: Path) -> None:
    """Each block is a program that warns of nothing, or a test module that passes."""
    (tmp_path / "test_block.py").write_text(block)
    command = ["-m", "pytest", "-q"] if "def test_" in block else []
    path = os.pathsep.join([str(Path(ratewise.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-W", "error", *command, "test_block.py"],
        cwd=tmp_path,
        env={**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def rows(first_cell: str) -> dict[str, str]:
    """A table, found by its first heading: its first column, mapped to the column "default"."""
    table = README[README.index(f"| {first_cell} |") :].split("\n\n")[0]
    heads, _, *cells = [re.findall(r"\| *(.*?) *(?=\|)", line) for line in table.splitlines()]
    return {row[0]: row[heads.index("default")] for row in cells}


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("parameter", ratewise.RateWiseClient),
        ("parameter", ratewise.AsyncRateWiseClient),
        ("`RetryConfig`", ratewise.RetryConfig),
        ("`CircuitBreaker`", ratewise.CircuitBreaker),
        ("`RateLimiter`", ratewise.RateLimiter),
        ("`Bulkhead`", ratewise.Bulkhead),
        ("`LogConfig`", ratewise.LogConfig),
        ("`CacheConfig`", ratewise.CacheConfig),
        ("`InMemoryCache`", ratewise.InMemoryCache),
        ("`SQLiteCache`", ratewise.SQLiteCache),
        ("`RedisCache`", ratewise.RedisCache),
    ],
)
def test_tables_of_settings(heading: str, kind: type) -> None:
    """A table has every parameter with its default, and no other."""
    parameters = {
        name: parameter.default
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name != "clock"
    }
    told = rows(heading)
    nothing = inspect.Parameter.empty
    assert [name for cell in told for name in re.findall(r"`(\w+)`", cell)] == sorted(parameters, key=list(parameters).index)
    backoff = ratewise.ExponentialBackoff()
    for cell, default in told.items():
        names = re.findall(r"`(\w+)`", cell)
        if names[0] in ("initial_delay", "max_delay"):
            assert default == ", ".join(repr(getattr(backoff, name)).replace("'", '"') for name in names)
        elif len(names) > 1:
            assert default == ", ".join(repr(parameters[name]) for name in names)
        elif default == "required":
            assert parameters[names[0]] is nothing
        elif names[0] in ("retry_on_status", "methods"):
            assert set(default.split()) == {str(value) for value in parameters[names[0]]}
        elif names == ["backoff"]:
            assert (default, parameters["backoff"]) == ("`ExponentialBackoff()`", None)
        else:
            assert default == repr(parameters[names[0]])


def test_the_two_commands() -> None:
    """One command runs the demo, the other the tests; each needs only Python, and CI finds the second."""
    show, check = re.findall(r"^```console\n(.*?)\n```", README, re.DOTALL | re.MULTILINE)
    assert show == "python3 -m venv .venv && .venv/bin/pip install -q -e . && .venv/bin/python -m ratewise demo"
    assert check == 'python3 -m venv .venv && .venv/bin/pip install -q -e ".[dev]" && .venv/bin/nox'
    runner = (Path(__file__).parent.parent / ".ci" / "run").read_text()
    pattern = re.search(r"grep -m1 -E '(.*)' README\.md", runner)
    assert pattern
    assert re.findall(pattern[1], README, re.MULTILINE) == [check]


def test_what_is_masked() -> None:
    """The lists in the README equal those in the code."""
    section = README[README.index("**Masked by default**") :].split("\n\nEverywhere")[0]
    parameters, headers = (set(block.split()) for block in re.findall(r"^```text\n(.*?)^```", section, re.DOTALL | re.MULTILINE))
    assert (headers, parameters) == (secrets.SECRET_HEADERS, secrets.SECRET_NAMES)
    told = set(re.findall(r"`([\w-]+)`", section))
    assert told >= {*secrets.SECRET_NAME_PARTS, *secrets.SECRET_NAME_ENDINGS, *secrets.AMBIGUOUS_NAMES}


def test_the_examples_named_exist() -> None:
    """Each file that the README names exists, and each example is named."""
    folder = Path(__file__).parent.parent / "examples"
    for path in folder.glob("*.py"):
        assert path.name in README
