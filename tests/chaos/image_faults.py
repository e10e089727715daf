"""Pictures are written while the disk is full or broken or the hub is killed, at each step."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.chaos.progress import Progress
from tests.chaos.report import Finding, none_of
from tests.chaos.sizes import Size
from tests.chaos.world import World
from tests.faults.images import Result, run_faults, some_cases
from tests.services.fixtures import new_database


async def run(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Meet every fault at every step, several times, on a hub of its own in the world's PostgreSQL."""
    count = size.of(20, 500)
    with tempfile.TemporaryDirectory(prefix="hub-image-faults-") as folder:
        async with progress.of(count, "faults"):
            result = await run_faults(
                list(some_cases(count)),
                folder=Path(folder),
                database=await new_database(world.postgres.dsn),
                chance=world.random,
                tell=progress.add,
            )
    return findings(result)


def findings(result: Result) -> list[Finding]:
    """Return what was promised about rows and files, and what was found."""
    done = f"{result.cases:,} faults while writing: disk full, I/O error, kill -9"
    told = ", ".join(f"{what}: {count:,}" for what, count in sorted(result.answers.items()))
    missing = ["a row without its file"] * result.rows_without_file + ["a torn file"] * result.torn
    left = [f"{result.left} files or rows that do not agree after the collector came by"] * bool(result.left)
    return [
        none_of(
            "rows and files agree",
            done,
            missing,
            what="rows without file, torn files",
            details=(f"{result.orphans:,} orphans before the collector came by",),
        ),
        none_of("orphans are collected", "hub images gc --grace 0, verify", left, what="left"),
        none_of(
            "whoever sends a picture is told 507 or 503",
            done,
            result.failures,
            what="others",
            details=(f"told: {told} (422: an image process was killed over the picture)",),
        ),
    ]
