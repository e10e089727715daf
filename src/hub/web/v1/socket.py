"""``/v1/responses`` as a WebSocket: many responses over one connection, one after the other."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from msgspec import UNSET, Meta, Struct, UnsetType

from hub.core.errors import FieldError, HubError
from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS, UNAVAILABLE
from hub.domain.accounts.schemas import Identity
from hub.process import Process
from hub.web.auth import identify
from hub.web.connections import OpenConnections
from hub.web.problems import refuse
from hub.web.requests import decode
from hub.web.sockets import SignedInSocket, admit
from hub.web.tracing import frame_traced
from hub.web.traffic import Traffic
from hub.web.v1.errors import ApiError, api_error_of
from hub.web.v1.response_events import ResponseEvents
from hub.web.v1.response_objects import ErrorEvent
from hub.web.v1.responses import ResponseBody, ask
from hub.web.v1.telling import Telling

logger = get_logger(__name__)

SCOPES = ("chat",)
#: Frames that may wait for the response before them.
WAITING_LIMIT = 8


class ResponseCreate(ResponseBody, kw_only=True, tag_field="type", tag="response.create"):
    """Ask for a response, the only thing that clients send; its events carry ``stream_id`` if it has one."""

    stream_id: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    generate: bool | None = None


class _AnyFrame(Struct):
    """What a refusal has to know of a frame that may be wrong in all else."""

    type: str = ""
    stream_id: str | UnsetType = UNSET


@websocket("/v1/responses", opt={"exclude_from_auth": True})
async def responses_socket(
    socket: WebSocket[Any, Any, Any],
    process: NamedDependency[Process],
    connections: NamedDependency[OpenConnections],
    traffic: NamedDependency[Traffic],
) -> None:
    """Sign the socket in, then serve it; whoever may not come in is told so by HTTP."""
    try:
        identity = await admit(identify(socket, process.accounts), traffic, scopes=SCOPES)
    except HubError as error:
        await socket.receive()  # the handshake, which every answer has to follow
        await refuse(
            socket.scope,
            socket.send,
            status=error.status,
            code=error.code,
            title=error.title,
            detail=str(error),
        )
        return
    try:
        await socket.accept()
        session = ResponsesSession(socket, identity, process, connections, traffic)
        with connections.open(session):
            await session.run()
    finally:
        traffic.leave(identity.user.id)


class ResponsesSession(SignedInSocket):
    """A signed-in socket: one task reads frames, one answers them in turn."""

    def __init__(
        self,
        socket: WebSocket[Any, Any, Any],
        identity: Identity,
        process: Process,
        connections: OpenConnections,
        traffic: Traffic,
    ) -> None:
        super().__init__(socket, identity, traffic)
        self._process = process
        self._connections = connections
        self._waiting: asyncio.Queue[ResponseCreate] = asyncio.Queue(WAITING_LIMIT)
        self._not_stored: set[UUID] = set()

    async def run(self) -> None:
        """Serve the socket until either side closes it; what is being written then is stopped."""
        done = await self._serve(answerer=self._answer_forever())
        await self._forget()
        await self._leave(done)

    async def _forget(self) -> None:
        """Forget what was not to be stored, and could be gone on with up to here."""
        with suppress(*UNAVAILABLE):  # it is forgotten with its job
            for completion_id in self._not_stored:
                await self._process.completions.forget(completion_id)

    # Reading

    async def _take(self, text: str) -> None:
        content = text.encode("utf-8", "surrogatepass")
        stream_id: str | UnsetType = UNSET
        try:
            known: _AnyFrame = decode(content, _AnyFrame)
            stream_id = known.stream_id
            if known.type != "response.create":
                raise FieldError("/type", "Send response.create; nothing else is known here.")
            frame: ResponseCreate = decode(content, ResponseCreate)
        except HubError as error:
            told = ErrorEvent(status=error.status, error=api_error_of(error), stream_id=stream_id)
            await self._send(told)
            return
        try:
            self._waiting.put_nowait(frame)
        except asyncio.QueueFull:
            message = f"{WAITING_LIMIT} responses wait already. Wait for one of them."
            error_ = ApiError(message=message, type="rate_limit_error", code="rate_limit_exceeded")
            await self._send(ErrorEvent(status=429, error=error_, stream_id=frame.stream_id))

    # Answering

    async def _answer_forever(self) -> None:
        while True:
            frame = await self._waiting.get()
            try:
                with frame_traced(frame):
                    await self._answer(frame)
            except HubError as error:
                told = ErrorEvent(status=error.status, error=api_error_of(error), stream_id=frame.stream_id)
                await self._send(told)
            except DATABASE_ERRORS:
                logger.exception("frame failed")
                message = "The server cannot do this at the moment. Try again in a few seconds."
                error_ = ApiError(message=message, type="server_error", code="not_ready")
                status = HTTPStatus.SERVICE_UNAVAILABLE
                await self._send(ErrorEvent(status=status, error=error_, stream_id=frame.stream_id))

    async def _answer(self, frame: ResponseCreate) -> None:
        if frame.background:
            raise FieldError("/background", "Nothing is written in the background here. Leave this out.")
        if frame.generate is False:
            raise FieldError("/generate", "Nothing is prepared here. Leave this out.")
        body = msgspec.structs.replace(frame, stream=True)
        user_id = self._identity.user.id
        completion = await ask(self._process, body, user_id=user_id, own=frozenset(self._not_stored))
        if not completion.stored:
            self._not_stored.add(completion.id)
        telling = Telling(self._process, self._connections, self._identity, completion, forgets=False)
        try:
            async with aclosing(ResponseEvents(completion, stream_id=frame.stream_id).of(telling)) as news:
                async for events in news:
                    for event in events:
                        await self._send(event)
        finally:
            await telling.close()
