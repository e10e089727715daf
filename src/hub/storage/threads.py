"""Threads for calls that block: what was begun is always brought to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def to_end(call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Run a call in a thread; whoever is cancelled meanwhile, however often, waits until it has ended.

    So nothing goes on behind the back of what cleans up after it, and no descriptor is closed that a thread
    still writes to.
    """
    context = copy_context()
    running = asyncio.get_running_loop().run_in_executor(None, partial(context.run, call, *args, **options))
    stopped: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            stopped = error
    if stopped is None:
        return running.result()
    running.exception()  # whoever was stopped does not hear of it
    raise stopped
