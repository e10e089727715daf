"""Whatever is done to a talk, in any order: who follows it, with breaks, ends with what is stored."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import asyncpg
import pytest

from tests.services.edits import Editor
from tests.services.hub import Client, HubServer, Socket
from tests.services.oracle import disagreements

STEPS = 40
#: What may come of a step: another one was faster, or there is nothing to do it to.
FINE = {200, 202, 204, 404, 409}


class Follower:
    """A client that keeps what it is told, and remembers a position and a revision for when it comes back."""

    def __init__(self, talk: Editor) -> None:
        self._talk = talk
        self.items: dict[int, dict[str, Any]] = {}
        self._after = 0
        self._revision: int | None = None
        self._task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Follow from where it was."""
        await self.leave()
        self._task = asyncio.create_task(self._follow())

    async def leave(self) -> None:
        """Close the connection, wherever it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        known = {} if self._revision is None else {"revision": self._revision}
        async with self._talk.client.socket() as socket:
            await self._take(socket, await socket.subscribe(self._talk.id, after=self._after, **known))
            while True:
                await self._take(socket, await socket.receive(within=60))

    async def _take(self, socket: Socket, frame: dict[str, Any]) -> None:
        assert frame["type"] != "error", socket.frames
        if frame["type"] in ("conversation.item.added", "companion_hub.item.updated"):
            self.items[frame["item"]["position"]] = frame["item"]
            self._after = max(self._after, frame["item"]["position"])
        elif frame["type"] == "companion_hub.resync":
            self.items = {each["position"]: each for each in await self._talk.messages()}
            self._after = frame["last_position"]
        self._revision = frame.get("revision", self._revision)

    async def agrees(self, *, within: float) -> None:
        """Wait until what it has is what is stored."""
        deadline = time.monotonic() + within
        while [self.items[each] for each in sorted(self.items)] != (stored := await self._talk.messages()):
            assert self._task is not None
            assert not self._task.done(), self._task
            assert time.monotonic() < deadline, (self.items, stored)
            await asyncio.sleep(0.05)


class Changer:
    """Does one thing after the other to a talk, without waiting for what comes of it."""

    def __init__(self, talk: Editor, rng: random.Random) -> None:
        self._talk = talk
        self._rng = rng

    async def step(self) -> None:
        """Do something."""
        http, rng = self._talk.client.http, self._rng
        messages = await self._talk.messages()
        if not messages or rng.random() < 0.25:
            await self._talk.client.send(self._talk.id, f"Say {rng.random()}")
            return
        if rng.random() < 0.4:
            answer = await self._talk.ask(rng.choice(("regenerate", "continue", "reply")))
            if answer.status_code == 202 and rng.random() < 0.3:
                response = f"/api/responses/{answer.json()['id']}"
                await http.post(f"{response}/cancel")
                answer = await http.post(f"{response}/retry")
            assert answer.status_code in FINE, answer.text
            return
        own = f"/api/messages/{rng.choice(messages)['id']}"
        answer = await rng.choice(
            (
                lambda: http.patch(own, json={"content": f"Edited {rng.random()}"}),
                lambda: http.post(f"{own}/alternatives/{rng.randrange(1, 4)}/choose"),
                lambda: http.delete(own, params={"following": rng.random() < 0.2}),
            )
        )()
        assert answer.status_code in FINE, answer.text


@pytest.mark.parametrize("seed", range(3))
async def test_a_follower_ends_with_what_is_stored(client: Client, hub: HubServer, seed: int) -> None:
    rng = random.Random(seed)
    talk = await Editor.of(client, "One", "Two", greeting="Welcome!")
    followers = [Follower(talk) for _ in range(2)]
    for follower in followers:
        await follower.connect()
    changer = Changer(talk, rng)
    for _ in range(STEPS):
        await asyncio.gather(*(changer.step() for _ in range(rng.choice((1, 1, 2)))))
        if rng.random() < 0.15:  # the first one only stays
            await followers[1].connect()
    for follower in followers:
        await follower.agrees(within=30)
        await follower.leave()
    database = await asyncpg.connect(hub.settings["HUB_DATABASE_URL"])
    try:
        # Greetings are nobody's response, and positions have gaps where messages were taken out.
        known = ("positions", "a reply belongs to no response")
        found = [each for each in await disagreements(database, at_rest=False) if not each.startswith(known)]
    finally:
        await database.close()
    assert found == []
