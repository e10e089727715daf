"""Two hundred sockets that never read while replies stream, beside one client that does."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from websockets.protocol import CLIENT, Protocol

from bench.paced_llm import Stamps
from bench.report import percentile
from bench.wire import client_frame, upgrade_request
from tests.chaos.progress import Progress
from tests.chaos.report import Finding, none_of
from tests.chaos.sizes import Size
from tests.chaos.world import World, all_of, answering, last_said
from tests.fakes.llm import Body
from tests.fakes.llm_script import Script, reply
from tests.services.hub import Client, HubServer, Socket
from tests.services.waiting import eventually

_SLOW = 200
_STREAMS = 4
_PACE = 20.0
_ROUNDS = 3
_SECONDS = 10.0
_FLOOD = "Flood"
#: Replies of ten thousand characters, together more than the buffers on the way to a client can hold.
_FLOODS, _FLOOD_PIECES, _FLOOD_SIZE = 10, 100, 100
_CUT_WITHIN = 60.0
_MEMORY_GOAL, _DELAY_GOAL = 50.0, 20.0
_CUT = "socket closed, client too slow"
_TOO_SLOW = 1013


async def run(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Measure a fast client alone and beside the slow ones, in turns; these must be cut off each time."""
    assert size is Size.FULL, "it measures, so it takes its time"
    world.webs[0].close()
    await world.webs[0].start()  # so that no memory of other scenarios is taken for free
    client = await world.client()
    rounds = _Rounds(world, client, await _conversations(client))
    async with (
        answering(world, _answer),
        client.socket() as fast,
        progress.of(_ROUNDS, "rounds, alone and beside slow sockets"),
    ):
        for each in rounds.conversations:
            await fast.subscribe(each)
        await rounds.measure(fast)  # caches are filled as they are later
        for _ in range(_ROUNDS):
            await rounds.make(fast)
            progress.add()
    return rounds.findings()


async def _conversations(client: Client) -> list[str]:
    companion = (await client.companion())["id"]
    return [(await client.conversation(companion))["id"] for _ in range(_STREAMS)]


def _answer(body: Body) -> Script:
    if last_said(body) == _FLOOD:
        return reply(["x" * _FLOOD_SIZE] * _FLOOD_PIECES, delay=0.03)
    return Script(steps=Stamps(int(_SECONDS * _PACE), _PACE))


class _Rounds:
    """What is measured, round by round."""

    def __init__(self, world: World, client: Client, conversations: list[str]) -> None:
        self.conversations = conversations
        self._world = world
        self._web = world.webs[0]
        self._client = client
        self._alone: list[float] = []
        self._beside: list[float] = []
        self._grown: list[float] = []
        self._codes: Counter[int | None] = Counter()

    async def make(self, fast: Socket) -> None:
        """Measure alone, let the slow ones come and fill their buffers, measure beside them, see them go."""
        self._alone += await self.measure(fast)
        before, cut = _memory(self._web), self._web.output.count(_CUT)
        floods = [(await self._client.conversation())["id"] for _ in range(_FLOODS)]
        followed = [*floods, *self.conversations]
        slow = await all_of(_never_reading(self._client, followed) for _ in range(_SLOW))
        sent = await all_of(self._client.send(each, _FLOOD) for each in floods)
        await all_of(self._client.ended(each["response"]["id"]) for each in sent)
        beside, most = await asyncio.gather(self.measure(fast), _most_memory(self._web))
        self._beside += beside
        self._grown.append(most - before)
        with suppress(AssertionError):  # those that were not cut off are found by their close codes
            await eventually(lambda: self._web.output.count(_CUT) - cut >= _SLOW, seconds=_CUT_WITHIN)
        self._codes.update(await all_of(_close_code(each) for each in slow))

    async def measure(self, fast: Socket) -> list[float]:
        """Return the milliseconds from the model to the fast client of every word of some streams."""
        fast.frames.clear()
        waits: list[float] = []
        for each in self.conversations:
            await self._client.send(each, "Tell me the time")
        left = len(self.conversations)
        while left:
            frame = await fast.receive()
            now = time.monotonic_ns()
            if frame["type"] == "response.output_text.delta":
                waits += [(now - int(stamp)) / 1e6 for stamp in frame["delta"].split()]
            left -= frame["type"] == "response.completed"
        return waits

    def findings(self) -> list[Finding]:
        """Say what was found."""
        done = f"{_SLOW} sockets never read, {_ROUNDS} rounds"
        alone, beside = percentile(self._alone, 95), percentile(self._beside, 95)
        more = (beside / alone - 1) * 100
        others = [f"{code}: {count}" for code, count in self._codes.items() if code != _TOO_SLOW]
        return [
            Finding(
                promise="slow clients cost little memory",
                done=done,
                found=f"+{max(self._grown):.0f} MB",
                goal=f"< {_MEMORY_GOAL:g} MB",
                met=max(self._grown) < _MEMORY_GOAL,
                details=(", ".join(f"{each:+.1f} MB" for each in self._grown),),
            ),
            Finding(
                promise="slow clients do not slow a fast one",
                done=done,
                found=f"p95 {alone:.1f} -> {beside:.1f} ms ({more:+.0f} %)",
                goal=f"< +{_DELAY_GOAL:g} %",
                met=more < _DELAY_GOAL,
                details=(f"{len(self._alone):,} words alone, {len(self._beside):,} beside",),
            ),
            none_of("slow clients are told why they are cut off", done, others, what="other close codes"),
        ]


@dataclass
class _Slow:
    """A socket that is not read, and what knows where its frames begin."""

    sock: socket.socket
    parser: Protocol


async def _never_reading(client: Client, conversations: list[str]) -> _Slow:
    """Open a socket that follows conversations, and leave it alone."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_200)  # loopback's packets would hide megabytes
    await loop.sock_connect(sock, ("127.0.0.1", urlsplit(client.url).port or 0))
    await loop.sock_sendall(sock, upgrade_request(client.url, "/api/ws", client.token))
    said = b""
    for each in ("", *conversations):
        if each:
            frame = {"type": "conversation.subscribe", "conversation_id": each, "after": 2**31 - 1}
            await loop.sock_sendall(sock, client_frame(json.dumps(frame).encode()))
        wanted = each.encode() if each else b"session.created"
        while wanted not in said:
            said += await loop.sock_recv(sock, 4_096)
    parser = Protocol(CLIENT)
    parser.receive_data(said.partition(b"\r\n\r\n")[2])
    return _Slow(sock, parser)


async def _close_code(slow: _Slow) -> int | None:
    """Read all that waits for a client, now that it is too late, and return the close code behind it."""
    loop, sock, parser = asyncio.get_running_loop(), slow.sock, slow.parser
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(10):
            while parser.close_rcvd is None and (data := await loop.sock_recv(sock, 65_536)):
                parser.receive_data(data)
                parser.events_received()
    sock.close()
    return parser.close_rcvd.code if parser.close_rcvd else None


def _memory(server: HubServer) -> float:
    """Return the resident memory of a process in MB."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return next(int(each.split()[1]) for each in lines if each.startswith("VmRSS")) / 1024


async def _most_memory(server: HubServer) -> float:
    most = 0.0
    for _ in range(int(_SECONDS / 0.2)):
        most = max(most, _memory(server))
        await asyncio.sleep(0.2)
    return most
