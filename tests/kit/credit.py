"""A response body that reports spent credit, and how a caller reads its first bytes."""

from __future__ import annotations

import json
from typing import Any

from tests.kit.world import World

SPENT = json.dumps({"error": {"type": "insufficient_quota", "message": "You exceeded your current quota"}}).encode()


async def chunks(world: World, result: Any, least: int) -> bytes:
    """Read chunks of the body until there are at least `least` bytes."""
    read = b""
    if world.is_sync:
        for data in result.iter_bytes():
            read += data
            if len(read) >= least:
                break
    else:
        async for data in result.aiter_bytes():
            read += data
            if len(read) >= least:
                break
    return read
