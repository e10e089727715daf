"""One response as Server-Sent Events, until it ends, its reader leaves or signs out, or the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec

from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS
from hub.domain.chat.frames import Frame, OutputTextDelta
from hub.domain.chat.response_feed import ResponseFeed
from hub.domain.chat.schemas import Response
from hub.process import Process
from hub.web.connections import OpenConnections

#: Seconds of silence after which a comment is sent, so that proxies keep the connection open.
KEEP_ALIVE = 15.0
#: Seconds until the feed is tried again after the database failed it.
DATABASE_PAUSE = 0.5

logger = get_logger(__name__)

_encoder = msgspec.json.Encoder()


class EventStream:
    """The events of a response behind the first ``offset`` code points of its text."""

    def __init__(self, process: Process, response: Response, *, offset: int, token_id: UUID) -> None:
        self.token_id = token_id
        self._process = process
        self._woken = asyncio.Event()
        self._feed = ResponseFeed(response, offset=offset, wake=self._woken.set)
        self._signed_out = False

    async def sign_out(self) -> None:
        """End it, since its sign-in has ended."""
        self._signed_out = True
        self._woken.set()

    async def events(self, connections: OpenConnections) -> AsyncIterator[bytes]:
        """Yield what is to be sent."""
        self._process.bus.subscribe(self._feed.conversation_id, self._feed)
        try:
            with connections.open(self):
                async for data in self._events():
                    yield data
        finally:
            self._process.bus.unsubscribe(self._feed.conversation_id, self._feed)

    async def _events(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        while not (self._feed.has_ended or self._signed_out or self._process.is_stopping):
            try:
                async with asyncio.timeout(self._feed.look_again_in):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            if frames := await self._next_frames():
                quiet_since = loop.time()
                yield b"".join(map(event, frames))
            elif loop.time() - quiet_since > KEEP_ALIVE:
                quiet_since = loop.time()
                yield b": still here\n\n"

    async def _next_frames(self) -> list[Frame]:
        """Return what is to be told, nothing while the database is away: not all clients would come back."""
        try:
            return await self._feed.next_frames()
        except DATABASE_ERRORS as error:
            logger.debug("feed waits for the database", reason=type(error).__name__)
            await asyncio.sleep(DATABASE_PAUSE)
            self._feed.on_gap()
            return []


def event(frame: Frame) -> bytes:
    """Return a frame as one event; the id of a delta is the offset behind it."""
    name = str(type(frame).__struct_config__.tag).encode()
    event_id = b""
    if isinstance(frame, OutputTextDelta):
        event_id = b"id: %d\n" % (frame.offset + len(frame.delta))
    return b"%sevent: %s\ndata: %s\n\n" % (event_id, name, _encoder.encode(frame))
