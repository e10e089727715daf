"""A hub that reads scenes, and the servers it asks, told by what the user said what to find and to say."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from tests.fakes.a1111 import FakeA1111
from tests.fakes.llm import Body, FakeLLM
from tests.fakes.llm_script import Script, Step, answer, default_text, reply
from tests.services.fixtures import migrated_database
from tests.services.hub import Client, HubServer, Socket, llm_settings
from tests.services.world import query

When = Literal["before", "after"]

#: The scene of a new companion.
FIRST = {
    "outfit": "casual clothes",
    "location": "living room",
    "action": "looking at viewer",
    "expression": "neutral",
}


def found(*first: Step, **values: object) -> Script:
    """What a model says that found these values; ``first`` is played before."""
    return answer(json.dumps(values), first=first)


class SceneModel(FakeLLM):
    """A language model whose answers depend on what the user said last; unless told, it finds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._findings: defaultdict[tuple[str, str], deque[Script]] = defaultdict(deque)
        self._replies: defaultdict[str, deque[Script]] = defaultdict(deque)
        self.analysis = self._find
        self.default = self._reply

    def find(self, said: str, *, before: Script | None = None, after: Script | None = None) -> None:
        """Answer the next analysis before and after the reply to a message with these."""
        for when, script in (("before", before), ("after", after)):
            if script is not None:
                self._findings[when, said].append(script)

    def say(self, said: str, *scripts: Script) -> None:
        """Answer a message with these, one an attempt."""
        self._replies[said].extend(scripts)

    def asked(self, when: When, said: str) -> list[Body]:
        """Return the analyses that were asked for before or after the reply to a message, so far."""
        return [each.body for each in self.analyses if occasion(each.body) == (when, said)]

    async def was_asked(self, when: When, said: str) -> Body:
        """Wait until an analysis is asked for, and return it."""
        await self.wait_for(lambda: bool(self.asked(when, said)))
        return self.asked(when, said)[-1]

    async def was_told(self, said: str) -> Body:
        """Wait until the reply to a message is asked for, and return the request."""
        await self.wait_for(lambda: any(last_said(each.body) == said for each in self.chats))
        return next(each.body for each in reversed(self.chats) if last_said(each.body) == said)

    def _find(self, body: Body) -> Script:
        scripts = self._findings[occasion(body)]
        return scripts.popleft() if scripts else answer("{}")

    def _reply(self, body: Body) -> Script:
        scripts = self._replies[last_said(body)]
        return scripts.popleft() if scripts else reply(default_text(body))


def gated(said: str, gate: asyncio.Event) -> Script:
    """A reply that waits in the middle."""
    return reply([f"You said: “{said}”", " and I agree."], between={1: gate})


def paragraphs(body: Body) -> list[str]:
    """Return the messages of the talk that an analysis is about."""
    return content(body, "user").split("\n\n")


def occasion(body: Body) -> tuple[str, str]:
    """Return whether an analysis comes before or after a reply, and what the user said."""
    name, _, text = paragraphs(body)[-1].partition(": ")
    if name != "Mira":
        return "before", text
    said = re.search("“(.*)”", text)
    assert said, text
    return "after", said[1]


def last_said(body: Body) -> str:
    """Return the message that a reply is asked for."""
    return content(body, "user")


def content(body: Body, role: str) -> str:
    """Return the last message of a role."""
    messages = body["messages"]
    assert isinstance(messages, list)
    return str(next(each["content"] for each in reversed(messages) if each["role"] == role))


class SceneWorld:
    """A hub that reads scenes and has pictures made, and what its clients need to see."""

    def __init__(self, hub: HubServer, llm: SceneModel, images: FakeA1111) -> None:
        self.hub = hub
        self.llm = llm
        self.images = images

    async def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Run a statement in the hub's database."""
        return await query(self.hub.settings["HUB_DATABASE_URL"], sql, *values)

    async def read(self, *companion_ids: str) -> None:
        """Wait until no scene of these companions is to be read any more."""
        await self._ended("lane = ANY($1)", [f"scene:{each}" for each in companion_ids])

    async def at_rest(self) -> None:
        """Wait until nothing is under way for anybody."""
        await self._ended("kind <> $1", "maintenance")

    async def _ended(self, which: str, value: object) -> None:
        sql = f"SELECT kind, status FROM jobs WHERE status IN ('queued', 'in_progress') AND {which}"
        deadline = time.monotonic() + 30
        while jobs := await self.rows(sql, value):
            assert time.monotonic() < deadline, jobs
            await asyncio.sleep(0.02)

    async def left(self, companion_id: str) -> int:
        """Return how many rows there are of a companion's scenes."""
        return len(await self.rows("SELECT FROM scenes WHERE companion_id = $1", UUID(companion_id)))


class Talker:
    """A user who talks with one companion, and looks at its scene."""

    def __init__(self, world: SceneWorld, client: Client, companion_id: str) -> None:
        self.world = world
        self.client = client
        self.companion_id = companion_id
        self.path = f"/api/companions/{companion_id}"

    async def says(self, conversation_id: str, said: str, *, image: bool = False) -> dict[str, Any]:
        """Say something, and wait until it is answered and the scene read."""
        send = self.client.send_for_image if image else self.client.send
        response = await self.client.ended((await send(conversation_id, said))["response"]["id"])
        await self.world.read(self.companion_id)
        return response

    async def scene(self) -> dict[str, str]:
        """Return the scene as it stands."""
        answer = await self.client.http.get(self.path)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["scene"])

    async def set_scene(self, **scene: str) -> dict[str, str]:
        """Set a part of the scene and return what it is."""
        answer = await self.client.http.patch(self.path, json={"scene": scene})
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["scene"])

    async def wipe(self) -> dict[str, int]:
        """Forget all talks."""
        answer = await self.client.http.post(f"{self.path}/wipe")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def delete(self, conversation_id: str) -> None:
        """Delete a conversation."""
        answer = await self.client.http.delete(f"/api/conversations/{conversation_id}")
        assert answer.status_code == 204, answer.text


def scenes_told(socket: Socket) -> list[dict[str, str]]:
    """Return the scenes that a socket was told of."""
    return [frame["scene"] for frame in socket.seen("companion_hub.scene")]


@asynccontextmanager
async def scene_world(folder: Path, postgres: str, **settings: str) -> AsyncIterator[SceneWorld]:
    """Run a hub that reads scenes before and after replies, with small pictures."""
    async with SceneModel() as llm, FakeA1111() as images:
        hub = HubServer(
            folder,
            **{
                "HUB_DATABASE_URL": await migrated_database(postgres),
                **llm_settings(llm.url, HUB_LLM_TIMEOUT="30", HUB_SCENE_ANALYSIS="auto"),
                "HUB_SD_URL": images.url,
                "HUB_SD_KIND": "a1111",
                "HUB_IMAGE_WIDTH": "128",
                "HUB_IMAGE_HEIGHT": "128",
                "HUB_IMAGE_FORMAT": "jpeg",
                **settings,
            },
        )
        try:
            await hub.start()
            yield SceneWorld(hub, llm, images)
        finally:
            hub.close()


@asynccontextmanager
async def talker(world: SceneWorld, **companion: str) -> AsyncIterator[Talker]:
    """Yield a new user with a companion."""
    client = await Client(world.hub.url).register()
    try:
        yield Talker(world, client, (await client.companion(**companion))["id"])
    finally:
        await client.close()


def changed(*findings: Mapping[str, str], first: Mapping[str, str] = FIRST) -> dict[str, str]:
    """Return a scene after these findings."""
    scene = dict(first)
    for each in findings:
        scene |= {name: value for name, value in each.items() if name in first}
    return scene


def kinds(frames: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the types of frames."""
    return [str(frame["type"]) for frame in frames]
