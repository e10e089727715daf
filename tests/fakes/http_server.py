"""A real HTTP server that plays scripts, for fakes of any provider.

``async with Fake() as fake`` listens on a free port of 127.0.0.1. A fake says in ``respond`` what a request
is answered with.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Self

from tests.fakes.llm_script import End, Script, Step


@dataclass(frozen=True)
class Request:
    """One request as it came in; header names are in lower case, ``path`` has no query."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    raw: bytes

    @cached_property
    def body(self) -> dict[str, object]:
        """The JSON in it."""
        decoded = json.loads(self.raw) if self.raw else {}
        assert isinstance(decoded, dict)
        return decoded


class _ConnectionOverError(Exception):
    """The script ends the connection."""


class FakeServer:
    """The part that all fakes share; see the module."""

    def __init__(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.disconnects = 0  # clients that left before their answer was whole
        self._port = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    @property
    def origin(self) -> str:
        """The address without a path."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    async def respond(self, request: Request) -> Script:
        """Return the answer; cancelled if the client leaves."""
        raise NotImplementedError

    def at(self, path: str) -> list[Request]:
        """Return the requests to a path, so far."""
        return [request for request in self.requests if request.path == path]

    async def start(self) -> None:
        """Listen; after ``stop`` again on the same port."""
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self._port, backlog=1024, ssl=self._tls
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def wait_for(self, fact: Callable[[], bool], *, within: float = 20) -> None:
        """Wait until a fact about this fake holds."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(fact)

    async def changed(self) -> None:
        """Tell those who wait that something is otherwise now."""
        async with self._changed:
            self._changed.notify_all()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            # A client that leaves between or within requests is a normal end here.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, _ConnectionOverError):
                while True:
                    await self._serve_one(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()  # stop(); streams would log a cancelled handler
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _read_request(reader)
        self.requests.append(request)
        await self.changed()
        playing = asyncio.ensure_future(self._play(request, writer))
        leaving = asyncio.ensure_future(reader.read(1))  # one request at a time: only EOF can come
        try:
            await asyncio.wait({playing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                self.disconnects += 1
                await self.changed()
                raise _ConnectionOverError
            await playing
        finally:
            for task in (playing, leaving):
                task.cancel()
            await asyncio.gather(playing, leaving, return_exceptions=True)

    async def _play(self, request: Request, writer: asyncio.StreamWriter) -> None:
        await play(await self.respond(request), writer)


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    path, _, query = target.partition("?")
    pairs = (text.split(":", 1) for text in head[1:] if text)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, query, headers, raw)


async def play(script: Script, writer: asyncio.StreamWriter) -> None:
    """Send one answer, byte by byte as its script says."""
    await _play_steps(script.before_head, writer, chunked=False)
    if script.status is None:
        raise _ConnectionOverError
    writer.write(_head(script))
    chunked = script.framing == "chunked"
    await _play_steps(script.steps, writer, chunked=chunked)
    if chunked:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    if script.framing == "close":
        raise _ConnectionOverError


def _head(script: Script) -> bytes:
    assert script.status is not None
    headers: dict[str, str] = {"content-type": script.content_type}
    if script.framing == "length":
        headers["content-length"] = str(sum(len(step) for step in script.steps if isinstance(step, bytes)))
    elif script.framing == "chunked":
        headers["transfer-encoding"] = "chunked"
    headers |= script.headers
    lines = [f"HTTP/1.1 {script.status} {HTTPStatus(script.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _play_steps(steps: Sequence[Step], writer: asyncio.StreamWriter, *, chunked: bool) -> None:
    for step in steps:
        if isinstance(step, bytes):
            if step:
                writer.write(b"%x\r\n%b\r\n" % (len(step), step) if chunked else step)
        elif isinstance(step, End):
            await _end(step, writer)
        else:
            await writer.drain()
            await (step.wait() if isinstance(step, asyncio.Event) else asyncio.sleep(step))


async def _end(how: End, writer: asyncio.StreamWriter) -> None:
    await writer.drain()
    if how is End.HANG:
        await asyncio.Event().wait()
    if how is End.RESET:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    raise _ConnectionOverError
