"""What the actors of people's work share: attempts that can be stopped from outside, and handed over."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, suppress
from enum import Enum, auto
from typing import Generic, TypeVar
from uuid import UUID

from structlog.contextvars import bind_contextvars, clear_contextvars

from actors.keeper import Keeper
from hub.core import metrics, tracing
from hub.core.clock import utc_now
from hub.core.logging import get_logger
from hub.db.engine import UNAVAILABLE
from hub.jobs import queue, store
from hub.jobs.contracts import LEASE, Claim, JobLostError
from hub.process import Process

logger = get_logger(__name__)

T = TypeVar("T")

#: Seconds between two attempts at a write that ends an attempt, while the database is away.
WRITE_AGAIN = 0.5


class Stop(Enum):
    """Why an attempt is stopped from outside."""

    LOST = auto()
    SHUTDOWN = auto()


class Attempt(ABC):
    """One attempt at one job, which this process holds by its claim."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.stopped: Stop | None = None
        self._started = time.perf_counter()

    @property
    @abstractmethod
    def context(self) -> Mapping[str, str]:
        """The ids that every line of the log names while it runs."""

    @abstractmethod
    def stop(self, why: Stop) -> None:
        """End the work at once and write nothing more but, at a shutdown, the hand-over."""

    @abstractmethod
    async def run(self) -> None:
        """Make the attempt and end it one way or another."""

    def elapsed_ms(self) -> float:
        """Return the milliseconds since it began."""
        return round(self.elapsed() * 1000, 1)

    def elapsed(self) -> float:
        """Return the seconds since it began."""
        return time.perf_counter() - self._started


class TaskAttempt(Attempt):
    """An attempt that is one task: stopping cancels it."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(claim)
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def work(self) -> None:
        """Do it, and end the job.

        Raises:
            JobLostError: somebody else ended it first.
        """

    def stop(self, why: Stop) -> None:
        self.stopped = self.stopped or why
        if self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        self._task = asyncio.create_task(self.work())
        if self.stopped is not None:
            self._task.cancel()
        try:
            await self._task
        except JobLostError:
            await self._drop()
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            if self.stopped is Stop.LOST:
                await self._drop()
                return
            await self._release()
            if self.stopped is None:
                raise

    async def _drop(self) -> None:
        tracing.note("taken away")
        logger.info("job dropped, it was taken away")
        with suppress(*UNAVAILABLE):  # the lane is free after a while by itself
            await store.let_go(self.claim)

    async def _release(self) -> None:
        tracing.note("handed over")
        try:
            handed_over = await store.release(self.claim)
        except UNAVAILABLE as error:
            logger.warning("job not handed over, its lease will end", reason=type(error).__name__)
        else:
            logger.info("job handed over" if handed_over else "nothing to hand over")


def note_wait(claim: Claim) -> None:
    """Note how long a job waited that was claimed just now."""
    if claim.is_first:
        waited = (utc_now() - claim.created_at).total_seconds()
        metrics.QUEUE_WAIT.labels(claim.kind).observe(max(waited, 0.0))  # the database's clock may be ahead


AttemptT = TypeVar("AttemptT", bound=Attempt)


class Attempts(ABC, Generic[AttemptT]):
    """The attempts of one kind of jobs that this process is making."""

    def __init__(self, process: Process, keeper: Keeper) -> None:
        self.process = process
        self._keeper = keeper
        self._running: set[AttemptT] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many there are."""
        return len(self._running)

    @abstractmethod
    async def begin(self, job_id: UUID) -> AttemptT | None:
        """Claim the job; None when there is nothing to do."""

    async def run(self, job_id: UUID) -> None:
        """Do the job if it is there to be done; safe to call any number of times, from anywhere."""
        if self.process.is_stopping:
            await queue.forget_published([job_id])
            return
        asked = tracing.now()
        try:
            attempt = await self.begin(job_id)
        except UNAVAILABLE as error:
            logger.warning("job not claimed, the sweep rings again", reason=type(error).__name__)
            return
        if attempt is None:
            return
        claim = attempt.claim
        note_wait(claim)
        clear_contextvars()
        bind_contextvars(
            request_id=claim.request_id,
            job_id=str(job_id),
            user_id=str(claim.user_id),
            attempt=claim.attempt,
            **attempt.context,
        )
        with _traced(claim, asked=asked):
            await self._keep(attempt)
        if not self.process.is_stopping:
            await self.process.relay.ring_next(claim.lane, kind=claim.kind, user_id=claim.user_id)

    async def _keep(self, attempt: AttemptT) -> None:
        self._running.add(attempt)
        self._idle.clear()
        try:
            with self._keeper.keeping(attempt.claim, lambda: attempt.stop(Stop.LOST)):
                await attempt.run()
        finally:
            self._running.discard(attempt)
            if not self._running:
                self._idle.set()
            clear_contextvars()

    async def hand_over(self) -> None:
        """Give everything that runs back to its queue, for a process that stops."""
        for attempt in tuple(self._running):
            attempt.stop(Stop.SHUTDOWN)
        await self._idle.wait()


def _traced(claim: Claim, *, asked: int) -> AbstractContextManager[tracing.Span]:
    """Begin the attempt's step, which goes on from where the job was asked for; add what came before it.

    Args:
        claim: the job.
        asked: when this process asked for it, in nanoseconds since 1970.
    """
    if not tracing.is_on():
        return tracing.NOTHING
    due = asked - int(claim.overdue * 1e9)
    tracing.past(f"{claim.kind} waits", parent=claim.traceparent, began=due, ended=asked)
    claimed = tracing.now()
    facts: tracing.Facts = {
        "hub.job.id": str(claim.job_id),
        "hub.job.kind": claim.kind,
        "hub.job.attempt": claim.attempt,
        "hub.request.id": claim.request_id,
    }
    step = tracing.root(claim.kind, kind="consumer", facts=facts, parent=claim.traceparent, at=asked)
    tracing.past("claim", parent=step.span, began=asked, ended=claimed)
    return step


async def insist(write: Callable[[], Awaitable[T]]) -> T:
    """Do a write that must not be lost, again and again while the database is away, up to a lease's length.

    A write whose answer was lost finds at its repetition that the job is no longer its own, and is dropped.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + LEASE
    while True:
        try:
            return await write()
        except UNAVAILABLE as error:
            if loop.time() > give_up:
                raise
            logger.warning("database unavailable while working", reason=type(error).__name__)
        await asyncio.sleep(WRITE_AGAIN)
