"""What all WebSockets share: who may come in, how frames are read and sent, and how a socket ends."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Coroutine
from typing import Any
from uuid import UUID

import msgspec
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from msgspec import Struct
from structlog.contextvars import bind_contextvars, clear_contextvars

from hub.core.clock import utc_now
from hub.core.errors import HubError
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.db.engine import UNAVAILABLE
from hub.domain.accounts.schemas import Identity
from hub.web.auth import require_scope
from hub.web.traffic import Traffic

logger = get_logger(__name__)

CLOSE_INTERNAL_ERROR = 1011
CLOSE_COME_AGAIN = 1012
CLOSE_BAD_FRAME = 4400
CLOSE_NOT_SIGNED_IN = 4401
CLOSE_NOT_ALLOWED = 4403
CLOSE_TOO_MANY = 4429

_encoder = msgspec.json.Encoder()


class NotReadyError(HubError):
    """The database is away."""

    status = 503
    code = "not_ready"
    title = "The server is not ready"

    def __init__(self) -> None:
        super().__init__("Try again in a few seconds.")


class TooManySocketsError(HubError):
    """The user has as many sockets open as they may."""

    status = 429
    code = "too_many_sockets"
    title = "Too many sockets"

    def __init__(self) -> None:
        super().__init__("Close another one first.")


async def admit(signing_in: Awaitable[Identity], traffic: Traffic, *, scopes: tuple[str, ...]) -> Identity:
    """Return who opens a socket, which then has a place in the traffic that has to be given back.

    Raises:
        HubError: they may not come in: they are not signed in, their token was not made for it, they have
            too many sockets (:class:`TooManySocketsError`), or nobody can tell (:class:`NotReadyError`).
    """
    clear_contextvars()
    bind_contextvars(request_id=new_id().hex)
    try:
        identity = await signing_in
        require_scope(identity, scopes)
        if not traffic.enter(identity.user.id):
            raise TooManySocketsError
    except HubError as error:
        logger.info("socket refused", status=error.status, code=error.code)
        raise
    except UNAVAILABLE as error:
        logger.warning("database unavailable for a socket", reason=type(error).__name__)
        raise NotReadyError from error
    return identity


class SignedInSocket(ABC):
    """A socket that was let in: reads its frames one after the other, until either side closes it."""

    def __init__(self, socket: WebSocket[Any, Any, Any], identity: Identity, traffic: Traffic) -> None:
        self._socket = socket
        self._identity = identity
        self._traffic = traffic
        self._signed_out = asyncio.Event()

    @property
    def token_id(self) -> UUID:
        """The sign-in or token that the socket came in by."""
        return self._identity.token_id

    async def sign_out(self) -> None:
        """Close the socket, since its sign-in has ended."""
        self._signed_out.set()

    @abstractmethod
    async def _take(self, text: str) -> None:
        """Do what a frame says."""

    async def _serve(self, **others: Coroutine[Any, Any, None]) -> set[asyncio.Task[Any]]:
        """Read frames and do these others, by their names in the log, until one of all ends.

        Returns:
            What has ended, for :meth:`_leave`; nothing if the sign-in has expired.
        """
        work = {"reader": self._read_forever(), "leaver": self._signed_out.wait(), **others}
        tasks = {asyncio.create_task(each, name=f"socket {name}") for name, each in work.items()}
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=self._seconds_left(), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return done

    def _seconds_left(self) -> float | None:
        expires_at = self._identity.expires_at
        return (expires_at - utc_now()).total_seconds() if expires_at is not None else None

    async def _leave(self, done: set[asyncio.Task[Any]]) -> None:
        """Close the socket and say why, if its client is still there."""
        if not done:
            await self._close(CLOSE_NOT_SIGNED_IN, "the sign-in has expired")
            return
        if self._signed_out.is_set():
            await self._close(CLOSE_NOT_SIGNED_IN, "signed out")
            return
        for task in done:
            error = task.exception()
            if error is not None and not isinstance(error, WebSocketDisconnect):
                logger.error("socket failed", exc_info=error)
                await self._close(CLOSE_INTERNAL_ERROR, "internal error")

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(1):
                await self._socket.close(code=code, reason=reason)
        except (TimeoutError, RuntimeError, OSError, WebSocketDisconnect):
            logger.debug("socket was gone already")

    async def _send(self, frame: Struct) -> None:
        """Send a frame, once the client has taken enough of those before it.

        Raises:
            WebSocketDisconnect: the client is gone, or was cut off.
        """
        try:
            await self._socket.send_data(_encoder.encode(frame), mode="text")
        except (OSError, RuntimeError) as error:  # uvicorn's: it is gone, or our close is on its way
            raise WebSocketDisconnect(detail=str(error)) from None

    async def _read_forever(self) -> None:
        while True:
            event = await self._socket.receive()
            if event["type"] == "websocket.disconnect":
                return
            if (wait := self._traffic.count_frame(self._identity.user.id)) is not None:
                logger.info("socket closed, too many frames")
                await self._close(CLOSE_TOO_MANY, f"too many frames, come again in {wait} s")
                return
            text = event.get("text")
            if not isinstance(text, str):
                await self._close(CLOSE_BAD_FRAME, "frames are JSON text")
                return
            await self._take(text)
