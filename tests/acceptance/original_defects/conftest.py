"""A hub with everything on, for the tests that the defects of the original are not in it.

It reads scenes before and after each reply, has an image server, and counts pictures.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from uuid import UUID

import pytest

from tests.fakes.a1111 import FakeA1111
from tests.fakes.llm import Body, FakeLLM
from tests.fakes.llm_script import Script, Step, answer
from tests.integration.conftest import Answers, prompt
from tests.migration.conftest import engine_at
from tests.services.fixtures import new_user, running_hub
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.picture_files import Store
from tests.services.waiting import eventually
from tests.services.world import within

IMAGES_PER_HOUR = 4
MESSAGE_LENGTH = 2000
TEXT = "Moss is patient ☕, and so am I: it grows a little every day."


class Analyses:
    """What the model finds in the scene, by the message that was said last; else nothing new."""

    def __init__(self, model: FakeLLM) -> None:
        self._model = model
        self._scripts: dict[str, deque[Script]] = {}

    def give(self, said: str, found: Mapping[str, str], *, after: Step | None = None) -> None:
        """Find this after a message; ``after`` is waited for first."""
        first = [] if after is None else [after]
        self._scripts.setdefault(said, deque()).append(answer(json.dumps(found), first=first))

    def choose(self, body: Body) -> Script:
        """Return the script for a request."""
        scripts = self._scripts.get(last_told(body))
        return scripts.popleft() if scripts else answer("{}")

    def asked(self, said: str) -> bool:
        """Tell whether the scene after a message is being read, or was."""
        return any(last_told(each.body) == said for each in self._model.analyses)

    async def are_asked(self, *said: str) -> None:
        """Wait until the scene after each of these messages is being read."""
        await eventually(lambda: all(self.asked(each) for each in said))


def last_told(body: Body) -> str:
    """Return the message of the talk that an analysis is told last, without the speaker's name."""
    return prompt(body)[-1][1].split("\n\n")[-1].split(": ", 1)[-1]


async def scene_of(client: Client, companion_id: str) -> dict[str, Any]:
    """Return the scene as it is now."""
    return dict((await client.http.get(f"/api/companions/{companion_id}")).json()["scene"])


async def jobs_of(files: Store, client: Client, kind: str = "image") -> int:
    """Return how many jobs of a kind a user has ever had."""
    sql = "SELECT count(*) FROM jobs WHERE user_id = $1 AND kind = $2"
    return int((await files.database(sql, UUID(client.user["id"]), kind))[0]["count"])


async def all_painted(client: Client, files: Store) -> int:
    """Wait until all work for a user is done; return how many pictures were asked for."""

    async def look() -> bool | None:
        sql = "SELECT count(*) FROM jobs WHERE user_id = $1 AND status IN ('queued', 'in_progress')"
        return (await files.database(sql, UUID(client.user["id"])))[0]["count"] == 0 or None

    await within(30, look)
    return await jobs_of(files, client)


@pytest.fixture(scope="session")
async def model() -> AsyncIterator[FakeLLM]:
    """Yield the language model's server."""
    async with FakeLLM() as fake:
        yield fake


@pytest.fixture(scope="session")
async def easel() -> AsyncIterator[FakeA1111]:
    """Yield the image server."""
    async with FakeA1111() as fake:
        yield fake


@pytest.fixture(scope="session")
async def house(
    postgres: str, model: FakeLLM, easel: FakeA1111, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HubServer]:
    """Yield the hub."""
    async with running_hub(
        tmp_path_factory.mktemp("house"),
        postgres,
        HUB_LIMITS="on",
        HUB_IMAGES_PER_HOUR=str(IMAGES_PER_HOUR),
        HUB_REGISTRATIONS_PER_DAY="1000",
        HUB_MESSAGE_MAX_LENGTH=str(MESSAGE_LENGTH),
        HUB_SD_URL=easel.url,
        HUB_SD_KIND="a1111",
        HUB_IMAGE_WIDTH="64",
        HUB_IMAGE_HEIGHT="96",
        HUB_SCENE_TIMEOUT="30",
        **llm_settings(model.url, HUB_LLM_TIMEOUT="60", HUB_SCENE_ANALYSIS="both"),
    ) as server:
        yield server


@pytest.fixture
def files(house: HubServer) -> Store:
    """Return the hub's files, rows and commands."""
    return Store(house)


@pytest.fixture
async def cellar(files: Store) -> AsyncIterator[Store]:
    """Yield them with this process's engine open, so that it can collect too."""
    async with engine_at(files.server.settings["HUB_DATABASE_URL"], pool_size=2):
        yield files


@pytest.fixture
def replies(model: FakeLLM) -> Answers:
    """Return what the model says to which message."""
    scripted = Answers()
    model.default = scripted.choose
    return scripted


@pytest.fixture
def analyses(model: FakeLLM) -> Analyses:
    """Return what the model finds after which message."""
    scripted = Analyses(model)
    model.analysis = scripted.choose
    return scripted


@pytest.fixture
def held(easel: FakeA1111) -> Iterator[FakeA1111]:
    """Yield the image server, which gets nothing done until ``finish()``, and afterwards as usual."""
    easel.held = True
    yield easel
    easel.held = False
    easel.finish()


@pytest.fixture
async def ada(house: HubServer) -> AsyncIterator[Client]:
    """Yield a user."""
    async with new_user(house) as user:
        yield user


@pytest.fixture
async def ben(house: HubServer) -> AsyncIterator[Client]:
    """Yield another user."""
    async with new_user(house) as user:
        yield user


@pytest.fixture
def go() -> asyncio.Event:
    """Return what somebody waits for."""
    return asyncio.Event()
