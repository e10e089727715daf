"""Following a reply that is being written, until it ends, its reader signs out, or the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from uuid import UUID

from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS
from hub.domain.chat.frames import Frame
from hub.domain.chat.response_feed import ResponseFeed
from hub.process import Process
from hub.web.connections import OpenConnections

#: Seconds of silence after which something is to be sent, so that proxies keep the connection open.
KEEP_ALIVE = 15.0
#: Seconds until the feed is tried again after the database failed it.
DATABASE_PAUSE = 0.5

logger = get_logger(__name__)


class Following:
    """A feed and its reader, who was let in by a token. ``woken`` has to be what wakes the feed."""

    def __init__(self, process: Process, feed: ResponseFeed, woken: asyncio.Event, *, token_id: UUID) -> None:
        self.token_id = token_id
        self.is_signed_out = False
        self._process = process
        self._feed = feed
        self._woken = woken

    async def sign_out(self) -> None:
        """End it, since its sign-in has ended."""
        self.is_signed_out = True
        self._woken.set()

    async def frames(self, connections: OpenConnections) -> AsyncGenerator[list[Frame], None]:
        """Yield what is to be told; nothing now and then, when it has been quiet for long."""
        bus, conversation_id = self._process.bus, self._feed.conversation_id
        bus.subscribe(conversation_id, self._feed)
        try:
            with connections.open(self):
                async for frames in self._frames():
                    yield frames
        finally:
            bus.unsubscribe(conversation_id, self._feed)

    async def _frames(self) -> AsyncGenerator[list[Frame], None]:
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        while not (self._feed.has_ended or self.is_signed_out or self._process.is_stopping):
            try:
                async with asyncio.timeout(self._feed.look_again_in):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            if frames := await self._next_frames():
                quiet_since = loop.time()
                yield frames
            elif loop.time() - quiet_since > KEEP_ALIVE:
                quiet_since = loop.time()
                yield []

    async def _next_frames(self) -> list[Frame]:
        """Return what is to be told, nothing while the database is away: not all clients would come back."""
        try:
            return await self._feed.next_frames()
        except DATABASE_ERRORS as error:
            logger.debug("feed waits for the database", reason=type(error).__name__)
            await asyncio.sleep(DATABASE_PAUSE)
            self._feed.on_gap()
            return []
