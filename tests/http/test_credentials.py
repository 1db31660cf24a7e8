"""Digests of credentials, which separate the limits of different callers: no credential is stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise._http.credentials import _digests, credential, lasting


def fields(**headers: str) -> list[tuple[bytes, bytes, bytes]]:
    """Fields as `http.fields` returns them."""
    names = [name.replace("_", "-") for name in headers]
    return [(name.encode(), name.lower().encode(), value.encode()) for name, value in zip(names, headers.values())]


def test_a_credential_is_no_secret() -> None:
    """The digest does not reveal the credential; cookies and other headers do not identify a caller."""
    told = credential(fields(Accept="*/*", Authorization="Bearer hunter2"))
    assert told == credential(fields(authorization="Bearer hunter2"))
    assert len(told) == 20
    assert told != credential(fields(authorization="Bearer hunter3"))
    assert credential(fields(Cookie="session=hunter2", X_Request_Id="1")) == ""


def test_credentials_are_not_kept() -> None:
    """The number of stored digests is bounded."""
    for number in range(2500):
        credential(fields(Authorization=f"Bearer {number}"))
    assert len(_digests) <= 1000
    assert all(isinstance(key, int) for key in _digests)


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (
            'Digest username="Mufasa", realm="r", nonce="1", uri="/a", response="aa"',
            'Digest username="Mufasa", realm="r", nonce="2", uri="/", response="bb"',
            'Digest username="Simba", realm="r", nonce="1", uri="/a", response="aa"',
        ),
        (
            "AWS4-HMAC-SHA256 Credential=AKIA1/20260101/eu/s3/aws4_request, SignedHeaders=host, Signature=aa",
            "AWS4-HMAC-SHA256 Credential=AKIA1/20260102/eu/s3/aws4_request, SignedHeaders=host, Signature=bb",
            "AWS4-HMAC-SHA256 Credential=AKIA2/20260101/eu/s3/aws4_request, SignedHeaders=host, Signature=aa",
        ),
        ('Hawk id="a", ts="1", mac="aa="', 'Hawk id="a", ts="2", mac="bb="', 'Hawk id="", ts="1", mac="aa="'),
        ('Made-Up nonce="1"', 'Made-Up nonce="2"', 'Made-Over nonce="1"'),
        ("Basic dXNlcjpwYXNz==", "Basic dXNlcjpwYXNz==", "Basic dXNlcjpwYXNy=="),
    ],
)
def test_schemes_that_sign_each_request(one: str, same: str, other: str) -> None:
    """For a scheme that signs each request, only the scheme and the user identify the caller."""
    keys = [credential(fields(Authorization=value)) for value in (one, same, other)]
    assert keys[0] == keys[1] != keys[2]


SCHEMES = ["Bearer", "Digest", "OAuth", "Hawk", "Signature", "AWS4-HMAC-SHA256", "hmac"]
values = st.binary(max_size=60) | st.builds(
    lambda scheme, rest: f"{scheme} {rest}".encode(),
    st.sampled_from(SCHEMES),
    st.lists(st.sampled_from(["nonce", "username", "credential", "ts", "=", '"', "\\", ",", " ", "/", "a"]), max_size=20).map(
        "".join
    ),
)


@given(values, st.booleans())
def test_any_credential(value: bytes, any_scheme: bool) -> None:
    """Nothing raises; what lasts of what lasts is itself; a digest does not reveal its credential."""
    kept = lasting(value, any_scheme=any_scheme)
    assert lasting(kept, any_scheme=any_scheme) == kept
    told = credential([(b"Authorization", b"authorization", value)])
    assert len(told) == 20
    assert told == credential([(b"Authorization", b"authorization", lasting(value, any_scheme=True))]) or not kept
