"""``python -m bench [names] [--json FILE]``: measure, print a table, say plainly what is met."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from bench import (
    actor_start,
    backup,
    costs,
    doctor,
    first_byte,
    history,
    images,
    lanes,
    limiter,
    memory,
    page,
    startup,
    storage,
    streams,
    turn,
)
from bench.report import Figure, render, this_machine, to_json
from bench.world import World, open_world

BENCHES: dict[str, Callable[[World], Awaitable[list[Figure]]]] = {
    "actor-start": actor_start.measure,
    "backup": backup.measure,
    "doctor": doctor.measure,
    "first-byte": first_byte.measure,
    "history": history.measure,
    "images": images.measure,
    "lanes": lanes.measure,
    "limiter": limiter.measure,
    "memory": memory.measure,
    "page": page.measure,
    "startup": startup.measure,
    "storage": storage.measure,
    "streams": streams.measure,
    "turn": turn.measure,
}
#: Run only when they are named: they take a minute or more.
LONG_BENCHES = {
    "backup-full": backup.measure_in_full,
    "scaling": costs.measure,
    "storage-full": storage.measure_in_full,
}
KNOWN = BENCHES | LONG_BENCHES


def main() -> None:
    """Run the benches that were named, or all."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure speed, as ratios within one run.")
    known = f"of {', '.join(BENCHES)}; all of these if none; or {', '.join(LONG_BENCHES)}"
    parser.add_argument("names", nargs="*", metavar="name", help=known)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in KNOWN]:
        parser.error(f"there is no bench {', '.join(unknown)}; there are {', '.join(KNOWN)}")
    figures: list[Figure] = []
    # One loop for all: the database's programs end with the thread that started them.
    with open_world() as world, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for name in options.names or BENCHES:
            started = time.monotonic()
            print(f"{name} ... ", end="", file=sys.stderr, flush=True)
            figures += runner.run(_run(name, world))
            print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    print(render(figures, this_machine()))
    if options.json is not None:
        options.json.write_bytes(to_json(figures, this_machine()))


async def _run(name: str, world: World) -> list[Figure]:
    return await KNOWN[name](world)


if __name__ == "__main__":
    main()
