"""What stays open under a token: sockets and streams of events, which end when the token does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Protocol
from uuid import UUID

from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS
from hub.domain.accounts.service import AccountService

logger = get_logger(__name__)

#: Seconds between two looks at the sign-ins of what is open, which is to close within 5 of their end.
LOOK_EVERY = 3.0


class Connection(Protocol):
    """Something that was let in by a token, and stays."""

    @property
    def token_id(self) -> UUID:
        """The sign-in or personal token that let it in."""

    async def sign_out(self) -> None:
        """End it, since its sign-in has ended."""


class _Reading:
    """An answer that is read bit by bit."""

    def __init__(self, token_id: UUID) -> None:
        self.token_id = token_id
        self.is_signed_out = False

    async def sign_out(self) -> None:
        """Have nothing more read."""
        self.is_signed_out = True


class OpenConnections:
    """The open connections of this process."""

    def __init__(self) -> None:
        self._connections: set[Connection] = set()

    @contextmanager
    def open(self, connection: Connection) -> Iterator[None]:
        """Note a connection for as long as the context lasts."""
        self._connections.add(connection)
        try:
            yield
        finally:
            self._connections.discard(connection)

    async def while_signed_in(
        self, pieces: AsyncGenerator[bytes, None], *, token_id: UUID
    ) -> AsyncGenerator[bytes, None]:
        """Yield an answer's pieces until they or the token end, however slowly they are read."""
        reading = _Reading(token_id)
        with self.open(reading):
            async with aclosing(pieces):
                async for piece in pieces:
                    if reading.is_signed_out:
                        return
                    yield piece

    async def close_signed_out(self, token_ids: set[UUID]) -> None:
        """Close what came in by sign-ins that have ended."""
        ended = [each for each in self._connections if each.token_id in token_ids]
        closing = (each.sign_out() for each in ended)
        await asyncio.gather(*closing, return_exceptions=True)  # one that will not close keeps no other open

    @asynccontextmanager
    async def watched(self, accounts: AccountService) -> AsyncIterator[None]:
        """Look now and then whether the sign-ins still stand: the word of their end may get lost."""
        watcher = asyncio.create_task(self._watch_forever(accounts), name="sign-in watcher")
        try:
            yield
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    async def _watch_forever(self, accounts: AccountService) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                if token_ids := {each.token_id for each in self._connections}:
                    await self.close_signed_out(await accounts.ended(token_ids))
            except DATABASE_ERRORS as error:
                logger.debug("sign-ins wait for the database", reason=type(error).__name__)
            except Exception:
                logger.exception("a look at the sign-ins failed")  # the next one may not
