"""The relay rings for jobs that PostgreSQL holds: at once for a new one, by a sweep for all others.

Publishing a job twice is harmless (only one claim succeeds) and not publishing it costs a second, so
nothing here has to be exact. It only has to go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS, UNAVAILABLE
from hub.jobs import queue
from hub.jobs.errors import BrokerUnavailableError
from hub.jobs.messages import JobPublisher

logger = get_logger(__name__)

#: Seconds between two sweeps, and between two rounds of stamping what was published.
SWEEP_EVERY = 1.0
#: Seconds for which a new job is left to the process that stored it.
FRESH = 1.0
#: Seconds after which a job that was published and still waits is published again.
STALE = 15.0
#: Jobs published in one sweep.
SWEEP_LIMIT = 500


class Relay:
    """Rings for jobs through a publisher, on the event loop that :meth:`start` was called on.

    Args:
        publisher: rings the bell. Without one (None) the relay does nothing: a worker's own finds the jobs.
        cap: jobs of a kind that one user may have running at once; None for any number.
    """

    def __init__(self, publisher: JobPublisher | None, *, cap: int | None) -> None:
        self._publisher = publisher
        self._cap = cap
        self._ringing: set[asyncio.Task[None]] = set()
        self._published: list[tuple[UUID, float]] = []
        self._refused: list[UUID] = []
        self._sweeper: asyncio.Task[None] | None = None
        self._broker_is_down = False
        self._take_over: Callable[[UUID, str], bool] | None = None

    def start(self) -> None:
        """Begin to sweep."""
        if self._publisher is None:
            return
        self._sweeper = asyncio.create_task(self._sweep_forever(), name="relay")

    def take_over_with(self, take_over: Callable[[UUID, str], bool]) -> None:
        """Offer what nobody came for to this process itself; ``take_over`` says whether it takes a job.

        A process that cannot leaves such jobs to those that can.
        """
        self._take_over = take_over

    async def stop(self) -> None:
        """Stop sweeping and let what is being published finish for up to 2 seconds."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        if self._ringing:
            await asyncio.wait(self._ringing, timeout=2)

    def ring(self, job_id: UUID, kind: str) -> None:
        """Publish a job without waiting; call this only after its transaction has been committed."""
        if self._publisher is None:
            return
        began = asyncio.get_running_loop().time()
        try:
            confirmation = self._publisher.publish(kind, job_id)
        except BrokerUnavailableError as error:
            self._note_down(error, job_id)
            return
        task = asyncio.create_task(self._note(confirmation, job_id, kind, began))
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)

    def ring_later(self, job_id: UUID, kind: str, delay: float) -> None:
        """Publish a job after ``delay`` seconds; the sweep does it should this process be gone by then."""
        asyncio.get_running_loop().call_later(delay, self.ring, job_id, kind)

    async def ring_next(self, lane: str, *, kind: str, user_id: UUID | None) -> None:
        """Publish what waited for a job that has ended: the next of its lane, and others of its user.

        While the database is away this is left to the sweep.
        """
        with suppress(*UNAVAILABLE):
            for each, its_kind in await queue.next_after(lane, kind=kind, user_id=user_id, cap=self._cap):
                self.ring(each, its_kind)

    async def _note(self, confirmation: Awaitable[None], job_id: UUID, kind: str, began: float) -> None:
        try:
            await confirmation
        except BrokerUnavailableError as error:
            self._note_down(error, job_id)
            return
        if self._broker_is_down:
            logger.info("broker available again")
            self._broker_is_down = False
        self._published.append((job_id, began))
        logger.info(
            "job dispatched",
            job_id=str(job_id),
            kind=kind,
            duration_ms=round((asyncio.get_running_loop().time() - began) * 1000, 1),
        )

    def _note_down(self, error: BrokerUnavailableError, job_id: UUID) -> None:
        self._refused.append(job_id)
        if not self._broker_is_down:
            logger.warning("broker unavailable, jobs wait", reason=str(error))
        self._broker_is_down = True

    async def _sweep_forever(self) -> None:
        database_is_down = False
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            try:
                await self._sweep()
                database_is_down = False
            except DATABASE_ERRORS as error:
                if not database_is_down:
                    logger.warning("database unavailable, the relay waits", reason=type(error).__name__)
                database_is_down = True
            except Exception:
                logger.exception("a sweep failed")  # the next one may not

    async def _sweep(self) -> None:
        published, self._published = self._published, []
        refused, self._refused = self._refused, []
        if published:
            now = asyncio.get_running_loop().time()
            await queue.stamp([(job_id, now - began) for job_id, began in published])
        if refused:
            await queue.forget_published(refused)
        # One job is enough to learn that the broker is back.
        limit = 1 if self._broker_is_down else SWEEP_LIMIT
        stale = STALE if self._take_over is not None else None
        due = await queue.take_due(limit=limit, fresh=FRESH, stale=stale, cap=self._cap)
        for job in due:
            # Whoever was told of it first may be frozen, and the broker might tell it again.
            if not (job.was_published and self._take_over and self._take_over(job.id, job.kind)):
                self.ring(job.id, job.kind)
