"""Wipes: by users among kills, and against everything that may just be ending."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from typing import Any
from uuid import UUID

import asyncpg

from tests.chaos.progress import Progress
from tests.chaos.report import Finding, none_of
from tests.chaos.sizes import Size
from tests.chaos.talker import AWAY
from tests.chaos.whole import ask, at_rest
from tests.chaos.world import World, at_most
from tests.services.hub import Client

_PAUSE = 0.2
_PATIENCE = 60.0
_SIDE_BY_SIDE = 8
#: Seconds after the messages within which a race's wipe comes: reply, scene and picture end in these.
_LONGEST = 1.2
#: Seconds that a picture takes at most here, so that wipes meet some in their middle.
_SLOW = 0.4

# What a wiped companion has none of; jobs that have ended are remembered.
_LEFT = """
SELECT companions.id,
    (SELECT count(*) FROM messages JOIN conversations ON conversations.id = conversation_id
        WHERE companion_id = companions.id) AS messages,
    (SELECT count(*) FROM responses JOIN conversations ON conversations.id = conversation_id
        WHERE companion_id = companions.id) AS responses,
    (SELECT count(*) FROM images WHERE companion_id = companions.id) AS images,
    (SELECT count(*) FROM scenes WHERE companion_id = companions.id) AS scenes,
    (SELECT count(*) FROM image_requests WHERE companion_id = companions.id) AS requests,
    (outfit, location, action) IS DISTINCT FROM (default_outfit, 'living room', 'looking at viewer') AS scene
FROM companions WHERE id = ANY($1)
"""


async def left_of(world: World, companions: list[str]) -> list[str]:
    """Return what is left of companions whose last wipe was confirmed after all else."""
    rows = await ask(world, _LEFT, [UUID(each) for each in companions])
    gone = len(companions) - len(rows)
    return [str(row) for row in rows if any(list(row.values())[1:])] + ["a companion is gone"] * gone


class Wiper:
    """A user who talks, asks for pictures and wipes all of it, whatever is killed meanwhile."""

    def __init__(self, world: World, client: Client, companion_id: str, conversation_id: str) -> None:
        self.companion_id = companion_id
        self.wipes = 0
        self.wrong: list[str] = []
        self._world = world
        self._client = client
        self._conversation_id = conversation_id

    async def live(self, times: int) -> None:
        """Talk and wipe so often; after each wipe nothing may be there, for nobody talks then."""
        for _ in range(times):
            path = f"/api/conversations/{self._conversation_id}/messages"
            for _ in range(self._world.random.randint(1, 3)):
                body = {"content": f"Forget me {secrets.token_hex(4)}", "generate_image": True}
                await self._insist(path, body, 202, **{"Idempotency-Key": secrets.token_hex(8)})
            await asyncio.sleep(self._world.random.uniform(0, _LONGEST))
            await self._insist(f"/api/companions/{self.companion_id}/wipe", None, 200)
            self.wipes += 1
            self.wrong += await left_of(self._world, [self.companion_id])

    async def _insist(self, path: str, body: dict[str, Any] | None, status: int, **headers: str) -> None:
        """Ask until it is answered; sent twice it is the same, by its key or since nothing is left."""
        while True:
            url = self._world.random.choice(self._world.urls) + path
            try:
                answer = await self._client.http.post(url, json=body, headers=headers, timeout=5)
            except AWAY:
                await asyncio.sleep(_PAUSE)
                continue
            if answer.status_code == status:
                return
            if answer.status_code < 500 and answer.status_code != 409:
                self.wrong.append(f"{path}: {answer.status_code} {answer.text}")
                return
            await asyncio.sleep(_PAUSE)


async def make_wipers(world: World, count: int) -> list[Wiper]:
    """Register users with one companion and one conversation each."""
    wipers = []
    for number in range(count):
        client = await world.client(number % len(world.urls))
        companion_id = (await client.companion())["id"]
        wipers.append(Wiper(world, client, companion_id, (await client.conversation(companion_id))["id"]))
    return wipers


# Races

# Notes what goes from messages, pictures and jobs, by companion.
_WATCH = """
CREATE TABLE chaos_gone (what text, companion_id uuid);
CREATE TABLE chaos_made (seed bigint);
CREATE FUNCTION chaos_message() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos_gone SELECT 'messages', companion_id FROM conversations WHERE id = OLD.conversation_id;
    RETURN NULL; END $$;
CREATE FUNCTION chaos_image() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos_gone VALUES ('images', OLD.companion_id);
    RETURN NULL; END $$;
CREATE FUNCTION chaos_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos_gone SELECT 'jobs_cancelled', COALESCE(
        (SELECT companion_id FROM image_requests WHERE id = NEW.id),
        (SELECT companion_id FROM conversations WHERE NEW.lane = 'conversation:' || id),
        (SELECT id FROM companions WHERE NEW.lane = 'scene:' || id));
    RETURN NULL; END $$;
CREATE FUNCTION chaos_made() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos_made SELECT seed FROM image_requests WHERE id = NEW.id;
    RETURN NULL; END $$;
CREATE TRIGGER chaos_message AFTER DELETE ON messages FOR EACH ROW EXECUTE FUNCTION chaos_message();
CREATE TRIGGER chaos_image AFTER DELETE ON images FOR EACH ROW EXECUTE FUNCTION chaos_image();
CREATE TRIGGER chaos_job AFTER UPDATE ON jobs FOR EACH ROW
    WHEN (NEW.status = 'cancelled' AND OLD.status <> 'cancelled') EXECUTE FUNCTION chaos_job();
CREATE TRIGGER chaos_made AFTER UPDATE ON jobs FOR EACH ROW
    WHEN (NEW.status = 'completed' AND NEW.kind = 'image') EXECUTE FUNCTION chaos_made();
"""
_UNWATCH = """
DROP FUNCTION chaos_message CASCADE; DROP FUNCTION chaos_image CASCADE; DROP FUNCTION chaos_job CASCADE;
DROP FUNCTION chaos_made CASCADE; DROP TABLE chaos_gone; DROP TABLE chaos_made;
"""
_COUNTED = ("messages", "images", "jobs_cancelled")


async def races(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Wipe companions at whatever moment of a reply, the reading of its scene, and pictures."""
    count = size.of(30, 1_000)
    world.painter.forget()
    clients = [await world.client(number % len(world.urls)) for number in range(_SIDE_BY_SIDE)]
    receipts: dict[str, dict[str, int]] = {}

    async def race() -> None:
        client = clients.pop()
        try:
            companion_id, receipt = await _race(world, client)
            receipts[companion_id] = receipt
        finally:
            clients.append(client)
        progress.add()

    usual, world.painter.slowest = world.painter.slowest, _SLOW
    await _execute(world, _WATCH)
    try:
        async with progress.of(count, "races of wipe and work"):
            await at_most(_SIDE_BY_SIDE, [race] * count)
            stuck = await at_rest(world, within=_PATIENCE)
        rows = await world.query("SELECT what, companion_id, count(*) FROM chaos_gone GROUP BY 1, 2")
        made = {row["seed"] for row in await world.query("SELECT seed FROM chaos_made")}
    finally:
        world.painter.slowest = usual
        await _execute(world, _UNWATCH)
    went = {(str(row["companion_id"]), row["what"]): row["count"] for row in rows}
    differ = [
        f"{companion_id}: {name} {receipt[name]} on the receipt, {went.get((companion_id, name), 0)} went"
        for companion_id, receipt in receipts.items()
        for name in _COUNTED
        if receipt[name] != went.get((companion_id, name), 0)
    ]
    totals = Counter[str]()
    for receipt in receipts.values():
        totals.update(receipt)
    done = f"{count:,} races: {', '.join(f'{totals[name]:,} {name}' for name in _COUNTED)}"
    # One that was wiped is let go of while its worker still stops it: only of others it is a fault.
    together = [f"{later} while {earlier}" for earlier, later in world.painter.together if earlier in made]
    stopping = f"{len(world.painter.together)} calls while one that was wiped was being stopped"
    halves = [f"seed {each}" for each in made & world.painter.stopped]
    return [
        none_of("a wipe leaves nothing behind", done, await left_of(world, list(receipts)), what="left"),
        none_of("its receipt counts what went", done, differ, what="differences"),
        none_of("work on what was wiped ends", done, stuck, what="stuck"),
        none_of(
            "live workers do not call AUTOMATIC1111 together",
            done,
            together,
            what="calls together",
            details=(stopping,),
        ),
        none_of(
            "a wipe stops nobody else's picture",
            f"{len(made):,} pictures made, {len(world.painter.stopped):,} stopped",
            halves,
            what="half done",
        ),
        Finding(
            promise="wipes win and lose",
            done=done,
            found=", ".join(f"{totals[name]:,}" for name in _COUNTED),
            goal="some of each",
            met=size is Size.SHORT or all(totals[name] for name in _COUNTED),
        ),
    ]


async def _race(world: World, client: Client) -> tuple[str, dict[str, int]]:
    companion_id = (await client.companion())["id"]
    conversation_id = (await client.conversation(companion_id))["id"]
    await client.send_for_image(conversation_id, "Paint what I must forget")
    if world.random.random() < 0.5:
        await client.send(conversation_id, "And this")
    else:
        await client.ask_image(companion_id, prompt="Us")
    await asyncio.sleep(world.random.uniform(0, _LONGEST))
    answer = await client.http.post(f"/api/companions/{companion_id}/wipe")
    assert answer.status_code == 200, answer.text
    return companion_id, answer.json()


async def _execute(world: World, script: str) -> None:
    connection = await asyncpg.connect(world.postgres.dsn)
    try:
        await connection.execute(script)
    finally:
        await connection.close()
