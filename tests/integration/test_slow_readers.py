"""Clients that do not read: whoever writes to them waits, and they are cut off with a word about why."""

from __future__ import annotations

import asyncio
import base64
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode
from websockets.protocol import CLIENT, Protocol

from hub.web import protocols
from tests.services.hub import PASSWORD, Client, HubServer
from tests.services.waiting import eventually

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

PIECE = 65_536
#: Far more than the buffers on the way hold.
PIECES = 1_000
HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
)


class Talker:
    """An application that sends without end; counts what it got rid of, and says when it was stopped."""

    def __init__(self) -> None:
        self.sent = 0
        self.heard: list[dict[str, Any]] = []
        self.stopped = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            message: dict[str, Any] = {"type": "websocket.send", "text": "x" * PIECE}
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            message = {"type": "http.response.body", "body": b"x" * PIECE, "more_body": True}
        listening = asyncio.ensure_future(self._listen(receive))
        try:
            while not listening.done() and self.sent < PIECES:
                await send(message)
                self.sent += 1
        except OSError:
            await listening
        finally:
            listening.cancel()
            self.stopped.set()

    async def _listen(self, receive: Receive) -> None:
        while True:
            self.heard.append(await receive())
            if self.heard[-1]["type"].endswith(".disconnect"):
                return


async def listener(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Be an application that takes what comes and says nothing."""
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


@asynccontextmanager
async def serving(talker: Application, **options: Any) -> AsyncIterator[int]:
    """Serve the application as the hub serves its own; yield the port."""
    config = uvicorn.Config(
        talker,
        port=0,
        log_config=None,
        lifespan="off",
        http=protocols.HttpProtocol,
        ws=protocols.SocketProtocol,
        **options,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    await eventually(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        server.force_exit = True
        await task


async def ask(
    port: int, *headers: str, receive_buffer: int | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    sock = socket.socket()
    sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    if receive_buffer is not None:  # before it connects: the window is agreed on then
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
    writer.write(f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{''.join(headers)}\r\n".encode())
    return reader, writer


async def test_a_socket_that_is_not_read_is_closed_and_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "SEND_TIMEOUT", 0.5)
    talker = Talker()
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    async with serving(talker) as port:
        reader, writer = await ask(port, HANDSHAKE.format(key=key))
        async with asyncio.timeout(10):
            await talker.stopped.wait()
        assert talker.sent < PIECES, "it was never made to wait"
        assert (talker.heard[-1]["type"], talker.heard[-1]["code"]) == ("websocket.disconnect", 1013)
        parser = Protocol(CLIENT)
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(10):
            while parser.close_rcvd is None:
                parser.receive_data(await reader.read(PIECE))
        frames = [frame for frame in parser.events_received() if frame.opcode is Opcode.TEXT]  # type: ignore[union-attr]
        assert len(frames) == talker.sent
        assert parser.close_rcvd.code == 1013
        writer.close()


async def test_a_socket_that_is_read_after_all_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "SEND_TIMEOUT", 30)
    talker = Talker()
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    async with serving(talker) as port:
        reader, writer = await ask(port, HANDSHAKE.format(key=key))
        await until_stalled(talker)
        async with asyncio.timeout(20):
            while not talker.stopped.is_set():
                await reader.read(PIECE)
        assert talker.sent == PIECES
        writer.close()


async def test_a_client_that_reads_nothing_is_too_slow_though_the_buffers_have_room() -> None:
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    async with serving(listener, ws_ping_interval=0.1, ws_ping_timeout=0.2) as port:
        reader, writer = await ask(port, HANDSHAKE.format(key=key))
        parser = Protocol(CLIENT)
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(10):
            while parser.close_rcvd is None:
                parser.receive_data(await reader.read(PIECE))  # and never a pong
        assert parser.close_rcvd.code == 1013
        writer.close()


async def test_pings_of_a_client_that_does_not_read_are_not_answered_for_ever() -> None:
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    parser = Protocol(CLIENT)
    parser.send_ping(b"x" * 125)
    thousand = b"".join(parser.data_to_send()) * 1_000
    async with serving(listener) as port:
        reader, writer = await ask(port, HANDSHAKE.format(key=key), receive_buffer=4_096)
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(60):
            writer.write(thousand)
            await writer.drain()
        pongs = await pongs_until_quiet(reader)
        assert 0 < pongs < 30_000, "they were kept for it"
        writer.write(thousand[: len(thousand) // 1_000])
        assert await pongs_until_quiet(reader) == 1
        writer.close()


async def pongs_until_quiet(reader: asyncio.StreamReader) -> int:
    """Read what there is, until nothing comes for a while, and count the pongs in it."""
    size = 0
    try:
        while True:
            async with asyncio.timeout(1):
                size += len(await reader.read(PIECE))
    except TimeoutError:
        return size // 127


async def test_an_answer_that_is_not_read_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "SEND_TIMEOUT", 0.5)
    talker = Talker()
    async with serving(talker) as port:
        reader, writer = await ask(port)
        async with asyncio.timeout(10):
            await talker.stopped.wait()
        assert talker.sent < PIECES
        assert talker.heard[-1]["type"] == "http.disconnect"
        async with asyncio.timeout(10):
            left = await reader.read()
        assert not left.endswith(b"0\r\n\r\n"), "it looks whole"
        writer.close()


async def test_a_long_answer_that_is_read_slowly_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "SEND_TIMEOUT", 0.5)
    size = 256 * PIECE

    async def one_body(scope: dict[str, Any], receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * size})

    async with serving(one_body) as port:
        reader, writer = await ask(port, "Connection: close\r\n")
        await reader.readuntil(b"\r\n\r\n")
        began, received = asyncio.get_running_loop().time(), b""
        while piece := await reader.read(PIECE):
            received += piece
            await asyncio.sleep(0.005)
        assert asyncio.get_running_loop().time() - began > 2 * protocols.SEND_TIMEOUT
        assert received.count(b"x") == size
        writer.close()


async def test_a_socket_that_is_not_read_obeys_nobody_after_its_sign_in_has_ended(
    client: Client, hub: HubServer
) -> None:
    other = Client(client.url)
    body = {"login": client.user["username"], "password": PASSWORD}
    other.use((await other.http.post("/api/auth/login", json=body)).json()["access_token"])
    conversation = (await client.conversation())["id"]
    async with client.socket() as socket:
        for _ in range(30):
            await socket.say(conversation, "x" * 4000, response=None)
            await socket.expect("conversation.item.added")
    async with other.socket(max_queue=1) as blocked:  # from now on nobody reads it
        for _ in range(200):
            await blocked.send(type="conversation.subscribe", conversation_id=conversation)
        await eventually(lambda: _is_blocked(int(hub.url.rpartition(":")[2])))
        assert (await other.http.post("/api/auth/logout")).status_code == 204
        await blocked.say(conversation, "I am still here", response=None)
        async with asyncio.timeout(20):
            with suppress(ConnectionClosed):
                async for _ in blocked.connection:
                    pass
        assert blocked.connection.close_code == 4401
    said = {each["content"] for each in await client.messages(conversation)}
    assert said == {"x" * 4000}
    await other.close()


def _is_blocked(port: int) -> bool:
    """Tell whether the kernel holds much that a client of the port has not read (Linux)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and int(row[4].split(":")[0], 16) > PIECE for row in rows)


async def until_stalled(talker: Talker) -> None:
    """Wait until the application has not got rid of anything for a while."""
    before = -1
    async with asyncio.timeout(10):
        while talker.sent != before or not before:
            before = talker.sent
            await asyncio.sleep(0.2)
