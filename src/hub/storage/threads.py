"""Threads for calls that block: what was begun is always brought to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def to_end(call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Run a call in a thread; whoever is cancelled meanwhile still waits until it has ended.

    So nothing goes on behind the back of what cleans up after it.
    """
    running = asyncio.ensure_future(asyncio.to_thread(call, *args, **options))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
