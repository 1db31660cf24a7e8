"""`python -m tests.mutate [options] [path under ratewise/] [-- pytest's arguments]`, from the root: mutation testing.

Takes a random sample of all mutants of this part of the package: a mutant is a copy of the repository in which one number is
halved or doubled, or one comparison, `and`, `min` or `max` is replaced. Runs the tests on each until one fails, in the order
given: fast ones first. A mutant survives if all tests pass; if they do not end in time, it is killed too. A line with the comment
`# equivalent: reason` is not mutated: no test can observe that. Exits with 1 if more than `--allowed` mutants survive, and with 2
if the tests do not pass without a mutation. `nox -s mutate` is the way in.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ALSO = {"rate_limit": ["tests/zoo"]}
"""Tests of a folder by default, besides those in the folder of tests with the same name."""

OPERATORS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.And: "and"}
SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "and": "or", "min": "max", "max": "min"}

EQUIVALENT = re.compile(rb"# equivalent: \S")

SLOWER, STARTING = 3.0, 10.0
"""The time-out of a mutant: this many times what the tests take without a mutation, plus this many seconds."""

END = 10.0
"""Seconds that pytest may take to end after a time-out."""


class Mutant(NamedTuple):
    """Has `text` in the place of the bytes from `start` to `end` of a file."""

    file: Path
    start: int
    end: int
    text: bytes

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.text + source[self.end :]

    def line(self, source: bytes) -> int:
        return len(source[: self.start + 1].splitlines())

    def description(self, source: bytes) -> str:
        """Return the file and the line, and the text of the line before and after."""
        number = self.line(source)
        before, after = (text.splitlines()[number - 1].decode().strip() for text in (source, self.applied(source)))
        return f"{self.file}:{number}: {before}  ->  {after}"


def mutants(file: Path, source: bytes) -> list[Mutant]:
    """Return all mutants of a file, in the order of their positions."""
    lines = source.splitlines()
    found = [Mutant(file, *change) for change in _changes(source)]
    return sorted(each for each in found if not EQUIVALENT.search(lines[each.line(source) - 1]))


def _changes(source: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield start, end and replacement. The columns of `ast` are bytes, as these are."""
    starts = list(itertools.accumulate(map(len, source.splitlines(keepends=True)), initial=0))

    def span(node: Any) -> tuple[int, int]:
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    tree = ast.parse(source)
    for node in {*ast.walk(tree)}.difference(_left_out(tree)):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            value: Any = node.value
            for other in (value // 2 if isinstance(value, int) else value / 2, value * 2):
                if other != value:
                    yield *span(node), repr(other).encode()
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
            yield *span(node.func), SWAPS[node.func.id].encode()
        for operator, before, after in _operators(node):
            first, last = span(before)[1], span(after)[0]  # between them are blanks, brackets and comments besides
            between = re.sub(rb"#.*", lambda comment: b" " * len(comment[0]), source[first:last])
            start = first + between.index(operator.encode())
            yield start, start + len(operator), SWAPS[operator].encode()


def _operators(node: ast.AST) -> Iterator[tuple[str, ast.expr, ast.expr]]:
    """Yield the operators that are replaced, with the operands before and after."""
    if isinstance(node, (ast.Compare, ast.BoolOp)):
        operands = [node.left, *node.comparators] if isinstance(node, ast.Compare) else node.values
        operators = node.ops if isinstance(node, ast.Compare) else [node.op] * len(operands)
        names = [OPERATORS.get(type(operator)) for operator in operators]
        yield from ((name, *pair) for name, *pair in zip(names, operands, operands[1:]) if name)


def _left_out(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what is not mutated: f-strings, 0 and 1 as an index or a condition, and the numbers of versions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield from ast.walk(node)  # before Python 3.12 the positions in there are wrong
        elif isinstance(node, ast.Subscript):
            yield from (each for each in ast.walk(node.slice) if isinstance(each, ast.Constant) and each.value in (0, 1))
        elif isinstance(getattr(node, "test", None), ast.Constant):
            yield node.test  # type: ignore[attr-defined]
        for name, value in _named(node):
            if value is not None and "version" in ast.unparse(name).lower():
                yield from ast.walk(value)


def _named(node: ast.AST) -> Iterator[tuple[ast.AST, ast.expr | None]]:
    """Yield the names to which a node gives a value, with that value."""
    if isinstance(node, ast.arguments):
        yield from zip([*node.posonlyargs, *node.args][::-1], node.defaults[::-1])
        yield from zip(node.kwonlyargs, node.kw_defaults)
    elif isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets)
    elif isinstance(node, ast.AnnAssign):
        yield node.target, node.value


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    split = given.index("--") if "--" in given else len(given)
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=__doc__)
    parser.add_argument("path", nargs="?", default="rate_limit", help="a folder or file under ratewise/; default: %(default)s")
    parser.add_argument("--sample", type=int, default=50, help="how many mutants; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the sample and of hypothesis; default: %(default)s")
    parser.add_argument("--allowed", type=int, default=5, help="how many may survive; default: %(default)s")
    parser.add_argument("--jobs", type=int, default=2, help="how many mutants run at once; default: %(default)s")
    options = parser.parse_args(given[:split])
    path = Path("ratewise", options.path)
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    if not files:
        parser.error(f"there is no {path}")
    every = [each for file in files for each in mutants(file, file.read_bytes())]
    sample = sorted(random.Random(options.seed).sample(every, min(options.sample, len(every))))
    folder = options.path.split("/")[0]
    tests = given[split + 1 :] or [test for test in [f"tests/{folder}", *ALSO.get(folder, [])] if Path(test).exists()]
    tests = [f"--hypothesis-seed={options.seed}", *tests]  # else the outcomes differ from run to run
    with tempfile.TemporaryDirectory() as temporary:
        clean = Path(temporary, "clean")
        shutil.copytree(".", clean, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "htmlcov"))
        begun = time.monotonic()
        if _run(clean, tests, None, None) != 0:
            _show("the tests do not pass without a mutation")
            return 2
        limit = SLOWER * (time.monotonic() - begun) + STARTING
        survived = 0
        with ThreadPoolExecutor(options.jobs) as executor:
            for mutant, outcome in zip(sample, executor.map(lambda each: _outcome(each, clean, tests, limit), sample)):
                survived += outcome == "survived"
                _show(f"{outcome:10}{mutant.description((clean / mutant.file).read_bytes())}")
    _show(f"{len(sample)} mutants, {survived} survived")
    return int(survived > options.allowed)


def _outcome(mutant: Mutant, clean: Path, tests: list[str], limit: float) -> str:
    """Run the tests on a mutant. Each has a copy of its own: several run at once, and tests may leave files."""
    with tempfile.TemporaryDirectory(dir=clean.parent) as temporary:
        root = shutil.copytree(clean, Path(temporary, "root"))
        file = root / mutant.file
        file.write_bytes(mutant.applied(file.read_bytes()))
        for compiled in file.parent.glob(f"__pycache__/{file.stem}.*"):
            compiled.unlink()  # Python might take it for the mutant's: it compares size and time, the time in whole seconds
        code = _run(root, tests, limit, subprocess.DEVNULL)
    return "timed out" if code is None else "killed" if code else "survived"


def _run(root: Path, tests: list[str], limit: float | None, output: int | None) -> int | None:
    """Return pytest's exit code; None after a time-out."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    process = subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stdout=output, stderr=output)
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # so that it ends the servers that it started
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END)
        return None
    finally:
        process.kill()
        process.wait()


def _show(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
