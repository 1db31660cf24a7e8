"""Regular expressions that are compiled at their first use, so that importing them costs nothing."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Lazy:
    def __init__(self, pattern: Any, flags: int) -> None:
        self.pattern, self._flags = pattern, flags

    def __reduce__(self) -> Any:
        return regex, (self.pattern, self._flags)

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(self.pattern, self._flags)
        for method in ("search", "match", "fullmatch", "split", "findall", "finditer", "sub"):
            setattr(self, method, getattr(compiled, method))  # later look-ups do not come here
        return getattr(compiled, name)


def regex(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As `re.compile`, but compile at the first use."""
    return cast("re.Pattern[AnyStr]", _Lazy(pattern, flags))
