"""When a limit resets: instants and delays in every form, measured by the response's Date."""

from __future__ import annotations

import pytest

from ratewise._http.rate_limit_headers import NO_FIELDS
from tests.http.telling import DATE, NOW, quota, says, tell


@pytest.mark.parametrize(
    ("value", "seconds", "resolution", "kind"),
    [
        ("30", 30, 1, "window"),
        ("0", 0, 1, "window"),
        ("30.5", 30.5, 0.1, "window"),
        ("30.", 30, 1, "window"),
        ("30.25", 30.25, 0.01, "window"),
        ("1.4567", 1.4567, 0.001, "window"),
        ("999999999", 999_999_999, 1, "window"),
        ("1000000000", None, 1, "window"),
        ("1445412450", 30, 1, "window"),
        ("1445412450.5", 30.5, 1, "window"),
        ("1445412419", 0, 1, "window"),
        ("1445412420", 0, 1, "window"),
        ("1445412418", None, 1, "window"),
        ("1445412419000", 0, 1, "window"),
        ("Wed, 21 Oct 2015 07:27:30 +0000", 30, 1, "window"),
        ("Sun, 1 Nov 2015 07:27:00 GMT", 950_400, 1, "window"),
        ("Sun, 1 Nov 2015 07:27:00 -0000", 950_400, 1, "window"),
        ("1445412400", None, 1, "window"),
        ("99999999999", 99_999_999_999 - NOW, 1, "window"),
        ("100000000000", None, 1, "window"),
        ("1445412450500", 30.5, 1, "window"),
        ("1445412400000", None, 1, "window"),
        ("9" * 50, 1e12 - NOW, 1, "window"),
        ("Wed, 21 Oct 2015 07:27:30 GMT", 30, 1, "window"),
        ("Wednesday, 21-Oct-15 07:27:30 GMT", 30, 1, "window"),
        ("Wed Oct 21 07:27:30 2015", 30, 1, "window"),
        ("Wed, 21 Oct 2015 07:26:30 GMT", None, 1, "window"),
        ("2015-10-21T07:27:30Z", 30, 1, "window"),
        ("2015-10-21t07:27:30z", 30, 1, "window"),
        ("2015-10-21 07:27:30Z", 30, 1, "window"),
        ("2015-10-21T07:27:30.25Z", 30.25, 1, "window"),
        ("2015-10-21T07:27:30.123456789Z", 30.123456789, 1, "window"),
        ("2015-10-21T07:28Z", 60, 60, "window"),
        ("2015-10-21T09:27:30+02:00", 30, 1, "window"),
        ("2015-10-20T23:57:30-0730", 30, 1, "window"),
        ("2015-10-21T07:27:60Z", 60, 1, "window"),
        ("2015-10-21T07:26:30Z", None, 1, "window"),
        ("2015-10-21T07:27Z", 0, 60, "window"),
        ("2016-02-29T00:00:00Z", 11_291_580, 1, "window"),
        ("0s", 0, 0.001, "bucket"),
        ("12ms", 0.012, 0.001, "bucket"),
        ("12.5ms", 0.0125, 0.001, "bucket"),
        ("500us", 0.0005, 0.001, "bucket"),
        ("500\u00b5s", 0.0005, 0.001, "bucket"),
        ("20ns", 2e-8, 0.001, "bucket"),
        ("1s", 1, 0.001, "bucket"),
        ("1.02s", 1.02, 0.001, "bucket"),
        ("6m0s", 360, 0.001, "bucket"),
        ("6m", 360, 0.001, "bucket"),
        ("1h2m3.5s", 3723.5, 0.001, "bucket"),
        ("24h", 86_400, 0.001, "bucket"),
        ("999999999h999999999m999999999.999999999s", 3_660_999_996_340 - 0.000000001, 0.001, "bucket"),
    ],
)
def test_resets(value: str, seconds: float | None, resolution: float, kind: str) -> None:
    """A reset is a delay, an instant in one of five forms, or a Go duration; one in the past is ignored."""
    found = tell(DATE, ("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", value)).quotas[0]
    assert found == quota("", None, 1, seconds and pytest.approx(seconds, abs=1e-6), resolution, kind=kind)
    assert tell(DATE, ("x-ratelimit-reset", value)).quotas == ((found._replace(remaining=None),) if found.reset else ())
    assert tell(DATE, ("x-ratelimit-reset-tokens", value)) is NO_FIELDS


@pytest.mark.parametrize(
    "value",
    [
        "2015-10-21T07:27:30",
        "2015-10-21",
        "2015-10-21T07Z",
        "2015-13-21T07:27:30Z",
        "2015-00-21T07:27:30Z",
        "2015-02-29T07:27:30Z",
        "2015-10-00T07:27:30Z",
        "0000-01-01T00:00:00Z",
        "2015-10-21T24:00:00Z",
        "2015-10-21T07:60:00Z",
        "2015-10-21T07:27:61Z",
        "2015-10-21T07:27:30.Z",
        "2015-10-21T07:27:30+24:00",
        "2015-10-21T07:27:30+02:60",
        "2015-10-21T07:27:30+02",
        "2015-10-21T07:27:30 GMT",
        "2015-1-1T7:27:30Z",
        "\uff12015-10-21T07:27:30Z",
        "s",
        "ms",
        "1d",
        "1s1m",
        "1m1h",
        "5s5s",
        "-5s",
        "1.5m",
        ".5s",
        "1.s",
        "1 s",
        "5sec",
        "9999999999s",
        "1\u03bcs",
        "soon",
    ],
)
def test_no_resets(value: str) -> None:
    """A timestamp without an offset, an impossible date and any other form are not a reset."""
    assert tell(DATE, ("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", value)) == says(quota("", None, 1))


@pytest.mark.parametrize(
    ("value", "resolution"),
    [
        ("1445412450", 1),
        ("1445412450.5", 0.1),
        ("1445412450.12345", 0.001),
        ("1445412450500", 0.001),
        ("2015-10-21T07:27:30.25Z", 0.01),
        ("2015-10-21T07:27:30.12345Z", 0.001),
    ],
)
def test_without_a_date(value: str, resolution: float) -> None:
    """Without a valid, unambiguous Date, instants are measured from the local clock, with the resolution of the value."""
    fields = (("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", value))
    expected = tell(*fields, now=NOW)
    assert expected.quotas[0].resolution == resolution
    assert expected.quotas[0].reset == pytest.approx(30.25, abs=0.26)
    for dates in ([("Date", "yesterday")], [DATE, ("Date", "Wed, 21 Oct 2015 07:27:01 GMT")], [("Date", "")]):
        assert tell(*dates, *fields, now=NOW) == expected
    assert tell(DATE, DATE, *fields, now=0) == tell(DATE, *fields)
    assert tell(("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"), now=NOW).retry_after == 60
