"""The flavours are one text: `ratewise/httpx2` is `ratewise/_httpx` with the library's name changed.

`python tests/flavours.py` writes it anew; `test_flavours.py` sees to it that it was not forgotten.
"""

from __future__ import annotations

import re
from pathlib import Path

import ratewise

SOURCE = Path(ratewise.__file__).parent / "_httpx"
TWIN = SOURCE.parent / "httpx2"


def texts() -> dict[str, str]:
    """The httpx2 flavour, file by file, as it must read."""
    return {path.name: re.sub(r"\bhttpx\b", "httpx2", path.read_text()) for path in sorted(SOURCE.glob("*.py"))}


if __name__ == "__main__":
    TWIN.mkdir(exist_ok=True)
    for name, text in texts().items():
        (TWIN / name).write_text(text)
