"""What in a credential names the caller. Pure."""

from __future__ import annotations

import re

# Schemes that sign each request anew: only these of their parameters name the caller (RFC 7616, 3.4; of AWS's, the first part).
_PARAMETERS = re.compile(rb'[ ,][\t ]*[a-z_]+ *= *"?[^ ",=]', re.IGNORECASE)
_NAMES = re.compile(rb'[ ,][\t ]*(?:username|credential|id|keyid|oauth_consumer_key|oauth_token) *= *"?([^",/]*)', re.IGNORECASE)


def named(value: bytes) -> bytes:
    """The whole value or, where a scheme signs each request anew, the scheme and the user."""
    if b"=" in value and _PARAMETERS.search(value):
        return b" ".join([value.partition(b" ")[0], *_NAMES.findall(value)])
    return value
