"""The maintenance actor: removes what is over, and the scheduler that has it done in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from uuid import UUID

from msgspec import Struct
from structlog.contextvars import bind_contextvars, clear_contextvars

from actors.attempts import note_wait
from actors.keeper import Keeper
from hub.core.errors import HubError
from hub.core.logging import get_logger
from hub.core.settings import Settings
from hub.db.engine import DATABASE_ERRORS, UNAVAILABLE
from hub.domain.accounts import queries as accounts
from hub.domain.chat import idempotency
from hub.domain.images.collector import Collector
from hub.domain.limits import queries as limits
from hub.jobs import queue, schedules, store
from hub.jobs.contracts import Claim, JobKind
from hub.process import Process

logger = get_logger(__name__)

#: Seconds between two looks for schedules that are due.
LOOK_EVERY = 1.0
#: Rows deleted by one statement, so that no lock is held for long, and seconds of rest after it.
BATCH = 1000
REST = 0.1


class Task(Struct, frozen=True):
    """Work that comes again: how often, and what deletes up to so many rows and says how many it did."""

    every: timedelta
    delete: Callable[[int], Awaitable[int]]


def tasks_of(settings: Settings, *, is_stopping: Callable[[], bool]) -> Mapping[str, Task]:
    """Return all that has to be done regularly, by the names of its schedules.

    Args:
        settings: the checked settings.
        is_stopping: ends long work between two steps once it is true.
    """
    collector = Collector(settings.data_dir, is_stopping=is_stopping)

    async def collect(limit: int) -> int:
        count = await collector.collect(limit, grace=settings.image_grace)
        return (
            count if count == limit else count + await collector.sweep_temporary(grace=settings.image_grace)
        )

    async def sweep(limit: int) -> int:
        return await collector.sweep_strays(limit) if await collector.knows_its_files() else 0

    return {
        "rate_limits": Task(timedelta(minutes=10), limits.delete_expired),
        "idempotency_keys": Task(timedelta(hours=1), idempotency.delete_expired),
        "tokens": Task(timedelta(hours=1), accounts.delete_expired_tokens),
        "jobs": Task(timedelta(hours=1), partial(store.delete_ended, days=settings.job_days)),
        "images": Task(timedelta(minutes=5), collect),
        "stray_files": Task(timedelta(hours=6), sweep),
    }


class Maintenance:
    """The scheduler of this process, and the tasks that it runs."""

    def __init__(self, process: Process, keeper: Keeper) -> None:
        self._process = process
        self._keeper = keeper
        self._stopping = asyncio.Event()
        self._tasks = tasks_of(process.settings, is_stopping=self._stopping.is_set)
        self._running: set[UUID] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._scheduler: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for what is due."""
        self._scheduler = asyncio.create_task(self._schedule_forever(), name="scheduler")

    async def hand_over(self) -> None:
        """Schedule nothing more, and give what runs back to its queue after the batch under way."""
        self._stopping.set()
        if self._scheduler is not None:
            await self._scheduler
        await self._idle.wait()

    async def run(self, job_id: UUID) -> None:
        """Do the job if it is there to be done; safe to call any number of times, from anywhere."""
        if self._process.is_stopping:
            await queue.forget_published([job_id])
            return
        try:
            row = await store.claim(store.CLAIM, job_id, worker=self._process.name)
        except UNAVAILABLE as error:
            logger.warning("job not claimed, the sweep rings again", reason=type(error).__name__)
            return
        if row is None:
            return
        claim = Claim(**row)
        note_wait(claim)
        task = schedules.name_in(claim.lane)
        clear_contextvars()
        bind_contextvars(job_id=str(job_id), task=task, attempt=claim.attempt)
        self._running.add(job_id)
        self._idle.clear()
        try:
            await self._attempt(claim, self._tasks.get(task))
        finally:
            self._running.discard(job_id)
            if not self._running:
                self._idle.set()
            clear_contextvars()

    async def _attempt(self, claim: Claim, task: Task | None) -> None:
        if task is None:
            await store.fail(claim, code="unknown_task", message="Another version of the hub scheduled it.")
            logger.warning("maintenance failed", code="unknown_task", will_retry=False)
            return
        lost = asyncio.Event()
        try:
            with self._keeper.keeping(claim, lost.set):
                await self._clean(claim, task, lost)
        except DATABASE_ERRORS as error:
            reason = type(error).__name__
            await self._fail(claim, "database_error", f"The database refused it ({reason}).", reason)
        except HubError as error:
            await self._fail(claim, error.code, f"{error.title}.", type(error).__name__)
        except Exception:
            logger.exception("maintenance broke")
            await store.fail(claim, code="internal_error", message="Something went wrong; see the logs.")

    async def _clean(self, claim: Claim, task: Task, lost: asyncio.Event) -> None:
        started = time.perf_counter()
        deleted = batches = 0
        while not (self._stopping.is_set() or lost.is_set()):
            count = await task.delete(BATCH)
            deleted += count
            batches += 1
            if count < BATCH and not self._stopping.is_set():  # one that stops may have left something
                end, is_mine = "completed", await store.complete(claim, result={"deleted": deleted})
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), REST)
        else:
            end, is_mine = "handed over", await store.release(claim)
        logger.info(
            f"maintenance {end}" if is_mine else "maintenance dropped, its job was taken away",
            deleted=deleted,
            batches=batches,
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )

    async def _fail(self, claim: Claim, code: str, message: str, reason: str) -> None:
        logger.warning("maintenance failed", reason=reason, will_retry=not claim.is_last)
        with suppress(*UNAVAILABLE):  # the lease will end, and the job be tried again
            if claim.is_last:
                await store.fail(claim, code=code, message=message)
                return
            delay = await store.retry_later(claim)
            if delay is not None:
                self._process.relay.ring_later(claim.job_id, claim.kind, delay)

    async def _schedule_forever(self) -> None:
        known = False
        while not self._stopping.is_set():
            try:
                if not known:
                    await schedules.ensure({name: task.every for name, task in self._tasks.items()})
                    known = True
                await self._schedule()
            except DATABASE_ERRORS as error:
                logger.debug("the scheduler waits for the database", reason=type(error).__name__)
            except Exception:
                logger.exception("a look at the schedules failed")  # the next one may not
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK_EVERY)

    async def _schedule(self) -> None:
        while (job := await schedules.take_due(list(self._tasks))) is not None:
            logger.debug("maintenance is due", job_id=str(job.id), task=schedules.name_in(job.lane))
            self._process.relay.ring(job.id, JobKind.MAINTENANCE)
