"""A worker without a port of its own hands in what it counts, for the web that is asked next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.db.engine import UNAVAILABLE
from hub.domain.monitoring import reports
from hub.domain.monitoring.counts import Totals, added, totals

logger = get_logger(__name__)

#: Seconds between two looks whether there is something new.
REPORT_EVERY = 1.0
#: Seconds that the last report may take: the database may be silent.
LAST_WITHIN = 1.0


class Reporter:
    """Keeps this worker's report up to date, once a second at most."""

    def __init__(self) -> None:
        self._id = new_id()
        self._taken: Totals = totals()
        self._reported: Totals | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to report."""
        self._task = asyncio.create_task(self._report_forever(), name="metrics reporter")

    async def stop(self) -> None:
        """Report a last time, if the database is there."""
        last = asyncio.create_task(self._report_last())
        await asyncio.wait({last}, timeout=LAST_WITHIN)

    async def report(self) -> None:
        """Hand in what was counted since the last report that was taken."""
        now = totals()
        if now == (self._taken if self._reported is None else self._reported):
            return
        if self._reported is not None:
            if await reports.change(self._id, added(self._taken, now)):
                self._reported = now
                return
            self._taken, self._reported = self._reported, None
        await reports.hand_in(self._id, added(self._taken, now))
        self._reported = now

    async def _report_last(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._try()

    async def _report_forever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY)
            await self._try()

    async def _try(self) -> None:
        try:
            await self.report()
        except UNAVAILABLE as error:
            logger.debug("metrics wait for the database", reason=type(error).__name__)
        except Exception:
            logger.exception("metrics were not reported")  # no turn fails for that


@asynccontextmanager
async def reporting() -> AsyncIterator[None]:
    """Report what this process counts until the context ends."""
    reporter = Reporter()
    reporter.start()
    try:
        yield
    finally:
        await reporter.stop()
