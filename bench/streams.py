"""Many replies at once: what the hub adds between the model's sending and the client's receiving."""

from __future__ import annotations

import asyncio
import json
import re
import time
from functools import partial
from typing import cast
from urllib.parse import urlsplit

from bench.report import Figure, percentile, summary
from bench.wire import FrameReader, client_frame, upgrade_request
from bench.world import World
from tests.services.hub import Client, HubServer

PACE = 20.0
#: Goals of later work, shown for comparison: p99 of what is added at 100 streams, tokens/s at 500.
GOAL_ADDED_MS = 20.0
GOAL_TOKENS_PER_SECOND = 5_000.0
_FEW, _MANY = 100, 500
_SECONDS = 8
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


async def measure(world: World) -> list[Figure]:
    """Measure 100 streams, then 500."""
    return [await _streams(world, count) for count in (_FEW, _MANY)]


async def _streams(world: World, count: int) -> Figure:
    tokens = int(PACE * _SECONDS)
    arguments = ("--tokens", str(tokens), "--pace", str(PACE))
    threads = {"HUB_WORKER_THREADS": str(count + 10)}
    with world.program("bench.paced_llm", *arguments) as llm:
        async with world.hub_up(llm, **threads) as server:
            client = await Client(server.url).register()
            companion = (await client.companion())["id"]
            listeners = await _listen(server, client, companion, count)
            started = time.monotonic()
            ends = [asyncio.ensure_future(each.wait_for(b'"response.completed"')) for _, each in listeners]
            await asyncio.gather(*(client.send(each, "Talk to me.") for each, _ in listeners))
            await asyncio.gather(*ends)
            seconds = time.monotonic() - started
            for _, listener in listeners:
                listener.close()
            await client.close()
    return _figure([listener for _, listener in listeners], tokens, seconds)


async def _listen(
    server: HubServer, client: Client, companion: str, count: int
) -> list[tuple[str, Listener]]:
    parts = urlsplit(server.url)
    listeners: list[tuple[str, Listener]] = []
    for _ in range(count):
        conversation = (await client.conversation(companion))["id"]
        listener = Listener(upgrade_request(server.url, "/api/ws", client.token))
        greeted = asyncio.ensure_future(listener.wait_for(b'"session.created"'))
        await asyncio.sleep(0)
        await asyncio.get_running_loop().create_connection(
            partial(_itself, listener), parts.hostname or "", parts.port or 0
        )
        await greeted
        subscribed = asyncio.ensure_future(listener.wait_for(b'"conversation.subscribed"'))
        await asyncio.sleep(0)
        frame = {"type": "conversation.subscribe", "conversation_id": conversation}
        listener.write(client_frame(json.dumps(frame).encode()))
        await subscribed
        listeners.append((conversation, listener))
    return listeners


def _itself(listener: Listener) -> Listener:
    return listener


def _figure(listeners: list[Listener], tokens: int, seconds: float) -> Figure:
    added = [each for listener in listeners for each in listener.added]
    exact = sum(listener.stored == listener.text != "" for listener in listeners)
    rate = len(added) / seconds
    p99 = percentile(added, 99)
    many = len(listeners) == _MANY
    return Figure(
        name=f"{len(listeners)} streams of {PACE:g} tokens/s",
        value=rate if many else p99,
        shown=f"{rate:,.0f} tokens/s" if many else f"p99 added {p99:.1f} ms",
        goal_shown=f"later: >= {GOAL_TOKENS_PER_SECOND:,.0f}" if many else f"later: <= {GOAL_ADDED_MS:g} ms",
        details=(
            f"added: {summary(added)}, p99 {p99:.2f} ms",
            f"{rate:,.0f} tokens/s over {seconds:.1f} s, on one machine with the model and the clients",
            f"texts that equal the stored ones: {exact} of {len(listeners)}",
            f"tokens that came as live text: {len(added):,} of {len(listeners) * tokens:,}",
        ),
    )
