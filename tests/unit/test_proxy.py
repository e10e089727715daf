"""The proxy itself: each fault is what its name says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.faults.proxy import Cut, Faults, Proxy


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """Yield a proxy before a server that sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as found:
        yield found


async def connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection through the proxy."""
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def test_without_faults_all_arrives(proxy: Proxy) -> None:
    reader, writer = await connect(proxy)
    writer.write(b"x" * 100_000)
    assert await reader.readexactly(100_000) == b"x" * 100_000
    writer.close()


async def test_latency_and_rate_slow_it_down(proxy: Proxy) -> None:
    proxy.faults = lambda: Faults(latency=0.05, rate=2_000)
    reader, writer = await connect(proxy)
    began = time.monotonic()
    writer.write(b"x" * 200)
    await reader.readexactly(200)
    assert time.monotonic() - began >= 2 * (0.05 + 200 / 2_000)
    writer.close()


async def test_a_cut_towards_the_client_comes_at_its_byte(proxy: Proxy) -> None:
    proxy.faults = lambda: Faults(cut_down=7)
    reader, writer = await connect(proxy)
    writer.write(b"0123456789")
    assert await reader.read() == b"0123456"
    assert proxy.cuts == 1
    writer.close()


async def test_a_cut_towards_the_server_comes_at_its_byte(proxy: Proxy) -> None:
    proxy.faults = lambda: Faults(cut_up=3)
    reader, writer = await connect(proxy)
    writer.write(b"0123456789")
    assert b"012".startswith(await reader.read())  # what came back in time; never the fourth byte
    assert proxy.cuts == 1
    writer.close()


@pytest.mark.parametrize("faults", [Faults(cut_down=1, cut=Cut.RESET), Faults(refuse=True)])
async def test_a_reset_is_one(proxy: Proxy, faults: Faults) -> None:
    proxy.faults = lambda: faults
    reader, writer = await connect(proxy)
    writer.write(b"0123456789")
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(10)
    writer.close()


async def test_half_open_says_nothing_until_all_is_cut(proxy: Proxy) -> None:
    proxy.faults = lambda: Faults(cut_down=4, cut=Cut.HALF_OPEN)
    reader, writer = await connect(proxy)
    writer.write(b"0123456789")
    assert await reader.readexactly(4) == b"0123"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read(1)
    assert proxy.cut() == 1
    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    writer.close()
