"""The keeper: prolongs the leases of what this process runs, and notices what was taken away from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS
from hub.jobs import store
from hub.jobs.contracts import HEARTBEAT, Claim
from hub.live.bus import Bus

logger = get_logger(__name__)

#: Seconds between two looks at the jobs that run, for cancels whose word was lost.
LOOK_EVERY = 1.0
#: Seconds until the look that says whether what one look missed is lost.
LOOK_AGAIN = 0.1


class Keeper:
    """One task a process, two statements for all its jobs: a look each second, a heartbeat every ten.

    A cancel is told by the bus at once; two looks find it too, should that word be lost, and find jobs that
    were given to another worker.
    """

    def __init__(self, bus: Bus) -> None:
        self._kept: dict[UUID, tuple[Claim, Callable[[], None]]] = {}
        self._missed: list[Claim] = []
        self._look_now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._database_is_down = False
        bus.on_job_cancelled(self._lose)
        bus.on_gap(self._look_now.set)

    def start(self) -> None:
        """Begin to keep."""
        self._task = asyncio.create_task(self._keep_forever(), name="keeper")

    async def stop(self) -> None:
        """Stop keeping; leases then end by themselves."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @contextmanager
    def keeping(self, claim: Claim, on_lost: Callable[[], None]) -> Iterator[None]:
        """Keep the lease of a job within the context; ``on_lost`` is called once it is no longer ours.

        An earlier claim of the same job, from before this process stood still for a while, is lost by that.
        """
        self._lose(claim.job_id)
        self._kept[claim.job_id] = (claim, on_lost)
        try:
            yield
        finally:
            if self._keeps(claim):
                del self._kept[claim.job_id]

    def _lose(self, job_id: UUID) -> None:
        _, on_lost = self._kept.pop(job_id, (None, None))
        if on_lost is not None:
            on_lost()

    async def _keep_forever(self) -> None:
        loop = asyncio.get_running_loop()
        beat_at = loop.time() + HEARTBEAT
        while True:
            try:
                async with asyncio.timeout(LOOK_AGAIN if self._missed else LOOK_EVERY):
                    await self._look_now.wait()
            except TimeoutError:
                pass
            self._look_now.clear()
            try:
                await self.look()
                if loop.time() >= beat_at:
                    await store.heartbeat([claim for claim, _ in self._kept.values()])
                    beat_at = loop.time() + HEARTBEAT
                self._database_is_down = False
            except DATABASE_ERRORS as error:
                self._note_down(error)
            except Exception:
                logger.exception("keeping failed")  # the next look may not

    async def look(self) -> None:
        """See which jobs are still ours.

        One is lost that two looks miss: at the first its end, which is ours, may just be written.
        """
        claims = [claim for claim, _ in self._kept.values()]
        held = await store.held(claims) if claims else set()
        missed = [claim for claim in claims if claim.job_id not in held and self._keeps(claim)]
        for claim in missed:
            if claim in self._missed:
                self._lose(claim.job_id)
        self._missed = [claim for claim in missed if self._keeps(claim)]

    def _keeps(self, claim: Claim) -> bool:
        return self._kept.get(claim.job_id, (None,))[0] is claim

    def _note_down(self, error: Exception) -> None:
        if not self._database_is_down:
            logger.warning("database unavailable, leases are not prolonged", reason=type(error).__name__)
        self._database_is_down = True
