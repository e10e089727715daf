"""A good client in a bad world: it repeats what was cut, reconnects, and keeps only what it was told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import cycle
from typing import Any

import httpx2
import websockets

from tests.services.hub import NO_TLS, Client, Socket

PATIENCE = 20.0
_CUT = (OSError, EOFError, TimeoutError, websockets.WebSocketException)


class Talker:
    """Talks with whichever web server answers."""

    def __init__(self, urls: list[str], token: str) -> None:
        self._token = token
        self._urls = cycle(urls)
        self._http = httpx2.AsyncClient(
            timeout=15, headers={"Authorization": f"Bearer {token}"}, verify=NO_TLS
        )

    async def once(
        self, method: str, path: str, body: Mapping[str, object] | None = None, **headers: str
    ) -> httpx2.Response | None:
        """Ask one server; None when it is not there, hangs up, or says that it is broken."""
        try:
            answer = await self._http.request(method, next(self._urls) + path, json=body, headers=headers)
        except httpx2.TransportError:
            return None
        return None if answer.status_code >= 500 else answer

    async def insist(
        self, method: str, path: str, body: Mapping[str, object] | None = None, **headers: str
    ) -> httpx2.Response:
        """Ask again and again until there is an answer."""
        deadline = time.monotonic() + PATIENCE
        while (answer := await self.once(method, path, body, **headers)) is None:
            assert time.monotonic() < deadline, f"no answer to {method} {path}"
            await asyncio.sleep(0.05)
        return answer

    async def say(self, conversation_id: str, content: str, *, event_id: str) -> str:
        """Send a message over a socket, again under the same event id if that is cut; return its id."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            client = Client(next(self._urls))
            client.use(self._token)
            try:
                async with client.socket(open_timeout=5, close_timeout=0.2) as socket:
                    await socket.say(conversation_id, content, event_id=event_id)
                    frame = await socket.expect("conversation.item.added", "error", within=5)
                if frame["type"] != "error":
                    assert frame["event_id"] == event_id, frame
                    return str(frame["item"]["id"])
                assert frame["error"]["code"] == "not_ready", frame
            except _CUT:
                await asyncio.sleep(0.05)
            finally:
                await client.close()
        raise AssertionError(f"no answer to {event_id}")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


class Viewer:
    """Follows a conversation over sockets that may be cut; each new one goes on behind the last message."""

    def __init__(self, urls: list[str], token: str, conversation_id: str) -> None:
        self.messages: list[dict[str, Any]] = []
        #: What had been built of each reply's attempt when its end was told.
        self.built: dict[tuple[str, int], str] = {}
        #: What was told of the end of each response's picture: its id, None if there is none.
        self.pictures: dict[str, str | None] = {}
        self.complaints: list[str] = []
        self._urls = cycle(reversed(urls))
        self._token = token
        self._conversation_id = conversation_id
        self._socket: Socket | None = None
        self._revision = 0
        self._task = asyncio.create_task(self._follow_forever())

    async def sees(self, count: int) -> None:
        """Wait until so many messages have been told of."""
        await self._wait(lambda: len(self.messages) >= count)

    async def reads(self, response_id: str) -> None:
        """Wait until some of a reply's text has come."""
        await self._wait(lambda: self._socket is not None and bool(self._socket.texts.get(response_id)))

    async def hears_of_end(self, response_id: str) -> None:
        """Wait until an end of a reply has been told."""
        await self._wait(lambda: any(told == response_id for told, _ in self.built))

    async def _wait(self, fact: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not fact():
            assert not self.complaints, self.complaints
            assert time.monotonic() < deadline, (self.messages, self._socket and self._socket.frames)
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Stop following."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _follow_forever(self) -> None:
        while True:
            try:
                await self._follow(next(self._urls))
            except _CUT:
                await asyncio.sleep(0.05)
            except Exception as error:  # noqa: BLE001 - the test that watches reports it
                self.complaints.append(f"{type(error).__name__}: {error}")
                return

    async def _follow(self, url: str) -> None:
        client = Client(url)
        client.use(self._token)
        try:
            async with client.socket(open_timeout=5, close_timeout=0.2) as socket:
                known = {"after": len(self.messages), "revision": self._revision}
                await socket.subscribe(self._conversation_id, **known)
                self._socket = socket
                while True:
                    with suppress(TimeoutError):
                        self._take(socket, await socket.receive(within=60))
        finally:
            await client.close()

    def _take(self, socket: Socket, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "conversation.item.added":
            assert frame["item"]["position"] == len(self.messages) + 1, frame
            self.messages.append(frame["item"])
        elif kind == "companion_hub.item.updated":
            self.messages[frame["item"]["position"] - 1] = frame["item"]
            self._revision = frame["revision"]
        elif kind in ("response.completed", "response.failed", "response.cancelled"):
            response = frame["response"]
            if response["id"] in socket.texts:
                self.built[response["id"], response["attempt"]] = socket.texts[response["id"]]
        elif kind in ("response.image_generation_call.completed", "response.image_generation_call.failed"):
            image_id = frame["image"]["id"] if kind.endswith("completed") else None
            assert self.pictures.setdefault(frame["response_id"], image_id) == image_id, frame
