"""What is looked up when somebody asks for the numbers: pool, jobs, disk and memory."""

from __future__ import annotations

import asyncio
import math
import shutil
from contextlib import suppress
from pathlib import Path

from hub.core import machine, metrics
from hub.core.settings import Settings
from hub.db.engine import DATABASE_ERRORS, ENGINE
from hub.domain.limits.rules import Action
from hub.jobs import overview, queue
from hub.jobs.contracts import JobKind
from hub.storage.archives import times_in

#: Seconds in which the database has to answer, and so has the disk.
WITHIN = 2.0
_STATES = ("queued", "scheduled", "in_progress")
_UNREADABLE: tuple[type[Exception], ...] = (*DATABASE_ERRORS, RuntimeError)  # the pool may be closed by now

#: A backup's time is in its name; sorted by names, the newest is last.

for _kind in JobKind:
    metrics.QUEUE_WAIT.labels(_kind.value)
for _action in Action:
    metrics.REFUSALS.labels(_action.value)


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
    lag, counts = math.nan, None
    try:
        async with asyncio.timeout(WITHIN):
            lag, counts = await queue.lag(cap=cap), await overview.unfinished()
    except _UNREADABLE:
        pass
    metrics.RELAY_LAG.set(lag)
    for kind in JobKind:
        for state in _STATES:
            count = math.nan if counts is None else counts.get((kind.value, state), 0)
            metrics.JOBS.labels(kind.value, state).set(count)
    return counts is not None


async def _read_machine(settings: Settings) -> None:
    metrics.DISK_FLOOR.set(settings.free_space_floor_mb * 1_000_000)
    free, backup_at, memory = math.nan, math.nan, None
    with suppress(OSError):  # a TimeoutError is one, too
        async with asyncio.timeout(WITHIN):
            memory = await asyncio.to_thread(machine.memory)
            free = (await asyncio.to_thread(shutil.disk_usage, settings.data_dir)).free
            backup_at = await asyncio.to_thread(_newest_backup, settings.backup_folder)
    metrics.DISK_FREE.set(free)
    metrics.BACKUP_AT.set(backup_at)
    metrics.MEMORY_USED.set(memory.used if memory else math.nan)
    metrics.MEMORY_LIMIT.set(memory.limit if memory else math.nan)


def _newest_backup(folder: Path) -> float:
    try:
        return max((time.timestamp() for time in times_in(folder)), default=0.0)
    except FileNotFoundError:
        return 0.0
