"""The second start of a hub that brings everything itself: database, model, worker and web server."""

from __future__ import annotations

import statistics
import time

from bench.report import Figure
from bench.world import World
from tests.services.hub import HubServer

GOAL = 5.0
STARTS = 3


async def measure(world: World) -> list[Figure]:
    """Start once to make the database, then measure the starts after it."""
    server = HubServer(world.folder())
    try:
        first = await _start(server)
        later = []
        for _ in range(STARTS):
            await server.stop()
            server = HubServer(server.folder)  # with a log of its own
            later.append(await _start(server))
        await server.stop()
    finally:
        server.close()
    slowest = max(later)
    return [
        Figure(
            name="Second start to ready, with database and model",
            value=slowest,
            shown=f"{slowest:.2f} s",
            goal=GOAL,
            goal_shown=f"< {GOAL:g} s",
            details=(
                f"the slowest of {STARTS}; median {statistics.median(later):.2f} s",
                f"the first start, which makes the database: {first:.2f} s",
            ),
        )
    ]


async def _start(server: HubServer) -> float:
    started = time.perf_counter()
    await server.start()
    return time.perf_counter() - started
