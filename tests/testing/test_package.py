"""The names of `ratewise.testing`, which are loaded when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ratewise.testing


def test_every_name_is_there() -> None:
    """All public names can be imported, and no others."""
    assert sorted(ratewise.testing.__all__) == dir(ratewise.testing)
    for name in ratewise.testing.__all__:
        assert getattr(getattr(ratewise.testing, name), "__name__", name) == name
    with pytest.raises(AttributeError, match="no attribute 'Dance'"):
        ratewise.testing.Dance  # noqa: B018


def test_importing_loads_no_libraries() -> None:
    """Importing it and making a plain server load neither pytest, an HTTP library nor a package of the extra."""
    script = (
        "import sys\nfrom ratewise.testing import FaultServer\nFaultServer()\n"
        "print(*sorted({'pytest', 'httpx', 'httpx2', 'h2', 'trustme', 'anyio'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout == "\n"
