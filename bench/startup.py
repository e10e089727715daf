"""From the command to ready: ``hub up`` with everything embedded, on a data folder that exists."""

from __future__ import annotations

import statistics
import time

from bench.report import Figure
from bench.world import World
from tests.services.hub import HubServer

GOAL_SECONDS = 5.0
STARTS = 5


async def measure(world: World) -> list[Figure]:
    """Start once to make the database, then again and again."""
    server = HubServer(world.folder())
    first = await _start(server)
    again = [await _start(server) for _ in range(STARTS)]
    slowest = max(again)
    return [
        Figure(
            name="Second start of hub up, database and model embedded",
            value=slowest,
            shown=f"{slowest:.2f} s",
            goal=GOAL_SECONDS,
            goal_shown=f"< {GOAL_SECONDS:g} s",
            details=(
                f"slowest of {STARTS}; median {statistics.median(again):.2f} s",
                f"the first start, which makes the database: {first:.2f} s",
            ),
        )
    ]


async def _start(server: HubServer) -> float:
    """Return the seconds from spawning the process to its word that it is ready; then stop it."""
    server.log.unlink(missing_ok=True)
    started = time.perf_counter()
    try:
        await server.start()
        seconds = time.perf_counter() - started
        await server.stop()
    finally:
        server.close()
    return seconds
