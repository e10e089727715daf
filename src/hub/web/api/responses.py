"""Routes of responses: look, stop, try again, and watch as Server-Sent Events."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter
from litestar.response import Stream

from hub.core.errors import FieldError
from hub.domain.chat.schemas import Response
from hub.web.api.dependencies import ProcessDependency
from hub.web.connections import OpenConnections
from hub.web.event_stream import EventStream
from hub.web.requests import HubRequest

LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        max_length=20,
        description="The id of the last delta that arrived; the events go on behind it.",
    ),
]


class ResponseController(Controller):
    """Replies on their way."""

    path = "/api/responses/{response_id:uuid}"
    tags = ("Responses",)

    @get(operation_id="getResponse", summary="Get a response", opt={"scopes": ("read", "chat")})
    async def show(
        self, request: HubRequest, response_id: FromPath[UUID], process: ProcessDependency
    ) -> Response:
        """Return a response as it stands, with what is written so far."""
        return await process.chat.response(response_id, user_id=request.user.user.id)

    @post(
        "/cancel",
        operation_id="cancelResponse",
        summary="Stop a response",
        status_code=200,
        opt={"scopes": ("chat",)},
    )
    async def cancel(
        self, request: HubRequest, response_id: FromPath[UUID], process: ProcessDependency
    ) -> Response:
        """Stop a response; one that has ended is returned as it is."""
        return await process.chat.cancel(response_id, user_id=request.user.user.id)

    @post(
        "/retry",
        operation_id="retryResponse",
        summary="Try a response again",
        status_code=202,
        opt={"scopes": ("chat",)},
    )
    async def retry(
        self, request: HubRequest, response_id: FromPath[UUID], process: ProcessDependency
    ) -> Response:
        """Queue a response that failed or was cancelled once more."""
        return await process.chat.retry(response_id, user_id=request.user.user.id)

    @get(
        "/events",
        operation_id="streamResponse",
        summary="Watch a response",
        media_type="text/event-stream",
        opt={"scopes": ("read", "chat")},
    )
    async def events(
        self,
        request: HubRequest,
        response_id: FromPath[UUID],
        process: ProcessDependency,
        connections: NamedDependency[OpenConnections],
        last_event_id: LastEventId = None,
    ) -> Stream:
        """Send the response's events until it ends, as Server-Sent Events.

        The id of each `response.output_text.delta` is the offset behind it.
        """
        offset = _offset(last_event_id)
        response = await process.chat.response(response_id, user_id=request.user.user.id)
        stream = EventStream(process, response, offset=offset, token_id=request.user.token_id)
        return Stream(
            stream.events(connections),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )


def _offset(last_event_id: str | None) -> int:
    if last_event_id is None or last_event_id == "":
        return 0
    if not (last_event_id.isascii() and last_event_id.isdigit()):
        raise FieldError("/Last-Event-ID", "Send back the id of the last event that arrived, a whole number.")
    return int(last_event_id)
