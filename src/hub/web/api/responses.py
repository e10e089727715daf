"""Routes of responses: look, stop, try again, and watch as Server-Sent Events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, get, post
from litestar.params import FromPath, Parameter
from litestar.response import Stream

from hub.core.errors import FieldError
from hub.domain.chat.feed import ResponseFeed
from hub.domain.chat.frames import Frame, OutputTextDelta
from hub.domain.chat.schemas import Response
from hub.process import Process
from hub.web.api.dependencies import ProcessDependency
from hub.web.requests import HubRequest

LastEventId = Annotated[
    str | None,
    Parameter(
        header="Last-Event-ID",
        max_length=20,
        description="The id of the last delta that arrived; the events go on behind it.",
    ),
]

#: Seconds of silence after which a comment is sent, so that proxies keep the connection open.
KEEP_ALIVE = 15.0

_encoder = msgspec.json.Encoder()


class ResponseController(Controller):
    """Replies on their way."""

    path = "/api/responses/{response_id:uuid}"
    tags = ("Responses",)

    @get(operation_id="getResponse", summary="Get a response")
    async def show(
        self, request: HubRequest, response_id: FromPath[UUID], process: ProcessDependency
    ) -> Response:
        """Return a response as it stands, with what is written so far."""
        return await process.chat.response(response_id, user_id=request.user.user.id)

    @post("/cancel", operation_id="cancelResponse", summary="Stop a response", status_code=200)
    async def cancel(
        self, request: HubRequest, response_id: FromPath[UUID], process: ProcessDependency
    ) -> Response:
        """Stop a response; one that has ended is returned as it is."""
        return await process.chat.cancel(response_id, user_id=request.user.user.id)

    @post("/retry", operation_id="retryResponse", summary="Try a response again", status_code=202)
    async def retry(
        self, request: HubRequest, response_id: FromPath[UUID], process: ProcessDependency
    ) -> Response:
        """Queue a response that failed or was cancelled once more."""
        return await process.chat.retry(response_id, user_id=request.user.user.id)

    @get("/events", operation_id="streamResponse", summary="Watch a response", media_type="text/event-stream")
    async def events(
        self,
        request: HubRequest,
        response_id: FromPath[UUID],
        process: ProcessDependency,
        last_event_id: LastEventId = None,
    ) -> Stream:
        """Send the response's events until it ends, as Server-Sent Events.

        The id of each `response.output_text.delta` is the offset behind it.
        """
        offset = _offset(last_event_id)
        response = await process.chat.response(response_id, user_id=request.user.user.id)
        return Stream(
            _stream(process, response, offset),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )


def _offset(last_event_id: str | None) -> int:
    if last_event_id is None or last_event_id == "":
        return 0
    if not (last_event_id.isascii() and last_event_id.isdigit()):
        raise FieldError("/Last-Event-ID", "Send back the id of the last event that arrived, a whole number.")
    return int(last_event_id)


async def _stream(process: Process, response: Response, offset: int) -> AsyncIterator[bytes]:
    woken = asyncio.Event()
    feed = ResponseFeed(response, offset=offset, wake=woken.set)
    process.bus.subscribe(feed.conversation_id, feed)
    try:
        quiet_since = asyncio.get_running_loop().time()
        while not feed.has_ended and not process.is_stopping:
            try:
                async with asyncio.timeout(feed.look_again_in):
                    await woken.wait()
            except TimeoutError:
                pass
            woken.clear()
            frames = await feed.next_frames()
            now = asyncio.get_running_loop().time()
            if frames:
                quiet_since = now
                yield b"".join(map(_event, frames))
            elif now - quiet_since > KEEP_ALIVE:
                quiet_since = now
                yield b": still here\n\n"
    finally:
        process.bus.unsubscribe(feed.conversation_id, feed)


def _event(frame: Frame) -> bytes:
    name = str(type(frame).__struct_config__.tag).encode()
    event_id = b""
    if isinstance(frame, OutputTextDelta):
        event_id = b"id: %d\n" % (frame.offset + len(frame.delta))
    return b"%sevent: %s\ndata: %s\n\n" % (event_id, name, _encoder.encode(frame))
