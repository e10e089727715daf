"""``/v1/responses`` as a WebSocket: many responses over one connection, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from msgspec import UNSET, Meta, Struct, UnsetType
from structlog.contextvars import bind_contextvars, clear_contextvars

from hub.core.clock import utc_now
from hub.core.errors import FieldError, HubError
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS, UNAVAILABLE
from hub.domain.accounts.schemas import Identity
from hub.process import Process
from hub.web.auth import identify, require_scope
from hub.web.connections import OpenConnections
from hub.web.problems import refuse
from hub.web.requests import decode
from hub.web.v1.errors import ApiError, api_error_of
from hub.web.v1.response_events import ResponseEvents
from hub.web.v1.response_objects import ErrorEvent
from hub.web.v1.responses import ResponseBody, ask
from hub.web.v1.telling import Telling
from hub.web.ws.session import CLOSE_BAD_FRAME, CLOSE_NOT_SIGNED_IN, CLOSE_TOO_MANY
from hub.web.ws.traffic import Traffic

logger = get_logger(__name__)

SCOPES = ("chat",)
#: Frames that may wait for the response before them.
WAITING_LIMIT = 8

_encoder = msgspec.json.Encoder()


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
    clear_contextvars()
    bind_contextvars(request_id=new_id().hex)
    try:
        identity = await identify(socket, process.accounts)
        require_scope(identity, SCOPES)
    except HubError as error:
        await _refuse(socket, error.status, error.code, error.title, str(error))
        return
    except UNAVAILABLE as error:
        logger.warning("database unavailable for a socket", reason=type(error).__name__)
        await _refuse(socket, 503, "not_ready", "The server is not ready", "Try again in a few seconds.")
        return
    if not traffic.enter(identity.user.id):
        await _refuse(socket, 429, "too_many_sockets", "Too many sockets", "Close another one first.")
        return
    try:
        await socket.accept()
        session = ResponsesSession(socket, identity, process, connections, traffic)
        with connections.open(session):
            await session.run()
    finally:
        traffic.leave(identity.user.id)


async def _refuse(socket: WebSocket[Any, Any, Any], status: int, code: str, title: str, detail: str) -> None:
    logger.info("socket refused", status=status, code=code)
    await socket.receive()  # the handshake, which every answer has to follow
    await refuse(socket.scope, socket.send, status=status, code=code, title=title, detail=detail)


class ResponsesSession:
    """A signed-in socket: one task reads frames, one answers them in turn."""

    def __init__(
        self,
        socket: WebSocket[Any, Any, Any],
        identity: Identity,
        process: Process,
        connections: OpenConnections,
        traffic: Traffic,
    ) -> None:
        self._socket = socket
        self._identity = identity
        self._process = process
        self._connections = connections
        self._traffic = traffic
        self._waiting: asyncio.Queue[ResponseCreate] = asyncio.Queue(WAITING_LIMIT)
        self._signed_out = asyncio.Event()
        self._not_stored: set[UUID] = set()

    @property
    def token_id(self) -> UUID:
        """The sign-in or token that the socket came in by."""
        return self._identity.token_id

    async def sign_out(self) -> None:
        """Close the socket, since its sign-in has ended."""
        self._signed_out.set()

    async def run(self) -> None:
        """Serve the socket until either side closes it; what is being written then is stopped."""
        reader = asyncio.create_task(self._read_forever(), name="socket reader")
        answerer = asyncio.create_task(self._answer_forever(), name="socket answerer")
        leaver = asyncio.create_task(self._signed_out.wait(), name="socket leaver")
        async with _ending({reader, answerer, leaver}) as tasks:
            expires_at = self._identity.expires_at
            left = (expires_at - utc_now()).total_seconds() if expires_at is not None else None
            done, _ = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        await self._forget()
        if not done or leaver in done:
            await self._close(CLOSE_NOT_SIGNED_IN, "signed out")
            return
        for task in done:
            error = task.exception()
            if error is not None and not isinstance(error, WebSocketDisconnect):
                logger.error("socket failed", exc_info=error)
                await self._close(1011, "internal error")

    async def _forget(self) -> None:
        """Forget what was not to be stored, and could be gone on with up to here."""
        with suppress(*UNAVAILABLE):  # it is forgotten with its job
            for completion_id in self._not_stored:
                await self._process.completions.forget(completion_id)

    # Reading

    async def _read_forever(self) -> None:
        while True:
            event = await self._socket.receive()
            if event["type"] == "websocket.disconnect":
                return
            if (wait := self._traffic.count_frame(self._identity.user.id)) is not None:
                await self._close(CLOSE_TOO_MANY, f"too many frames, come again in {wait} s")
                return
            text = event.get("text")
            if not isinstance(text, str):
                await self._close(CLOSE_BAD_FRAME, "frames are JSON text")
                return
            await self._take(text)

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

    async def _send(self, event: Struct) -> None:
        """Send an event, once the client has taken enough of those before it.

        Raises:
            WebSocketDisconnect: the client is gone, or was cut off.
        """
        try:
            await self._socket.send_data(_encoder.encode(event), mode="text")
        except (OSError, RuntimeError) as error:  # uvicorn's: it is gone, or our close is on its way
            raise WebSocketDisconnect(detail=str(error)) from None

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(1):
                await self._socket.close(code=code, reason=reason)
        except (TimeoutError, RuntimeError, OSError, WebSocketDisconnect):
            logger.debug("socket was gone already")


@asynccontextmanager
async def _ending(tasks: set[asyncio.Task[Any]]) -> AsyncIterator[set[asyncio.Task[Any]]]:
    """End tasks with the context."""
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
