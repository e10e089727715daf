"""A WebSocket that follows one conversation as leanly as can be, on the event loop of the bench."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import cast
from urllib.parse import urlsplit

from bench.wire import FrameReader, client_frame, upgrade_request
from tests.services.hub import HubServer

_PATIENCE = 60.0
_STAMP = re.compile(r"\d+")


class Listener(asyncio.Protocol):
    """One WebSocket that follows one conversation; notes when each token came."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._reader: FrameReader | None = None
        self._head = b""
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._transport: asyncio.Transport | None = None
        self.text = ""
        self.added: list[float] = []
        self.stored = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if self._reader is None:
            self._head += data
            if b"\r\n\r\n" not in self._head:
                return
            self._reader = FrameReader()
            data = self._head.partition(b"\r\n\r\n")[2]
        for payload in self._reader.feed(data):
            self._take(payload, now)
        while self._reader.owed:
            self.write(self._reader.owed.pop())

    def write(self, frame: bytes) -> None:
        """Send a frame as it is."""
        assert self._transport is not None
        self._transport.write(frame)

    def close(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def is_exact(self, tokens: int) -> bool:
        """Whether what came equals what was stored, and that is all tokens in their order."""
        stamps = [int(stamp) for stamp in _STAMP.findall(self.stored)]
        return self.text == self.stored and len(stamps) == tokens and stamps == sorted(stamps)

    async def wait_for(self, kind: bytes) -> None:
        """Wait for the next frame that holds these bytes."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[kind] = waiting
        async with asyncio.timeout(_PATIENCE):
            await waiting

    def _take(self, payload: bytes, now: int) -> None:
        if b'"response.output_text.delta"' in payload:
            text = json.loads(payload)["delta"]
            self.text += text
            self.added += [(now - int(stamp)) / 1e6 for stamp in _STAMP.findall(text)]
        elif b'"response.in_progress"' in payload:
            self.text = json.loads(payload)["response"]["output_text"]  # it may be joined with text in it
        elif b'"response.output_text.done"' in payload:
            self.stored = json.loads(payload)["text"]
        for kind, waiting in tuple(self._waiting.items()):
            if kind in payload:
                del self._waiting[kind]
                waiting.set_result(None)


async def listen(server: HubServer, token: str, conversation_id: str) -> Listener:
    """Open a WebSocket that follows a conversation."""
    parts = urlsplit(server.url)
    listener = Listener(upgrade_request(server.url, "/api/ws", token))
    greeted = asyncio.ensure_future(listener.wait_for(b'"session.created"'))
    await asyncio.sleep(0)
    await asyncio.get_running_loop().create_connection(
        lambda: listener, parts.hostname or "", parts.port or 0
    )
    await greeted
    subscribed = asyncio.ensure_future(listener.wait_for(b'"conversation.subscribed"'))
    await asyncio.sleep(0)
    frame = {"type": "conversation.subscribe", "conversation_id": conversation_id}
    listener.write(client_frame(json.dumps(frame).encode()))
    await subscribed
    return listener
