"""The command line and its demo: a real server, both clients, and their output."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

import ratewise
from ratewise import Exchange
from ratewise import _demo as demo
from ratewise._core.call_state import CallState
from ratewise.testing import FakeClock

WITHOUT_RICH = "import runpy, sys; sys.modules['rich'] = None; runpy.run_module('ratewise', run_name='__main__', alter_sys=True)"

# The report of each scenario, with either client.
OUTCOMES = (
    r"GET /limited: .*\n  1  429  waited 0\.2[0-2] s  Retry-After\n  2  200  done\n"
    r"  Result: status 200\. Requests received by the server: 2\.",
    r"GET /overloaded: .*\n  1  503  waited 0\.\d\d s  backoff\n  2  503  waited 0\.\d\d s  backoff\n  3  200  done\n"
    r"  Result: status 200\. Requests received by the server: 3\.",
    r"GET /dropped: .*\n  1  \w+Error  waited 0\.\d\d s  backoff\n  2  200 +done\n"
    r"  Result: status 200\. Requests received by the server: 2\.",
    r"POST /payments: .*\n  1  500  not sent again  POST is not idempotent, and the server may have acted on it\n"
    r"  Result: status 500\. Requests received by the server: 1\.",
    r"POST /keyed-payments: .*\n  1  500  waited 0\.\d\d s  backoff\n  2  200  done\n"
    r"  Result: status 200\. Requests received by the server: 2, all with the key payment-7\.",
    r"GET /exhausted: .*\n  1  429  waited .*\n  2  429  waited .*\n  3  429  not sent again  max_attempts \(3\) reached\n"
    r"  Result: RateLimitExceeded, attempts=3, retry_after=0\.05\. Requests received by the server: 3\.",
    r"GET /quota: .*\n  1  429  not sent again  Retry-After asks for 3600 s, more than max_retry_after \(300 s\)\n"
    r"  Result: RateLimitExceeded, attempts=1, retry_after=3600\.0\. Requests received by the server: 1\.",
    r"get_retry_stats\(\): total_requests 7, successful 4, failed 3, total_retries 7, avg_retries 1",
)


def check(output: str) -> None:
    """Check the report of every scenario, first with the sync client, then with the async one. Ignores the lines of a table."""
    text = re.sub(r" +$", "", re.sub(r"^[|\u2502] | *[|\u2502]$", "", output, flags=re.MULTILINE), flags=re.MULTILINE)
    _, sync, asynchronous = re.split(r"^\W*(?:RateWiseClient|AsyncRateWiseClient, under asyncio)\W*$", text, flags=re.MULTILINE)
    for part in (sync, asynchronous):
        for outcome in OUTCOMES:
            assert re.search(outcome, part), f"{outcome} is not in\n{part}"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env={**os.environ, "COLUMNS": "120", "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


def test_a_process_without_rich() -> None:
    """Without rich the demo writes plain ASCII, also if a proxy is set, and logs nothing."""
    done = run("-c", WITHOUT_RICH, "demo", HTTP_PROXY="http://127.0.0.1:9", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    check(done.stdout)


def test_a_process_with_rich() -> None:
    """With rich the demo writes the same in a table."""
    done = run("-m", "ratewise", "demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\u250f" in done.stdout
    check(done.stdout)


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """Run `python -m ratewise` in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["ratewise", *arguments])
    with pytest.raises(SystemExit) as end:
        execute("__main__")
    return end.value.code


def execute(name: str) -> dict[str, Any]:
    """Execute `ratewise/__main__.py` as the module `name`; runpy cannot where pytest rewrites the assertions of the package."""
    path, names = Path(ratewise.__file__).parent / "__main__.py", {"__name__": name, "__package__": "ratewise"}
    exec(compile(path.read_text(), path, "exec"), names)
    return names


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> FakeClock:
    """A clock for the demo whose waits take no time."""

    def run(main: Coroutine[Any, Any, Any]) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio_run, main).result()

    # Once anyio connects, Python 3.11 no longer traces what asyncio.run calls, and coverage would miss it.
    asyncio_run = asyncio.run
    monkeypatch.setattr(asyncio, "run", run)
    monkeypatch.setitem(demo.SETTINGS, "clock", clock)
    return clock


@pytest.mark.usefixtures("at_once")
def test_plain_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without rich, `demo` prints plain text and leaves the library's logger as it was."""
    for name in ("rich", "rich.console", "rich.table", "rich.text"):
        monkeypatch.setitem(sys.modules, name, None)
    assert command(monkeypatch, "demo") == 0
    output = capsys.readouterr()
    check(output.out)
    assert output.err == ""
    assert not logging.getLogger("ratewise").disabled


@pytest.mark.usefixtures("at_once")
def test_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With rich, `demo` passes it the same text, one row for each scenario and one for the counts."""

    class Text(str):
        def highlight_regex(self, pattern: str, style: str) -> None:
            assert style
            highlighted.update({pattern} if re.search(pattern, self) else set())

    class Table:
        def __init__(self, title: str, *, show_lines: bool) -> None:
            self.rows = [title]

        def add_row(self, row: str) -> None:
            self.rows.append(row)

    class Console:
        def __init__(self, *, file: Any) -> None:
            self.file = file

        def print(self, space: str, table: Table) -> None:
            assert len(table.rows) == len(demo.SCENARIOS) + 2
            self.file.write("\n".join([space, *table.rows, ""]))

    highlighted: set[str] = set()
    for name, content in (("rich", ModuleType("rich")), ("console", Console), ("table", Table), ("text", Text)):
        module = ModuleType(name)
        setattr(module, name.capitalize(), content)
        monkeypatch.setitem(sys.modules, "rich" if name == "rich" else f"rich.{name}", module)
    assert command(monkeypatch, "demo") == 0
    output = capsys.readouterr()
    check(output.out)
    assert output.err == ""
    assert highlighted == demo.STYLES.keys()  # no style is unused


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m ratewise` alone prints the help."""
    assert command(monkeypatch) == 0
    assert re.search(r"demo +show", capsys.readouterr().out)


def test_unknown_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that does not exist is a usage error."""
    assert command(monkeypatch, "dance") == 2
    assert "invalid choice: 'dance'" in capsys.readouterr().err


def test_import_leaves_the_command_alone() -> None:
    """Importing `ratewise.__main__` runs nothing."""
    assert run("-c", "import ratewise.__main__").stdout == ""
    assert "main" in execute("imported")


def test_report_of_different_keys() -> None:
    """The report says that all requests had one key only if they had."""
    state = CallState()
    state.attempts = 1
    scenario, answer = demo.SCENARIOS[4], httpx.Response(200, extensions={"ratewise": Exchange(state)})
    assert demo.report(scenario, answer, ["a", "b"]).endswith("Requests received by the server: 2.")
    assert demo.report(scenario, answer, ["a", "a"]).endswith("Requests received by the server: 2, all with the key a.")
