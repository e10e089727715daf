"""Streams through a network that cuts, delays and throttles, while webs and workers are killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.chaos.killer import Killer
from tests.chaos.oracle import reply_to
from tests.chaos.progress import Progress
from tests.chaos.report import Finding, none_of
from tests.chaos.sizes import Size
from tests.chaos.talker import AWAY, make_talkers, verdict_on
from tests.chaos.world import World, all_of, answering
from tests.fakes.llm import Body
from tests.fakes.llm_script import Script, default_text, reply
from tests.faults.proxy import Cut, Faults, Proxy
from tests.services.hub import Client

_CONVERSATIONS = 2
_READ_SECONDS = 3.0
_REPLY_SECONDS = 180.0


async def run(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Follow replies over sockets, then over Server-Sent Events, until the network has cut often enough."""
    cuts = size.of(20, 500)
    return [await _sockets(world, size, cuts, progress), await _events(world, size, cuts, progress)]


def _slowly(body: Body) -> Script:
    return reply(list(default_text(body)), delay=0.01)  # letter by letter: many frames to cut through


@asynccontextmanager
async def bad_network(world: World) -> AsyncIterator[list[Proxy]]:
    """Put a proxy before each web, which cuts each connection somewhere."""

    def faults() -> Faults:
        chance = world.random
        return Faults(
            refuse=chance.random() < 0.03,
            latency=chance.choice((0.0, 0.0, 0.002, 0.02)),
            rate=chance.choice((None, None, None, 20_000.0)),
            cut_up=chance.choice((None, None, chance.randrange(1, 3_000))),
            cut_down=chance.randrange(1, 9_000),
            cut=chance.choice(tuple(Cut) + (Cut.CLOSE, Cut.RESET) * 2),
        )

    async with AsyncExitStack() as stack:
        proxies = []
        for url in world.urls:
            port = urlsplit(url).port or 0
            proxies.append(await stack.enter_async_context(Proxy("127.0.0.1", port)))
            proxies[-1].faults = faults
        yield proxies


def _killer(world: World, size: Size) -> Killer | None:
    if size is Size.SHORT:
        return None
    return Killer(world, pause=(5.0, 12.0), at_once=1, hurry=False, names=frozenset({"web", "worker"}))


async def _sockets(world: World, size: Size, cuts: int, progress: Progress) -> Finding:
    async with bad_network(world) as proxies, answering(world, _slowly):
        urls = [f"http://127.0.0.1:{proxy.port}" for proxy in proxies]
        talkers = await make_talkers(world, users=size.of(4, 10), conversations=_CONVERSATIONS, urls=urls)

        def take(wanted: int) -> int:
            progress.done = sum(proxy.cuts for proxy in proxies)
            return wanted if progress.done < cuts else 0

        killer = _killer(world, size)
        kills = (lambda: killer.shown) if killer else str
        async with killer or nullcontext(), progress.of(cuts, "sockets cut", kills):
            await all_of(each.talk(take) for each in talkers)
        done_cuts = sum(proxy.cuts for proxy in proxies)
    verdict = await verdict_on(world, talkers)
    wrong = [each for talker in talkers for each in talker.violations]
    wrong += verdict.lost + verdict.doubled + verdict.disordered + verdict.torn
    replies = sum(talker.answered for talker in talkers)
    deltas = sum(talker.streamed for talker in talkers)
    done = f"sockets: {done_cuts:,} cuts, {replies:,} replies, {deltas:,} deltas{_and(killer)}"
    return none_of("the client's text is the stored text", done, wrong, what="differences")


def _and(killer: Killer | None) -> str:
    return f", {killer.shown}" if killer else ""


@dataclass
class Reader:
    """A client of Server-Sent Events that goes on behind the last event it has."""

    url: str
    client: Client
    response_id: str
    text: str = ""
    last_id: str = ""
    status: str = ""
    wrong: list[str] = field(default_factory=list)

    async def read(self) -> None:
        """Read on until the response has ended."""
        path = f"{self.url}/api/responses/{self.response_id}/events"
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        async with (
            asyncio.timeout(_READ_SECONDS),
            self.client.http.stream("GET", path, headers=headers, timeout=_READ_SECONDS) as answer,
        ):
            if answer.status_code != 200:
                if answer.status_code < 500:
                    self.wrong.append(f"refused with {answer.status_code}")
                return
            event: dict[str, str] = {}
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if line:
                    event[name] = value
                elif "data" in event:
                    self._take(event)
                    event = {}

    def _take(self, event: dict[str, str]) -> None:
        data = json.loads(event["data"])
        self.last_id = event.get("id", self.last_id)
        kind = event["event"]
        if kind == "response.in_progress":
            self.text = data["response"]["output_text"]
        elif kind == "response.output_text.delta":
            if data["offset"] != len(self.text):
                self.wrong.append(f"a delta at {data['offset']} came behind {len(self.text)}")
            self.text += data["delta"]
            if event.get("id") != str(len(self.text)):
                self.wrong.append(f"the event id {event.get('id')} is not {len(self.text)}")
        elif kind in ("response.completed", "response.failed", "response.cancelled"):
            self.status = data["response"]["status"]
            if self.status == "completed" and data["response"]["output_text"] != self.text:
                self.wrong.append(f"{self.text!r} was shown at the end")


async def _events(world: World, size: Size, cuts: int, progress: Progress) -> Finding:
    killer = _killer(world, size)
    readers: list[Reader] = []
    async with bad_network(world) as proxies, answering(world, _slowly):
        kills = (lambda: killer.shown) if killer else str

        async def follow() -> None:
            client = await world.client()
            where = (await client.conversation())["id"]
            while (done := sum(proxy.cuts for proxy in proxies)) < cuts:
                progress.done = done
                sent = await _send(client, where, f"Event {len(readers)}")
                reader = Reader("", client, sent)
                readers.append(reader)
                await _read_whole(world, reader, proxies)

        async with progress.of(cuts, "event streams cut", kills), killer or nullcontext():
            await all_of(follow() for _ in range(size.of(4, 10)))
        done_cuts = sum(proxy.cuts for proxy in proxies)
    rows = await world.query(
        "SELECT responses.id, output_text, request.content FROM responses"
        " JOIN messages AS request ON request.id = request_message_id WHERE request.content LIKE 'Event %'"
    )
    stored = {str(row["id"]): row for row in rows}
    wrong = [each for reader in readers for each in reader.wrong]
    for reader in readers:
        row = stored[reader.response_id]
        if not reader.text == row["output_text"] == reply_to(row["content"]):
            wrong.append(f"{reader.text!r} was shown, {row['output_text']!r} is stored")
    done = f"events: {done_cuts:,} cuts, {len(readers):,} replies{_and(killer)}"
    return none_of("the event stream's text is the stored text", done, wrong, what="differences")


async def _send(client: Client, conversation_id: str, content: str) -> str:
    """Send past the bad network, by repeating it under one key; return the response's id."""
    key = content.replace(" ", "-")
    while True:
        try:
            answer = await client.http.post(
                f"/api/conversations/{conversation_id}/messages",
                json={"content": content},
                headers={"Idempotency-Key": key},
            )
            if answer.status_code == 202:
                return str(answer.json()["response"]["id"])
        except AWAY:
            pass
        await asyncio.sleep(0.2)


async def _read_whole(world: World, reader: Reader, proxies: list[Proxy]) -> None:
    async with asyncio.timeout(_REPLY_SECONDS):
        while reader.status != "completed":
            reader.url = f"http://127.0.0.1:{world.random.choice(proxies).port}"
            try:
                await reader.read()
            except AWAY:
                await asyncio.sleep(0.02)
            if reader.status == "failed":
                reader.status, reader.last_id, reader.text = "", "", ""
                await reader.client.http.post(f"/api/responses/{reader.response_id}/retry")
