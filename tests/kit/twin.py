"""Generate `ratewise/httpx2` from `ratewise/_httpx` with the library's name changed: `nox -s twin`.

With `--check`, only report whether it is out of date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "ratewise" / "_httpx"
TWIN = SOURCE.parent / "httpx2"
GENERATED = "# Generated from ratewise/_httpx by `nox -s twin`: change the files there.\n"


def texts() -> dict[str, str]:
    """Return the generated files: name and content."""
    return {path.name: GENERATED + re.sub(r"\bhttpx\b", "httpx2", path.read_text()) for path in sorted(SOURCE.glob("*.py"))}


def main() -> int:
    """Write the generated files, or check them. Return the exit code."""
    there = {path.name: path.read_text() for path in TWIN.glob("*.py")}
    if "--check" in sys.argv:
        if there != texts():
            sys.stderr.write("ratewise/httpx2 is not ratewise/_httpx with the name changed: run `nox -s twin`\n")
            return 1
        return 0
    for name in there.keys() - texts().keys():
        (TWIN / name).unlink()
    for name, text in texts().items():
        (TWIN / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
