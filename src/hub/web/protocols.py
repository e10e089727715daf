"""Uvicorn's protocols with what they lack: a problem document for what is no HTTP, and patience that ends.

A client that does not read what it is sent costs one frame, or one body, beside 64 kB and the kernel's
buffers, since whoever writes to it waits. After ``SEND_TIMEOUT`` it is cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.web.problems import PROBLEM_JSON, problem

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent
    from websockets.http11 import Request

logger = get_logger(__name__)

#: Seconds in which a client has to take what waits for it.
SEND_TIMEOUT = 30.0
#: Bytes that a frame may have where a client sends a whole talk at once, as much as by HTTP.
TALK_LIMIT = 1_048_576
TALK_PATHS = ("/v1/responses",)
#: Seconds for which the close frame of a slow client stays to be read behind all the rest.
LINGER = 60.0
#: Seconds in which the head of a request has to come, and bytes that it may have, about.
HEAD_TIMEOUT = 30.0
HEAD_LIMIT = 65_536
CLOSE_TOO_SLOW = 1013


class _Patience(asyncio.Protocol):
    """A timer that runs while a client takes nothing; the part that both protocols have in common."""

    _stalled: asyncio.TimerHandle | None = None

    def _wait_then(self, give_up: Callable[[], None]) -> None:
        if self._stalled is None:
            self._stalled = asyncio.get_running_loop().call_later(SEND_TIMEOUT, give_up)

    def _wait_no_more(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def resume_writing(self) -> None:
        """Go on writing."""
        self._wait_no_more()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._wait_no_more()
        super().connection_lost(exc)


class HttpProtocol(_Patience, HttpToolsProtocol):
    """HTTP: refuses what cannot be parsed as the application does, and hangs up on who is slow.

    The head of a request, which alone the library would gather for ever, has ``HEAD_LIMIT`` bytes (and what
    is read at once) and ``HEAD_TIMEOUT`` seconds.
    """

    _waiting_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def on_message_begin(self) -> None:
        """Wait for the rest of a request's head."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """Wait no more."""
        self._await_no_head()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Read on, unless it is too much for a head."""
        super().data_received(data)
        if self._head_timer is None or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT:
            self._refuse(431, "headers_too_large", "The headers are too large", "Send fewer or shorter ones.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._await_no_head()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the library's words; its log has them
        """Answer and hang up."""
        detail = "Check the method, the address and the headers."
        self._refuse(400, "invalid_http", "This is not valid HTTP", detail)

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_bytes = 0
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self._give_up_head)

    def _await_no_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up_head(self) -> None:
        if self._head_bytes:
            self._refuse(408, "request_timeout", "The request did not come", "Send its head at once.")
        else:
            self.transport.close()

    def _refuse(self, status: int, code: str, title: str, detail: str) -> None:
        """Answer before there is a request that the application could be asked, and hang up."""
        if getattr(self.cycle, "response_started", False) and not self.cycle.response_complete:
            self.transport.close()  # it would be read as a part of the answer before
            return
        request_id = new_id().hex
        logger.info("request refused", request_id=request_id, status=status, code=code)
        body = problem(status, code, title, detail, request_id=request_id)
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            f"Content-Type: {PROBLEM_JSON}\r\nContent-Length: {len(body)}\r\n"
            f"X-Request-ID: {request_id}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def pause_writing(self) -> None:
        """Have writers wait for the client, but not forever."""
        super().pause_writing()
        self._waiting_bytes = self.transport.get_write_buffer_size()
        self._wait_then(self._look)

    def _look(self) -> None:
        """Hang up on a client that took nothing; one that takes a long body slowly may go on."""
        before, self._waiting_bytes = self._waiting_bytes, self.transport.get_write_buffer_size()
        if self._waiting_bytes >= before:
            self.transport.abort()
            return
        self._wait_no_more()
        self._wait_then(self._look)


class SocketProtocol(_Patience, WebSocketsSansIOProtocol):
    """WebSocket: closes with 1013 on a client that does not read."""

    def handle_connect(self, event: Request) -> None:
        """Begin; where talks are sent, frames may be larger."""
        if event.path.partition("?")[0] in TALK_PATHS:
            self.conn.max_message_size = TALK_LIMIT
        super().handle_connect(event)

    def pause_writing(self) -> None:
        """Have senders wait for the client, but not forever."""
        super().pause_writing()
        self._wait_then(self._give_up)

    async def send(self, message: ASGISendEvent) -> None:
        """Send a frame once there is room for it; a close frame waits behind the rest instead."""
        if message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)

    def handle_ping(self) -> None:
        """Answer a ping, but not of a client that takes nothing: pongs do not wait, and would pile up."""
        if self._stalled is None:
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def keepalive_timeout(self) -> None:
        """Cut off a client that did not answer a ping: it is gone, or it does not read."""
        self._give_up()

    def _give_up(self) -> None:
        """End the session; the close frame waits behind what the client has not read yet."""
        if self.close_sent or self.transport.is_closing():
            self.transport.abort()
            return
        logger.info("socket closed, client too slow")
        self._wait_no_more()
        self.stop_keepalive()
        if self.read_paused:  # the client's own close is to be seen
            self.read_paused = False
            self.transport.resume_reading()
        self.conn.send_close(CLOSE_TOO_SLOW, "too slow")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self.disconnected = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": CLOSE_TOO_SLOW, "reason": "too slow"})
        self.writable.set()  # whoever waits to send learns that nobody is there any more
        self.close_timer = self.loop.call_later(LINGER, self.transport.abort)
