"""A real HTTP server that speaks the OpenAI chat completions, faults included.

``async with FakeLLM() as fake`` listens on a free port of 127.0.0.1. Each chat (a request for a stream)
takes the next script given to ``fake.script(...)``, else ``fake.default``; each analysis (a request for one
answer, ``stream: false``) takes ``fake.script_analysis(...)``'s, else ``fake.analysis``.
``python -m tests.fakes.llm`` runs it for a bench.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from tests.fakes.llm_script import End, Script, Step, answer, default_text, reply, status

Body = dict[str, object]


@dataclass(frozen=True)
class Recorded:
    """One request as it came in; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Body

    @property
    def is_chat(self) -> bool:
        """Whether it asks for a stream."""
        return self.path.endswith("/chat/completions") and self.body.get("stream") is True

    @property
    def is_analysis(self) -> bool:
        """Whether it asks for an answer in one piece."""
        return self.path.endswith("/chat/completions") and not self.is_chat


class _ConnectionOverError(Exception):
    """The script ends the connection."""


class FakeLLM:
    """The server; see the module."""

    def __init__(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Recorded] = []
        self.disconnects = 0
        self.connections = 0
        self.default: Callable[[Body], Script] = lambda body: reply(default_text(body))
        self.analysis: Callable[[Body], Script] = lambda _: answer("{}")  # says nothing new
        self.models: Script = status(200, {"object": "list", "data": [{"id": "fake", "object": "model"}]})
        self._scripts: deque[Script] = deque()
        self._analyses: deque[Script] = deque()
        self._port = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        """The base address, ending in /v1."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}/v1"

    def script(self, *scripts: Script) -> None:
        """Answer the next chats with these, in order."""
        self._scripts.extend(scripts)

    def script_analysis(self, *scripts: Script) -> None:
        """Answer the next analyses with these, in order."""
        self._analyses.extend(scripts)

    @property
    def chats(self) -> list[Recorded]:
        """The requests for a stream, so far."""
        return [request for request in self.requests if request.is_chat]

    @property
    def analyses(self) -> list[Recorded]:
        """The requests for an answer in one piece, so far."""
        return [request for request in self.requests if request.is_analysis]

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

    async def wait_for_disconnects(self, count: int = 1, *, within: float = 5) -> None:
        """Wait until so many clients have left before their answer was whole."""
        await self._wait(lambda: self.disconnects >= count, within)

    async def wait_for_requests(self, count: int = 1, *, within: float = 5) -> None:
        """Wait until so many requests have come in."""
        await self._wait(lambda: len(self.requests) >= count, within)

    async def _wait(self, condition: Callable[[], bool], within: float) -> None:
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(condition)

    async def _tell(self) -> None:
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
        await self._tell()
        playing = asyncio.ensure_future(_play(self._answer(request), writer))
        leaving = asyncio.ensure_future(reader.read(1))  # one request at a time: only EOF can come
        try:
            await asyncio.wait({playing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                self.disconnects += 1
                await self._tell()
                raise _ConnectionOverError
            await playing
        finally:
            for task in (playing, leaving):
                task.cancel()
            await asyncio.gather(playing, leaving, return_exceptions=True)

    def _answer(self, request: Recorded) -> Script:
        if request.path.endswith("/models"):
            return self.models
        if not request.path.endswith("/chat/completions"):
            return status(404, {"error": {"message": "no such path"}})
        if request.is_analysis:
            return self._analyses.popleft() if self._analyses else self.analysis(request.body)
        return self._scripts.popleft() if self._scripts else self.default(request.body)


async def _read_request(reader: asyncio.StreamReader) -> Recorded:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    pairs = (text.split(":", 1) for text in head[1:] if text)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return Recorded(method, path, headers, json.loads(raw) if raw else {})


async def _play(script: Script, writer: asyncio.StreamWriter) -> None:
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
    phrase = HTTPStatus(script.status).phrase
    lines = [f"HTTP/1.1 {script.status} {phrase}", *(f"{k}: {v}" for k, v in headers.items())]
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


async def _run(port: int, first_delay: float, tokens_per_second: float, tokens: int) -> None:
    delay = 1 / tokens_per_second if tokens_per_second else 0
    pieces = [f" token{number}" for number in range(tokens)]
    script = reply(pieces, delay=delay, first=[first_delay] if first_delay else [])
    async with FakeLLM(port) as fake:
        if tokens:
            fake.default = lambda _: script
        print(fake.url, flush=True)  # noqa: T201 - the bench that started it reads this line
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed; print the base address first."""
    parser = argparse.ArgumentParser(description="A fake OpenAI-compatible chat server.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--first-delay", type=float, default=0, help="seconds before the first token")
    parser.add_argument("--tokens-per-second", type=float, default=0, help="0: as fast as it can")
    parser.add_argument("--tokens", type=int, default=0, help="tokens in each reply; 0: echo the user")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(options.port, options.first_delay, options.tokens_per_second, options.tokens))


if __name__ == "__main__":
    main()
