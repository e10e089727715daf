"""Waiting for what must happen, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def eventually(fact: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Return as soon as the fact holds.

    Raises:
        AssertionError: it still does not after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(fact):
        assert time.monotonic() < deadline, f"did not come true within {seconds:g} s"
        await asyncio.sleep(0.02)
