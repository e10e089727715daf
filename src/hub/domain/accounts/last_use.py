"""When tokens were used last: noted beside the requests, many at once, and at most once a minute each."""

from __future__ import annotations

import asyncio
from uuid import UUID

from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS
from hub.domain.accounts import token_queries

logger = get_logger(__name__)

#: Seconds for which uses are gathered before they are stored.
GATHER = 1.0


class LastUse:
    """Gathers the tokens whose last use is to be stored; no request waits for it."""

    def __init__(self) -> None:
        self._used: set[UUID] = set()
        self._storing: asyncio.Task[None] | None = None

    def note(self, token_id: UUID) -> None:
        """Have the use of a token stored soon; what is stored less than a minute old stays."""
        self._used.add(token_id)
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_soon(), name="last use of tokens")

    async def close(self) -> None:
        """Store what is left."""
        if self._storing is not None:
            self._storing.cancel()
            await asyncio.gather(self._storing, return_exceptions=True)
        await self._store()

    async def _store_soon(self) -> None:
        while self._used:
            await asyncio.sleep(GATHER)
            await self._store()

    async def _store(self) -> None:
        used, self._used = self._used, set()
        if not used:
            return
        try:
            await token_queries.note_use(list(used))
        except DATABASE_ERRORS as error:  # the next use of each is noted again
            logger.debug("last use not stored", reason=type(error).__name__)
