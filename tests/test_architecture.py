"""The laws of the house, as far as code can check them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ratewise

PACKAGE = Path(ratewise.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LIBRARIES = {"httpx", "httpx2", "httpcore", "httpcore2"}
RULES = [
    "_http/credentials.py",
    "_util/escapes.py",
    "exceptions.py",
    "_core/exchange.py",
    "_core/failure.py",
    "_http/retry_advice.py",
    "_redaction/secrets.py",
    "_redaction/masker.py",
    "_util/lazy_regex.py",
    "_http/structured_fields.py",
    "_validation.py",
    "logging/config.py",
    "_redaction/bodies.py",
    "_redaction/xml.py",
    "_redaction/text.py",
    "_redaction/labels.py",
    "_redaction/values.py",
    "cache/conditions.py",
    "cache/config.py",
    "cache/entry.py",
    "cache/directives.py",
    "cache/key.py",
    "cache/rules.py",
    "retry/config.py",
    "retry/backoff.py",
    "retry/budget.py",
    "circuit_breaker/circuit.py",
    "rate_limit/found/__init__.py",
    "rate_limit/found/answer.py",
    "rate_limit/found/burst.py",
    "rate_limit/found/ceiling.py",
    "rate_limit/found/filling.py",
    "rate_limit/found/shut.py",
    "rate_limit/found/turning.py",
    "rate_limit/governor.py",
    "rate_limit/limits.py",
    "rate_limit/snapshot.py",
    "_http/rate_limit_headers.py",
]
PURE = set(
    """
    __future__ bisect calendar collections contextlib copy dataclasses datetime enum functools hashlib hmac inspect itertools json
    math operator os re ssl struct threading time typing urllib
    """.split()
)
FEATURES = {"bulkhead", "cache", "circuit_breaker", "logging", "rate_limit", "retry"}


def imports(path: Path, *, types_too: bool = False) -> set[str]:
    """What a file imports, absolutely (`httpx`) or from this package (`.layer`); under TYPE_CHECKING only if asked."""
    found = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not types_too:
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = list(path.relative_to(PACKAGE).parent.parts)
            base = base[: len(base) - node.level + 1] if node.level else []
            module = ".".join([*base, node.module or ""]).strip(".")
            found.update([f".{module}"] if node.module and node.level else [])
            found.update(f".{module}.{alias.name}".replace("..", ".") for alias in node.names if node.level and not node.module)
            found.update([module] if not node.level else [])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_flavours_import_an_http_library(path: Path) -> None:
    """Rules, layers and the seam know none, not even for their types."""
    if path.parent.name not in ("_httpx", "httpx2") and path.name not in ("_demo.py", "__main__.py"):
        assert not {name.split(".")[0] for name in imports(path, types_too=True)} & LIBRARIES


@pytest.mark.parametrize("name", RULES)
def test_rules_are_pure(name: str) -> None:
    """Rules import nothing that does I/O, and call no clock: of `time` and `os` only what is pure, or read once at import."""
    path = PACKAGE / name
    outside = {module.split(".")[0] for module in imports(path) if not module.startswith(".")}
    assert outside <= PURE
    inside = {module.lstrip(".") for module in imports(path) if module.startswith(".")}
    assert inside <= {rule[:-3].replace("/__init__", "").replace("/", ".") for rule in RULES} | {
        "_util.bounded_table"
    }  # whose clock is only for what to forget
    calls = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("time", "os")
    }
    assert calls <= {"time.gmtime", "os.urandom"}


@pytest.mark.parametrize("feature", sorted(FEATURES))
def test_features_do_not_import_one_another(feature: str) -> None:
    """Only the stack and the flavours know them all."""
    for path in (PACKAGE / feature).glob("*.py"):
        others = {name.split(".")[1] for name in imports(path) if name.startswith(".")} & (FEATURES - {feature})
        assert not others


def test_importing_ratewise_loads_nothing() -> None:
    """`import ratewise` is free; a name loads what it needs; what is not used (asyncio, trio, rich) is not loaded at all."""
    script = (
        "import sys, ratewise; assert 'httpx' not in sys.modules; from ratewise import RateWiseClient; "
        "assert 'httpx' in sys.modules; print(*sorted({'asyncio', 'trio', 'anyio', 'rich', 'uuid', 'redis'} & set(sys.modules)))"
    )
    bare = "import sys, httpx; print(*sorted({'asyncio', 'trio', 'anyio', 'rich', 'uuid', 'redis'} & set(sys.modules)))"
    ours, theirs = (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout for code in (script, bare)
    )
    assert ours == theirs


def test_files_keep_one_concept() -> None:
    """A file that has outgrown its name is split."""
    assert {path.name: n for path in FILES if (n := len(path.read_text().splitlines())) > 400} == {}
