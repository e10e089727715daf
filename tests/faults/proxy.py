"""A TCP proxy that makes the network as bad as a test wants it.

``async with Proxy(host, port) as proxy`` listens on a free port of 127.0.0.1. Each new connection gets the
faults that ``proxy.faults()`` returns then; ``proxy.cut()`` ends all open ones at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

_CHUNK = 4096


class Cut(Enum):
    """How a connection ends."""

    CLOSE = auto()  # FIN on both sides
    RESET = auto()  # RST on both sides
    HALF_OPEN = auto()  # nothing arrives any more, and nobody is told


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What happens to one connection.

    ``latency`` is in seconds for each piece, ``rate`` in bytes a second for each direction. After
    ``cut_up`` bytes towards the server, or ``cut_down`` towards the client, it ends as ``cut`` says.
    """

    refuse: bool = False
    latency: float = 0.0
    rate: float | None = None
    cut_up: int | None = None
    cut_down: int | None = None
    cut: Cut = Cut.CLOSE


class Proxy:
    """The proxy; see the module."""

    def __init__(self, host: str, port: int) -> None:
        self.faults: Callable[[], Faults] = Faults
        self.connections = 0
        self.cuts = 0
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> int:
        """Reset every open connection and return how many there were."""
        for task in tuple(self._open):
            task.cancel()
        return len(self._open)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        try:
            await self._serve(reader, writer, self.faults())
        except (asyncio.CancelledError, OSError):
            _reset(writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Faults
    ) -> None:
        if faults.refuse:
            _reset(writer)
            return
        there, back = await asyncio.open_connection(*self._target)
        pumps = [
            asyncio.ensure_future(_pump(reader, back, faults, faults.cut_up)),
            asyncio.ensure_future(_pump(there, writer, faults, faults.cut_down)),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if any(each.exception() is None and each.result() for each in done):
                self.cuts += 1
                for pump in pumps:
                    pump.cancel()
                await _end(faults.cut, writer, back)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            back.close()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Faults, limit: int | None
) -> bool:
    """Carry bytes one way; return whether the limit ended it, rather than the sender."""
    carried = 0
    while limit is None or carried < limit:
        data = await reader.read(_CHUNK if limit is None else min(_CHUNK, limit - carried))
        if not data:
            return False
        if pause := faults.latency + (len(data) / faults.rate if faults.rate else 0.0):
            await asyncio.sleep(pause)
        writer.write(data)
        await writer.drain()
        carried += len(data)
    return True


async def _end(how: Cut, *writers: asyncio.StreamWriter) -> None:
    if how is Cut.HALF_OPEN:
        await asyncio.Event().wait()  # until the test or the proxy ends
    for writer in writers:
        if how is Cut.RESET:
            _reset(writer)
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
