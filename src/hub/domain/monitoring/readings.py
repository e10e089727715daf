"""What is looked up when somebody asks for the numbers: pool, jobs, disk and memory."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from hub.core import machine, metrics
from hub.core.settings import Settings
from hub.db.engine import DATABASE_ERRORS, ENGINE
from hub.domain.limits.rules import Action
from hub.jobs import overview, queue
from hub.jobs.contracts import JobKind
from hub.storage.archives import times_in

T = TypeVar("T")

#: Seconds in which the database has to answer, and so has the disk.
WITHIN = 2.0
_STATES = ("queued", "scheduled", "in_progress")
#: What says that something cannot be read now; the pool may be closed by then.
UNREADABLE: tuple[type[Exception], ...] = (*DATABASE_ERRORS, OSError, RuntimeError)

for _kind in JobKind:
    metrics.QUEUE_WAIT.labels(_kind.value)
for _action in Action:
    metrics.REFUSALS.labels(_action.value)


class Lookout:
    """Looks at something that may hang; while it does, nobody looks there again.

    A look that is late is left to itself rather than cancelled: cancelling a statement of a database that is
    silent takes half a minute, and a thread that waits for a disk cannot be cancelled at all.
    """

    def __init__(self) -> None:
        self._late: set[asyncio.Future[Any]] = set()

    async def see(self, look: Callable[[], Awaitable[T]]) -> T | None:
        """Return what is seen; None if it cannot be read, or not within ``WITHIN`` seconds."""
        if self._late:
            return None
        task = asyncio.ensure_future(look())
        try:
            await asyncio.wait({task}, timeout=WITHIN)
        finally:  # whoever asked may have left
            if not task.done():
                self._late.add(task)
                task.add_done_callback(self._is_back)
        if not task.done():
            return None
        try:
            return task.result()
        except UNREADABLE:
            return None

    def _is_back(self, task: asyncio.Future[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # which nobody waits for any more


_jobs, _machine = Lookout(), Lookout()


async def refresh(settings: Settings) -> bool:
    """Bring the gauges up to date; what cannot be read is not a number. Tell whether the database answers."""
    _read_pool()  # first of all: the next ones take a connection from it
    is_up, _ = await asyncio.gather(_read_jobs(settings.turn_cap), _read_machine(settings))
    metrics.DATABASE_UP.set(is_up)
    return is_up


def _read_pool() -> None:
    standing = ENGINE.pool_standing()
    metrics.POOL.labels("in_use").set(standing.in_use)
    metrics.POOL.labels("idle").set(standing.idle)
    metrics.POOL.labels("max").set(standing.most)
    metrics.POOL.labels("waiting").set(standing.waiting)


async def _read_jobs(cap: int | None) -> bool:
    async def look() -> tuple[float, dict[tuple[str, str], int]]:
        return await queue.lag(cap=cap), await overview.unfinished()

    seen = await _jobs.see(look)
    lag, counts = seen or (math.nan, None)
    metrics.RELAY_LAG.set(lag)
    for kind in JobKind:
        for state in _STATES:
            count = math.nan if counts is None else counts.get((kind.value, state), 0)
            metrics.JOBS.labels(kind.value, state).set(count)
    return seen is not None


async def _read_machine(settings: Settings) -> None:
    memory, free, backup_at = None, math.nan, math.nan

    async def look() -> None:  # disks may be others, so what came before one that hangs is told
        nonlocal memory, free, backup_at
        memory = await asyncio.to_thread(machine.memory)
        free = (await asyncio.to_thread(shutil.disk_usage, settings.data_dir)).free
        backup_at = await asyncio.to_thread(_newest_backup, settings.backup_folder)

    await _machine.see(look)
    metrics.DISK_FLOOR.set(settings.free_space_floor_mb * 1_000_000)
    metrics.DISK_FREE.set(free)
    metrics.BACKUP_AT.set(backup_at)
    metrics.MEMORY_USED.set(memory.used if memory else math.nan)
    metrics.MEMORY_LIMIT.set(memory.limit if memory else math.nan)


def _newest_backup(folder: Path) -> float:
    try:
        return max((time.timestamp() for time in times_in(folder)), default=0.0)
    except FileNotFoundError:
        return 0.0
