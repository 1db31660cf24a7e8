"""Complexity: no text makes a redactor slow, or fills its memory."""

from __future__ import annotations

import pytest

from ratewise._redaction.masker import MAX_KNOWN_NAMES
from tests.kit.growth import growth
from tests.redaction.samples import FULL, HOSTILE, masker


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=list(HOSTILE))
@pytest.mark.parametrize("prefix", ["", "https://h/?a="], ids=["bare", "query"])
def test_linear(unit: str, prefix: str) -> None:
    """Eight times the text takes about eight times the work, for every text."""
    small, large = (prefix + unit * (size // len(unit)) for size in (2000, 16_000))
    for function in (FULL.url, FULL.text, lambda text: FULL.header("Link", text)):
        assert any(growth(function, small, large) < 25 for _ in range(10))


def test_names_are_not_remembered_without_end() -> None:
    """Neither many names nor long ones are kept, and the answers stay right."""
    own = masker()
    for number in range(2 * MAX_KNOWN_NAMES):
        assert own.is_secret_parameter(f"token[{number}]")
        assert not own.is_secret_parameter(f"{number}")
    assert len(own._secret_parameters) == MAX_KNOWN_NAMES
    long = masker()
    assert long.is_secret_parameter("password" + "x" * 1000)
    assert long._secret_parameters == {}
