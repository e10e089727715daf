"""One response as Server-Sent Events, until it ends, its reader leaves or signs out, or the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

import msgspec

from hub.domain.chat.frames import Frame, OutputTextDelta
from hub.domain.chat.response_feed import ResponseFeed
from hub.domain.chat.schemas import Response
from hub.process import Process
from hub.web.connections import OpenConnections
from hub.web.following import Following

#: What keeps a quiet connection open: a comment, which clients pass over.
STILL_HERE = b": still here\n\n"

_encoder = msgspec.json.Encoder()


class EventStream:
    """The events of a response behind the first ``offset`` code points of its text."""

    def __init__(self, process: Process, response: Response, *, offset: int, token_id: UUID) -> None:
        woken = asyncio.Event()
        feed = ResponseFeed(response, offset=offset, wake=woken.set)
        self._following = Following(process, feed, woken, token_id=token_id)

    async def events(self, connections: OpenConnections) -> AsyncIterator[bytes]:
        """Yield what is to be sent."""
        async with aclosing(self._following.frames(connections)) as news:
            async for frames in news:
                yield b"".join(map(event, frames)) or STILL_HERE


def event(frame: Frame) -> bytes:
    """Return a frame as one event; the id of a delta is the offset behind it."""
    name = str(type(frame).__struct_config__.tag).encode()
    event_id = b""
    if isinstance(frame, OutputTextDelta):
        event_id = b"id: %d\n" % (frame.offset + len(frame.delta))
    return b"%sevent: %s\ndata: %s\n\n" % (event_id, name, _encoder.encode(frame))
