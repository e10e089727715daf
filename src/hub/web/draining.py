"""Refusals that arrive: what a client still sends is read before its connection is closed.

Closing with bytes unread resets the connection, and the client loses the answer that says what was wrong.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

#: Bytes that are read of a body that nobody wants, and seconds that they may take.
MOST = 128 * 1024 * 1024
LONGEST = 10.0
#: Seconds of silence after which the client is not sending.
PATIENCE = 1.0


class Draining:
    """ASGI middleware: closes a connection with its answer only when the request has ended.

    On connections that stay, the web server itself reads on.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != ScopeType.HTTP or not _closes(scope):
            await self._app(scope, receive, send)
            return
        has_ended = False

        async def receive_and_note() -> Any:
            nonlocal has_ended
            message = await receive()
            has_ended = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def send_at_the_end(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                await send({**message, "more_body": True})  # what there is to read goes at once
                message = {"type": "http.response.body", "body": b"", "more_body": False}
                if not has_ended:
                    await _drain(receive)
            await send(message)

        await self._app(scope, receive_and_note, send_at_the_end)


async def _drain(receive: Receive) -> None:
    clock = asyncio.get_running_loop().time
    end, size = clock() + LONGEST, 0
    with suppress(TimeoutError):
        while size < MOST and clock() < end:
            message: Any = await asyncio.wait_for(receive(), PATIENCE)
            if not message.get("more_body", False):  # the end, or a client that has left
                return
            size += len(message["body"])


def _closes(scope: HTTPScope) -> bool:
    headers = dict(scope["headers"])
    if b"expect" in headers:  # such a client waits for leave to send
        return False
    has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    is_last = scope["http_version"] == "1.0" or headers.get(b"connection", b"").lower() == b"close"
    return has_body and is_last
