"""A client as the contract wants it: it reconnects, resumes behind what it has, and repeats under one key."""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
from websockets.exceptions import WebSocketException

from tests.chaos.oracle import Verdict, examine
from tests.chaos.world import World
from tests.services.hub import Client, Socket

#: What a client takes for the network or a server that restarts: it comes again.
AWAY = (OSError, EOFError, TimeoutError, WebSocketException, httpx2.TransportError)

_PAUSE = 0.2
_ANSWER_SECONDS = 5.0
_REPLIES_SECONDS = 400.0  # of a reply whose workers are killed three times, and again after its retry
_ACCEPTED, _CONFLICT = 202, 409
#: A connection that is dead without a word is noticed by an unanswered ping.
_SOCKET = {"open_timeout": _ANSWER_SECONDS, "close_timeout": 1, "ping_interval": 1.5, "ping_timeout": 3}

_numbers = itertools.count(1)


@dataclass
class Talk:
    """One conversation as its client knows it: ``position`` is that of the last message it has."""

    id: str
    said: list[str] = field(default_factory=list)
    position: int = 0
    replies: dict[str, str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Talker:
    """A user with some conversations, who follows them all on one socket and talks in each of them.

    With ``paints`` it asks for a picture with that share of its messages, ``painted``.
    ``violations`` is what no client may ever see: a gap, an overlap, another text than the stored one.
    """

    def __init__(
        self,
        urls: list[str],
        chance: random.Random,
        client: Client,
        talks: list[Talk],
        *,
        paints: float = 0.0,
    ) -> None:
        self.violations: list[str] = []
        self.connections = 0
        self.repeats = 0
        self.asked_again: set[str] = set()
        self.painted: set[str] = set()
        self._paints = paints
        self.streamed = 0
        self._urls = urls
        self._random = chance
        self._client = client
        self._talks = {talk.id: talk for talk in talks}
        self._socket: Socket | None = None
        self._acknowledged: dict[str, asyncio.Future[bool]] = {}

    async def talk(self, take: Callable[[int], int]) -> None:
        """Say things in each conversation, a few at a time, and wait until all are answered.

        Args:
            take: told how many a conversation would like to say next, returns how many it may; 0 ends it.
        """
        following = asyncio.create_task(self._follow_forever())
        try:
            await asyncio.gather(*(self._talk_in(talk, take) for talk in self._talks.values()))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    @property
    def answered(self) -> int:
        """How many replies it has."""
        return sum(len(talk.replies) for talk in self._talks.values())

    @property
    def said(self) -> dict[str, list[str]]:
        """What it said, in order, in each conversation."""
        return {talk.id: talk.said for talk in self._talks.values()}

    @property
    def replies(self) -> dict[str, str]:
        """The text that it has of each response."""
        return {key: text for talk in self._talks.values() for key, text in talk.replies.items()}

    # Talking

    async def _talk_in(self, talk: Talk, take: Callable[[int], int]) -> None:
        while count := take(self._random.randint(1, 3)):
            for _ in range(count):
                content = f"Message {next(_numbers)} of mine, {secrets.token_hex(4)}"
                if self._random.random() < self._paints:
                    self.painted.add(content)
                await self._send(talk, content)
                talk.said.append(content)
            try:
                async with asyncio.timeout(_REPLIES_SECONDS):
                    await self._wait_for_replies(talk)
            except TimeoutError:
                missing = len(talk.said) - len(talk.replies)
                self.violations.append(f"{talk.id}: {missing} replies did not come in {_REPLIES_SECONDS:g} s")
                return

    async def _send(self, talk: Talk, content: str) -> None:
        """Say something once, by repeating it under the same key until it is acknowledged."""
        key = secrets.token_hex(8)
        over_http = self._random.random() < 0.5
        while True:
            try:
                send = self._send_http if over_http else self._send_socket
                if await send(talk, key, content):
                    return
            except AWAY:
                pass
            self.repeats += 1
            await asyncio.sleep(_PAUSE)

    async def _send_http(self, talk: Talk, key: str, content: str) -> bool:
        path = f"/api/conversations/{talk.id}/messages"
        body: dict[str, Any] = {"content": content}
        if content in self.painted:
            body["generate_image"] = True
        answer = await self._post(path, body, **{"Idempotency-Key": key})
        if answer.status_code not in (_ACCEPTED, _CONFLICT) and answer.status_code < 500:
            self.violations.append(f"sending was refused: {answer.status_code} {answer.text}")
        return answer.status_code == _ACCEPTED

    async def _send_socket(self, talk: Talk, key: str, content: str) -> bool:
        if self._socket is None:
            return False
        waiting = self._acknowledged[key] = asyncio.get_running_loop().create_future()
        try:
            paints = {"response": {"generate_image": True}} if content in self.painted else {}
            await self._socket.say(talk.id, content, event_id=key, **paints)
            async with asyncio.timeout(_ANSWER_SECONDS):
                return bool(await waiting)
        finally:
            del self._acknowledged[key]

    async def _wait_for_replies(self, talk: Talk) -> None:
        while len(talk.replies) < len(talk.said):
            talk.changed.clear()
            for response_id in tuple(talk.failed):
                await self._retry(talk, response_id)
            await talk.changed.wait()

    async def _retry(self, talk: Talk, response_id: str) -> None:
        """Ask again for a reply that failed, as a user would."""
        while response_id in talk.failed:
            with suppress(*AWAY):
                answer = await self._post(f"/api/responses/{response_id}/retry", {})
                if answer.status_code < 500:  # 409: an earlier retry was heard though its answer was lost
                    talk.failed.discard(response_id)
                    self.asked_again.add(response_id)
                    return
            await asyncio.sleep(_PAUSE)

    async def _post(self, path: str, body: dict[str, Any], **headers: str) -> httpx2.Response:
        url = self._random.choice(self._urls) + path
        return await self._client.http.post(url, json=body, headers=headers, timeout=_ANSWER_SECONDS)

    # Following

    async def _follow_forever(self) -> None:
        while True:
            web = self._random.randrange(len(self._urls))
            there = Client(self._urls[web])
            there.use(self._client.token)
            try:
                async with there.socket(**_SOCKET) as socket:
                    await self._follow(socket)
            except AWAY:
                pass
            except (AssertionError, KeyError) as error:
                self.violations.append(f"a delta did not fit: {error!r}"[:2000])
            finally:
                self._socket = None
                await there.close()
            await asyncio.sleep(self._random.uniform(0.05, _PAUSE))

    async def _follow(self, socket: Socket) -> None:
        self.connections += 1
        for talk in self._talks.values():
            await socket.send(type="conversation.subscribe", conversation_id=talk.id, after=talk.position)
        self._socket = socket
        while True:
            self._take(socket, await socket.receive(within=30))
            socket.frames.clear()

    def _take(self, socket: Socket, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "conversation.item.added":
            self._take_item(socket, frame)
        elif kind == "error":
            waiting = self._acknowledged.get(frame["error"].get("event_id", ""))
            if waiting is not None and not waiting.done():
                waiting.set_result(False)
        elif kind == "response.output_text.delta":
            self.streamed += 1
        elif kind in ("response.failed", "response.cancelled"):
            talk = self._talks[frame["conversation_id"]]
            talk.failed.add(frame["response"]["id"])
            talk.changed.set()

    def _take_item(self, socket: Socket, frame: dict[str, Any]) -> None:
        talk, item = self._talks[frame["conversation_id"]], frame["item"]
        waiting = self._acknowledged.get(frame.get("event_id", ""))
        if waiting is not None and not waiting.done():
            waiting.set_result(True)
        if item["position"] == talk.position + 1:
            talk.position += 1
        elif "event_id" not in frame:  # one that was sent before is acknowledged out of turn
            self.violations.append(f"{talk.id}: after {talk.position} came {item['position']}")
        if item["role"] == "assistant":
            self._take_reply(socket, talk, item)

    def _take_reply(self, socket: Socket, talk: Talk, item: dict[str, Any]) -> None:
        response_id, content = item["response_id"], item["content"]
        shown = socket.texts.pop(response_id, content)
        if shown != content:
            self.violations.append(f"{talk.id}: {shown!r} was shown and {content!r} is stored")
        if talk.replies.setdefault(response_id, content) != content:
            self.violations.append(f"{talk.id}: the reply {response_id} has changed")
        talk.failed.discard(response_id)
        talk.changed.set()


async def make_talkers(
    world: World, *, users: int, conversations: int, urls: list[str] | None = None, paints: float = 0.0
) -> list[Talker]:
    """Register users with so many conversations each.

    They talk through ``urls``, if not the webs' own, and ask for a picture with a share of their messages.
    """
    talkers = []
    for number in range(users):
        client = await world.client(number % len(world.urls))
        companion = (await client.companion())["id"]
        talks = [Talk((await client.conversation(companion))["id"]) for _ in range(conversations)]
        talkers.append(Talker(urls or world.urls, world.random, client, talks, paints=paints))
    return talkers


async def verdict_on(world: World, talkers: list[Talker]) -> Verdict:
    """Ask the oracle about all that they said."""
    said = {key: told for talker in talkers for key, told in talker.said.items()}
    asked_again = {each for talker in talkers for each in talker.asked_again}
    return await examine(world, said, asked_again=asked_again)
