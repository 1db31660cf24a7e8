"""The architecture's laws, as far as code can check them: for every module, except those listed here with a reason."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ratewise

PACKAGE = Path(ratewise.__file__).parent
FILES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}
LIBRARIES = {"httpx", "httpx2", "httpcore", "httpcore2"}
ADAPTERS = ("_adapter/", "_httpx/", "httpx2/")
CAPABILITIES = ("bulkhead", "cache", "circuit_breaker", "logging", "rate_limit", "retry")
PUBLIC = {*CAPABILITIES, "exceptions", "httpx2", "layer", "testing"}
"""The modules that users may import besides `ratewise`; all others in the package's root begin with an underscore."""

FLOORS = 10
"""Most modules in the longest chain of imports."""

LINES, TEST_LINES = 400, 600
"""Most lines of a file in the package, and of a test file."""

PURE = set(
    """
    __future__ abc bisect calendar collections contextlib copy dataclasses datetime difflib enum functools hashlib heapq hmac
    importlib inspect itertools json math operator os re ssl struct threading time types typing urllib weakref
    """.split()
)
"""What rules may import: of `threading` the locks, of `os` and `time` what `PURE_CALLS` has; `importlib` only for our modules."""

PURE_CALLS = {"os.urandom", "time.gmtime"}

LAYERS = {
    "_core/admission.py": "how layers wait for their turn",
    "_core/compose.py": "the seam itself",
    "_core/outcomes.py": "what several layers ask about an attempt",
    "_deadline.py": "the layers of the deadline, outermost and innermost",
    "_pool.py": "the queue in front of a connection pool",
    "_stack.py": "which layers, in which order; one of them is its own",
    "cache/fetch.py": "the half of the cache's layer that sends",
    "cache/lookup.py": "what the cache's layer knows of one request",
    "cache/stores/backend.py": "how the cache's layer uses a store that may wait or fail",
    "cache/stores/interface.py": "what the cache's layer uses of a store",
    "cache/single_flight.py": "how requests wait for one another's answer",
    **{f"{capability}/layer.py": "a layer" for capability in CAPABILITIES},
}
"""The layers: they do I/O only through `call`."""

LAYERS_IMPORT = PURE | {"logging", "random", "uuid"}

NOT_RULES = {
    "__init__.py": "loads what is asked for",
    "__main__.py": "the command line",
    "_demo.py": "the demo, which uses the package as users do",
    "_pytest_plugin.py": "fixtures of pytest",
    "_core/background.py": "threads and tasks",
    "_core/clock.py": "the world's time",
    "_core/order.py": "warns at the caller's line",
    "_core/own_clock.py": "a clock",
    "_util/bounded_table.py": "its clock is only for what is forgotten",
    "cache/__init__.py": "loads a store when it is asked for",
    "cache/stores/base.py": "I/O: worker threads",
    "cache/stores/memory.py": "a store",
    "cache/stores/redis.py": "I/O: a store",
    "cache/stores/sqlite.py": "I/O: a store",
    "cache/stores/sqlite_file.py": "I/O: the file of a store",
    "bulkhead/bulkhead.py": "a queue, on which layers wait",
    "circuit_breaker/breaker.py": "logs its changes of state, and draws lots",
    "rate_limit/limiter.py": "a queue, on which layers wait",
    "logging/filters.py": "logging of the standard library",
    "logging/setup.py": "logging of the standard library",
    "testing/__init__.py": "loads what is asked for",
    "testing/attendance.py": "asks event loops",
    "testing/clock.py": "a clock",
    "testing/description.py": "finds the layers of a stack",
    "testing/families.py": "its replies are those of a server",
    "testing/fault_server.py": "I/O: a server",
    "testing/fault_transport.py": "what the fault transports of both adapters share",
    "testing/faults.py": "draws lots",
    "testing/http2.py": "I/O: a server",
    "testing/idle.py": "asks event loops",
    "testing/limited_server.py": "I/O: a server",
    "testing/messages.py": "I/O: how a server writes",
    "testing/responder.py": "draws lots",
    "testing/script.py": "I/O: a wire, and the clock that it waits on",
    "testing/server.py": "I/O: a server",
    "testing/switches.py": "switches of the whole process",
    "testing/virtual_clock.py": "a clock",
    **{f"{capability}/__init__.py": "a face" for capability in CAPABILITIES if capability != "cache"},
}
"""Modules that are neither rules nor layers nor adapters, with the reason."""

RULES = [name for name in FILES if not (name in LAYERS or name in NOT_RULES or name.startswith(ADAPTERS))]

RULES_MAY = {"_validation.py": {"_core/clock.py"}, "retry/budget.py": {"_util/bounded_table.py"}}
"""Modules besides rules that some rules import: the class of a setting; a table whose clock only decides what is dropped."""


def module_of(name: str) -> str:
    """Return the dotted name of a file's module, without the package's name."""
    return name[:-3].replace("/", ".").removesuffix("__init__").rstrip(".")


MODULES = {module_of(name): name for name in FILES}


@cache
def imports(name: str, *, types_too: bool = False) -> frozenset[str]:
    """Return what a file imports: files of this package and names of others; under TYPE_CHECKING only with `types_too`."""
    return frozenset(_imports(ast.parse(FILES[name].read_text()), name, types_too))


def _imports(node: ast.AST, name: str, types_too: bool) -> Iterator[str]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not types_too:
        return
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield (node.module or "").split(".")[0]
    elif isinstance(node, ast.ImportFrom):
        folder = Path(name).parent.parts
        parts = [*folder[: len(folder) - node.level + 1], *(node.module or "").split(".")]
        source = ".".join(part for part in parts if part)
        for alias in node.names:
            yield MODULES.get(f"{source}.{alias.name}".lstrip("."), MODULES[source])
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, name, types_too)


def test_no_circles_and_few_floors() -> None:
    """Imports have no cycles, and no chain is longer than ten modules, including imports inside functions."""
    chains: dict[str, list[str]] = {}
    for name in TopologicalSorter({name: imports(name) & FILES.keys() for name in FILES}).static_order():
        chains[name] = [name, *max((chains[other] for other in imports(name) & FILES.keys()), key=len, default=[])]
    longest = max(chains.values(), key=len)
    assert len(longest) <= FLOORS, " -> ".join(longest)


def test_what_is_public_has_no_underscore() -> None:
    """The root has exactly the public modules without an underscore."""
    assert {path.stem for path in PACKAGE.iterdir() if not path.name.startswith(("_", "py.typed"))} == PUBLIC


def test_all_that_is_listed_is_there() -> None:
    """Every file with an exception exists."""
    assert {*LAYERS, *NOT_RULES, *RULES_MAY} <= FILES.keys()


@pytest.mark.parametrize("name", FILES)
def test_only_the_adapters_import_an_http_library(name: str) -> None:
    """Rules, layers and what both libraries' adapters share import neither library, not even for types."""
    if not name.startswith(("_httpx/", "httpx2/")) and name not in ("_demo.py", "__main__.py"):
        assert not imports(name, types_too=True) & LIBRARIES


@pytest.mark.parametrize("name", RULES)
def test_rules_are_pure(name: str) -> None:
    """Rules import nothing that does I/O, and read no clock."""
    outside, inside = imports(name) - FILES.keys(), imports(name) & FILES.keys()
    assert outside <= PURE
    assert inside <= {*RULES, *RULES_MAY.get(name, ())}
    assert calls(name, "os", "time") <= PURE_CALLS


@pytest.mark.parametrize("name", LAYERS)
def test_layers_do_io_through_their_call_alone(name: str) -> None:
    """Layers import no event loop, socket or file, and read no clock."""
    assert imports(name) - FILES.keys() <= LAYERS_IMPORT
    assert calls(name, "os", "time") <= PURE_CALLS


def calls(name: str, *modules: str) -> set[str]:
    """Return the attributes of these standard modules that a file uses."""
    return {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(FILES[name].read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    }


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_capabilities_do_not_import_one_another(capability: str) -> None:
    """Only the stack and the adapters import several capabilities."""
    for name in FILES:
        if name.startswith(f"{capability}/"):
            others = {other.split("/")[0] for other in imports(name) & FILES.keys() if "/" in other}
            assert not others & {*CAPABILITIES} - {capability}


def test_ours_are_imported_from_where_they_are() -> None:
    """Modules import from the defining module, not from a package's `__init__`, which would load all of it."""
    faces = {f"{package}/__init__.py" for package in (*CAPABILITIES, "httpx2", "_httpx")}
    for name in FILES:
        if name not in ("__init__.py", "_demo.py"):
            assert not imports(name) & faces, name


def test_private_names_of_libraries_stand_in_one_table() -> None:
    """Only `_adapter/private.py` uses private names of a library; all other names with an underscore are defined here."""
    trees = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
    ours = {"_asdict", "_fields", "_getframe", "_make", "_replace"}  # documented names of the standard library
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                ours.add(node.name)
            elif (
                isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) in ("self", "cls")
            ):
                ours.add(node.attr)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                ours.add(node.target.id)
    for name, tree in trees.items():
        used = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        }
        if name != "_adapter/private.py":
            assert used <= ours, name


def test_importing_ratewise_loads_nothing() -> None:
    """`import ratewise` loads no HTTP library; a name loads what it needs, and asyncio, trio and rich only if they are used."""
    script = (
        "import sys, ratewise; assert 'httpx' not in sys.modules; from ratewise import RateWiseClient; "
        "assert 'httpx' in sys.modules; print(*sorted({'asyncio', 'trio', 'anyio', 'rich', 'uuid', 'redis'} & set(sys.modules)))"
    )
    bare = "import sys, httpx; print(*sorted({'asyncio', 'trio', 'anyio', 'rich', 'uuid', 'redis'} & set(sys.modules)))"
    ours, theirs = (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout for code in (script, bare)
    )
    assert ours == theirs


@pytest.mark.parametrize("name", FILES)
def test_constants_are_documented(name: str) -> None:
    """Each public constant of a module is followed by a docstring: what it bounds, and its unit."""
    body = ast.parse(FILES[name].read_text()).body
    for statement, following in zip(body, [*body[1:], None]):
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        names = [node.id for target in targets if target is not None for node in ast.walk(target) if isinstance(node, ast.Name)]
        constants = [name for name in names if name.isupper() and len(name) > 1 and not name.startswith("_")]  # `T` is a type
        if constants:
            documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            assert documented, constants


@pytest.mark.parametrize("name", FILES)
def test_files_keep_one_concept(name: str) -> None:
    """A file has at most LINES lines: a longer one is split."""
    assert len(FILES[name].read_text().splitlines()) <= LINES


def test_files_of_tests_keep_one_concept() -> None:
    """A test file has at most TEST_LINES lines."""
    lengths = {str(path): len(path.read_text().splitlines()) for path in Path(__file__).parent.rglob("*.py")}
    assert {path: length for path, length in lengths.items() if length > TEST_LINES} == {}
