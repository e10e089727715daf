"""Listening at a WebSocket over the process's own connections, against a server of the websockets package."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from hub.providers.http.endpoint import Endpoint
from hub.providers.http.network import open_pool
from hub.providers.http.websocket import SOCKET_ERRORS, open_socket

Handler = Callable[[ServerConnection], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(
    handler: Handler, *, query: str = "", max_bytes: int = 1000
) -> AsyncIterator[list[str | bytes]]:
    """Give what comes until the server ends it."""
    pool = open_pool()
    async with serve(handler, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        endpoint = Endpoint.parse(f"http://127.0.0.1:{port}/base{query}", "key", whose="the server's")
        try:
            async with (
                asyncio.timeout(5),
                open_socket(pool, endpoint, "/ws?clientId=1", patience=5, max_bytes=max_bytes) as messages,
            ):
                yield [message async for message in messages]
        finally:
            await pool.aclose()


async def test_messages_come_whole_and_in_order() -> None:
    asked = []

    async def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.append((connection.request.path, connection.request.headers["Authorization"]))
        await connection.send("first")
        await connection.send(["in ", "three ", "pieces ö"])
        await connection.send([b"\x00\x01", b"\x02"])
        await connection.send("")
        await connection.send("last")

    async with listening(handler, query="?from=here") as heard:
        assert heard == ["first", "in three pieces ö", b"\x00\x01\x02", "", "last"]
    assert asked == [("/base/ws?clientId=1&from=here", "Bearer key")]


async def test_pings_are_answered() -> None:
    async def handler(connection: ServerConnection) -> None:
        await (await connection.ping(b"there?"))
        await connection.send("you are")

    async with listening(handler) as heard:
        assert heard == ["you are"]


async def test_a_message_that_is_too_large_ends_it() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send("small")
        with contextlib.suppress(ConnectionClosed):
            await connection.send("x" * 2000)
            await connection.send("never")

    async with listening(handler) as heard:
        assert heard == ["small"]


async def test_a_server_that_speaks_no_websocket_is_an_error() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
        writer.write(b"\x81\x02hi")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = Endpoint.parse(f"http://127.0.0.1:{port}", None, whose="the server's")
    pool = open_pool()
    with pytest.raises(SOCKET_ERRORS):
        async with open_socket(pool, endpoint, "/ws", patience=5, max_bytes=1000) as messages:
            await anext(messages)
    assert not pool.connections
    await pool.aclose()
    server.close()
