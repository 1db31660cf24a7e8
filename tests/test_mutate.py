"""The mutation testing of `tests/mutate.py`: which mutants there are, and what is said of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import mutate

TINY = """LIMIT = 4


def doubled(number):
    while number < LIMIT:
        number *= 2
    return number
"""
TESTS = """
from ratewise.part.tiny import doubled

def test_doubled():
    assert doubled(1) == 4
"""
OUTCOMES = """\
killed    ratewise/part/tiny.py:1: LIMIT = 4  ->  LIMIT = 2
killed    ratewise/part/tiny.py:1: LIMIT = 4  ->  LIMIT = 8
killed    ratewise/part/tiny.py:5: while number < LIMIT:  ->  while number <= LIMIT:
timed out ratewise/part/tiny.py:6: number *= 2  ->  number *= 1
survived  ratewise/part/tiny.py:6: number *= 2  ->  number *= 4
5 mutants, 1 survived
"""


def changed(source: str) -> list[str]:
    """Return the mutants of one line."""
    text = source.encode()
    return [mutant.applied(text).decode() for mutant in mutate.mutants(Path("tiny.py"), text)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = 7", ["a = 14", "a = 3"]),
        ("a = 1", ["a = 0", "a = 2"]),
        ("a = 0.5", ["a = 0.25", "a = 1.0"]),
        ("a = 1_000.0", ["a = 2000.0", "a = 500.0"]),
        ("a = -0x10", ["a = -32", "a = -8"]),
        ("a = 0, 0.0, True, '2', 3j", []),
        ("a < b", ["a <= b"]),
        ("a <= b", ["a < b"]),
        ("a > b", ["a >= b"]),
        ("a >= b", ["a > b"]),
        ("a == b", ["a != b"]),
        ("a != b", []),
        ("a is b in c", []),
        ("a < b is c <= d", ["a <= b is c <= d", "a < b is c < d"]),
        ("a and b and c", ["a or b and c", "a and b or c"]),
        ("a or b", []),
        ("min(a, max(b))", ["max(a, max(b))", "min(a, min(b))"]),
        ("a.min(b)", []),
        ("('é' + f(a)) < (b)", ["('é' + f(a)) <= (b)"]),
        ("(a  # a < b\r\n    < b)\r\n", ["(a  # a < b\r\n    <= b)\r\n"]),
        ("a[0], a[1:], a[-1], a[b, 1]", []),
        ("a[2]", ["a[1]", "a[4]"]),
        ("while 1: a", []),
        ("f'{a < 2:3}'", []),
        ("a_VERSION: int = 2", []),
        ("a.version = 2, 3", []),
        ("def f(a, version=2, *, b_version=3, c): a", []),
        ("def f(version, a=2): a", ["def f(version, a=1): a", "def f(version, a=4): a"]),
        ("a.version == 2", ["a.version != 2", "a.version == 1", "a.version == 4"]),
        ("a = 2  # equivalent: it is not used", []),
        ("a = 2  # equivalent:", ["a = 1  # equivalent:", "a = 4  # equivalent:"]),
    ],
)
def test_mutants_of_a_line(source: str, expected: list[str]) -> None:
    """Each mutant differs in one place, and keeps every other byte."""
    assert changed(source) == expected


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a repository with a tiny package and its test; it is the current folder."""
    for name, text in {"ratewise/__init__.py": "", "ratewise/part/tiny.py": TINY, "tests/part/test_tiny.py": TESTS}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # that of RateWise is not in this package; and pytest starts faster
    monkeypatch.setenv("PYTEST_PLUGINS", "_hypothesis_pytestplugin")
    monkeypatch.setattr(mutate, "STARTING", 1.0)
    return tmp_path


def test_outcomes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each mutant and a summary; more survivors than allowed are a failure. The working tree stays as it is."""
    before = {path: path.read_bytes() for path in root.rglob("*.*")}
    assert mutate.main(["--allowed", "0", "part"]) == 1
    assert capsys.readouterr().out == OUTCOMES
    assert {path: path.read_bytes() for path in root.rglob("*.*")} == before


def test_sample(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The seed determines the sample. As many survivors as are allowed are no failure; nothing but the given tests is run."""
    ran, shown = [], []
    monkeypatch.setattr(mutate, "_run", lambda root, tests, *others: ran.append(tests) or 0)
    options = ["--sample", "2", "--allowed", "2", "part/tiny.py", "--", "tests/a.py", "-n", "2"]
    for seed in ("1", "1", "2"):
        assert mutate.main(["--seed", seed, *options]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != shown[2]
    assert shown[0].endswith("\n2 mutants, 2 survived\n")
    assert ran[-3:] == [["--hypothesis-seed=2", "tests/a.py", "-n", "2"]] * 3


def test_failing_without_a_mutation(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No mutant is run if the tests fail without one."""
    (root / "ratewise/part/tiny.py").write_text(TINY.replace("4", "5"))
    assert mutate.main(["part"]) == 2
    assert capsys.readouterr().out == "the tests do not pass without a mutation\n"


def test_no_such_path(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path at which the package has no code is refused."""
    with pytest.raises(SystemExit, match="2"):
        mutate.main(["prat"])
    assert "there is no ratewise/prat" in capsys.readouterr().err
