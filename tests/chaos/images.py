"""Thousands of pictures made to break decoders, through real image processes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hub.storage import layout
from hub.storage.files import FileStore
from tests.chaos.progress import Progress
from tests.chaos.report import Finding, none_of, within
from tests.chaos.sizes import Size
from tests.chaos.world import World
from tests.services.hostile import Outcome, try_all
from tests.services.mutants import mutants

_MEMORY_GOAL_MB = 300
_SLOWEST_GOAL = 5.0


async def hostile(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Have mutants of valid pictures decoded: each is a picture after all, or refused for a reason."""
    count = size.of(300, 10_000)
    with tempfile.TemporaryDirectory(prefix="hub-hostile-") as folder:
        layout.prepare(Path(folder))
        async with progress.of(count, "mutants"):
            outcome = await try_all(
                mutants(world.random.randrange(1 << 32), count), FileStore(Path(folder)), tell=progress.add
            )
    return findings(outcome, f"{count:,} mutants of JPEG, PNG and WebP")


def findings(outcome: Outcome, done: str) -> list[Finding]:
    """Return what was promised about hostile pictures, and what was found."""
    ends = ", ".join(f"{status}: {number:,}" for status, number in sorted(outcome.outcomes.items()))
    crashes = tuple(f"an image process died: {each}" for each in outcome.crashes)
    details = (f"ends: {ends}", f"crashes of image processes: {len(crashes) // 2}", *crashes)
    return [
        none_of(
            "hostile pictures are taken or get a 413, 415, 422",
            done,
            outcome.wrong,
            what="others",
            details=details,
        ),
        within(
            "no picture takes long",
            f"the slowest: {outcome.slowest_name}",
            outcome.slowest,
            goal=_SLOWEST_GOAL,
        ),
        Finding(
            promise="image processes stay small",
            done=done,
            found=f"{outcome.peak_mb:.0f} MB at most",
            goal=f"< {_MEMORY_GOAL_MB} MB",
            met=outcome.peak_mb < _MEMORY_GOAL_MB,
        ),
        none_of("hostile pictures leave nothing behind", done, outcome.left_behind, what="files"),
    ]
