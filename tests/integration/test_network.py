"""The sockets below the HTTP pool: what is cut, what is not, and nothing left open."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

import httpcore2
import pytest

from hub.providers.http.network import AsyncioBackend


@contextlib.asynccontextmanager
async def echo_server() -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100):
                await asyncio.sleep(float(data))
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_patience_is_for_one_read_only() -> None:
    async with echo_server() as port:
        stream = await AsyncioBackend().connect_tcp("127.0.0.1", port)
        await stream.write(b"0")
        assert await stream.read(10, timeout=0.2) == b"0"
        await stream.write(b"0.3")
        assert await stream.read(10) == b"0.3"
        with pytest.raises(httpcore2.ReadTimeout):
            await stream.read(10, timeout=0.01)
        await stream.aclose()


async def test_a_connection_that_is_given_up_leaves_no_socket() -> None:
    async with echo_server() as port:
        for steps in range(15):
            connecting = asyncio.create_task(AsyncioBackend().connect_tcp("127.0.0.1", port))
            for _ in range(steps):
                await asyncio.sleep(0)
            connecting.cancel()
            [stream] = await asyncio.gather(connecting, return_exceptions=True)
            if isinstance(stream, httpcore2.AsyncNetworkStream):
                await stream.aclose()
        await asyncio.sleep(0)
        gc.collect()  # a socket left open is a warning, and a warning fails the test
