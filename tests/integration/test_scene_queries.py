"""Versions of scenes in a real database: each is what was found so far, whatever was taken out or is late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import msgspec
import pytest

from hub.core.ids import new_id
from hub.db.engine import ENGINE
from hub.domain.companions import queries as companions
from hub.domain.scenes import queries as scenes
from hub.domain.scenes.analysis import Findings
from hub.domain.scenes.schemas import Scene, Setting
from tests.migration.conftest import engine_at
from tests.services.fixtures import migrated_database

FIRST = Scene(outfit="a coat", location="the hall", action="waiting", expression="neutral")


@pytest.fixture(scope="module")
async def migrated(postgres: str) -> str:
    return await migrated_database(postgres)


@dataclass
class Version:
    """What was found at one message, in the order in which it was found."""

    message_id: UUID
    conversation_id: UUID
    findings: list[Findings]


@dataclass
class Person:
    """A companion in the database, and what its scene should be."""

    id: UUID
    conversations: list[UUID]
    first: Scene = FIRST
    versions: list[Version] = field(default_factory=list)
    position: int = 0

    async def message(self, conversation_id: UUID) -> UUID:
        """Store a message of the companion."""
        message_id, self.position = new_id(), self.position + 1
        async with ENGINE.connection() as connection:
            await connection.execute(
                "INSERT INTO messages (id, conversation_id, position, role, content)"
                " VALUES ($1, $2, $3, 'assistant', '')",
                message_id,
                conversation_id,
                self.position,
            )
        return message_id

    async def as_of(self) -> datetime:
        """Return when the companion was changed last."""
        async with ENGINE.connection() as connection:
            changed: datetime = await connection.fetchval(
                "SELECT updated_at FROM companions WHERE id = $1", self.id
            )
        return changed

    @property
    def expected(self) -> dict[str, object]:
        """What was found last of each, over the first scene."""
        setting = {**msgspec.structs.asdict(self.first), "lighting": "", "is_user_present": False}
        setting["visual_tags"] = ()
        for version in self.versions:
            for findings in version.findings:
                said = msgspec.structs.asdict(findings)
                setting |= {name: value for name, value in said.items() if value not in ("", None)}
        return setting


def flat(setting: Setting) -> dict[str, object]:
    return {**msgspec.structs.asdict(setting.scene), **msgspec.structs.asdict(setting.details)}


async def person() -> Person:
    user_id, companion_id = new_id(), new_id()
    made = Person(companion_id, [new_id() for _ in range(3)])
    async with ENGINE.connection() as connection:
        await connection.execute(
            "INSERT INTO users (id, username, email, display_name, password_hash)"
            " VALUES ($1, $2, $3, '', '')",
            user_id,
            user_id.hex[-20:],
            f"{user_id}@example.org",
        )
        await connection.execute(
            "INSERT INTO companions (id, user_id, name) VALUES ($1, $2, 'Mira')", companion_id, user_id
        )
        await connection.executemany(
            "INSERT INTO conversations (id, user_id, companion_id) VALUES ($1, $2, $3)",
            [(each, user_id, companion_id) for each in made.conversations],
        )
    await companions.set_scene(companion_id, FIRST)
    return made


@pytest.fixture
async def mira(migrated: str) -> AsyncIterator[Person]:
    async with engine_at(migrated, pool_size=8):
        yield await person()


def some_findings(rng: random.Random) -> Findings:
    """Return findings that say something of a few things."""

    def line() -> str:
        return rng.choice(["", "", f"something {rng.randrange(100)}"])

    return Findings(
        outfit=line(),
        location=line(),
        action=line(),
        expression=line(),
        lighting=line(),
        is_user_present=rng.choice([None, True, False]),
        visual_tags=rng.choice([None, (), ("one", "two")]),
    )


async def step(mira: Person, rng: random.Random) -> None:
    """Do one of the things that change scenes, in the database and in what is expected."""
    choice, findings = rng.random(), some_findings(rng)
    async with ENGINE.transaction():
        if choice < 0.5 or not mira.versions:
            conversation_id = rng.choice(mira.conversations)
            message_id = await mira.message(conversation_id)
            await scenes.record(mira.id, message_id, findings, as_of=await mira.as_of())
            mira.versions.append(Version(message_id, conversation_id, [findings]))
        elif choice < 0.8:
            version = rng.choice(mira.versions)
            await scenes.amend(mira.id, version.message_id, findings)
            version.findings.append(findings)
        elif choice < 0.92:
            gone = rng.choice(mira.conversations)
            await scenes.forget_conversation(mira.id, gone)
            mira.versions = [each for each in mira.versions if each.conversation_id != gone]
        else:
            await scenes.forget(mira.id)
            mira.first = msgspec.structs.replace(FIRST, location=f"room {rng.randrange(100)}")
            await companions.set_scene(mira.id, mira.first)
            mira.versions = []


@pytest.mark.parametrize("seed", range(6))
async def test_the_scene_is_what_was_found_last_of_what_is_left(mira: Person, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(25):
        await step(mira, rng)
        assert flat((await scenes.settings_of([mira.id]))[mira.id]) == mira.expected


async def test_of_a_version_that_is_gone_nothing_comes_back(mira: Person) -> None:
    message_id = await mira.message(mira.conversations[0])
    async with ENGINE.transaction():
        await scenes.record(mira.id, message_id, Findings(location="the beach"), as_of=await mira.as_of())
    async with ENGINE.transaction():
        await scenes.forget(mira.id)
    async with ENGINE.transaction():
        await scenes.amend(mira.id, message_id, Findings(location="the pier"))
    assert flat((await scenes.settings_of([mira.id]))[mira.id]) == mira.expected


async def test_what_was_found_before_the_user_set_the_scene_does_not_count(mira: Person) -> None:
    as_of, message_id = await mira.as_of(), await mira.message(mira.conversations[0])
    await companions.set_scene(mira.id, mira.first)
    async with ENGINE.transaction():
        await scenes.record(mira.id, message_id, Findings(location="the beach"), as_of=as_of)
    assert flat((await scenes.settings_of([mira.id]))[mira.id]) == mira.expected
    async with ENGINE.transaction():  # but what is found after the message does
        await scenes.amend(mira.id, message_id, Findings(location="the pier"))
    assert (await scenes.settings_of([mira.id]))[mira.id].scene.location == "the pier"


async def test_each_follows_from_the_one_before_it_whoever_writes_at_the_same_time(mira: Person) -> None:
    as_of = await mira.as_of()

    async def write(number: int) -> None:
        rng = random.Random(number)
        async with ENGINE.transaction():
            message_id = await mira.message(mira.conversations[number % 3])
            await scenes.record(mira.id, message_id, some_findings(rng), as_of=as_of)
        async with ENGINE.transaction():
            await scenes.amend(mira.id, message_id, some_findings(rng))
        if number == 9:
            async with ENGINE.transaction():
                await scenes.forget_conversation(mira.id, mira.conversations[0])

    await asyncio.gather(*(write(number) for number in range(16)))
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "SELECT * FROM scenes WHERE companion_id = $1 ORDER BY sequence", mira.id
        )
    assert len(rows) >= 10
    for row in rows:
        findings = msgspec.json.decode(row["findings"], type=Findings)
        mira.versions.append(Version(row["message_id"], mira.id, [findings]))
        assert flat(scenes.setting_of(row)) == mira.expected
