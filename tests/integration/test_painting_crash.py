"""A hub that is killed or stopped while a server paints: the picture is made once in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.a1111 import FakeA1111, encoded
from tests.fakes.comfyui import FakeComfyUI, Run
from tests.fakes.openai_images import GENERATIONS, FakeOpenAIImages, drawn
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.picture_files import Store, gallery, picture
from tests.services.waiting import eventually


@pytest.fixture(scope="module")
async def crashing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HubServer]:
    """Yield a hub that is not started yet; its database is its own, so a start takes back all that ran."""
    hub = HubServer(
        tmp_path_factory.mktemp("crashing"),
        HUB_IMAGE_WIDTH="64",
        HUB_IMAGE_HEIGHT="64",
        **llm_settings("http://127.0.0.1:1/v1"),
    )
    yield hub
    hub.close()


class People:
    """Users of the hub, wherever it listens since its last start."""

    def __init__(self, hub: HubServer) -> None:
        self.hub = hub
        self.clients: list[Client] = []

    async def start(self, url: str, kind: str) -> None:
        """Start the hub anew, with this image server."""
        self.hub.settings |= {"HUB_SD_URL": url, "HUB_SD_KIND": kind}
        await self.hub.start()

    async def new(self) -> Client:
        """Return a new user."""
        self.clients.append(client := Client(self.hub.url))
        return await client.register()

    async def back(self, user: Client) -> Client:
        """Start the hub again and return the same user there."""
        await self.hub.start()
        self.clients.append(again := Client(self.hub.url))
        again.use(user.token)
        return again


@pytest.fixture
async def people(crashing: HubServer) -> AsyncIterator[People]:
    found = People(crashing)
    yield found
    for client in found.clients:
        await client.close()
    crashing.close()


async def is_there_once(hub: HubServer, user: Client, companion: str, job_id: str) -> dict[str, Any]:
    """Wait for the job's picture, and check that it is the only one and leaves nothing behind."""
    job = await user.done(job_id)
    assert job["status"] == "completed", job
    stored = (await gallery(user, companion))["items"]
    assert stored == [job["result"]]
    files = Store(hub).names(companion)
    assert len(files) == 2
    assert not list(Store(hub).temporary.iterdir())
    return job


async def test_a1111_paints_it_again_after_a_crash_and_after_a_stop(
    people: People, crashing: HubServer
) -> None:
    async with FakeA1111() as fake:
        fake.held = True
        await people.start(fake.url, "a1111")
        user = await people.new()
        companion = (await user.companion())["id"]
        job = await user.ask_image(companion)
        await fake.wait_for(lambda: fake.working, within=20)
        await crashing.kill()
        fake.finish()  # it paints on for nobody
        await fake.wait_for(lambda: not fake.working)
        user = await people.back(user)
        assert "job rescued" in crashing.output
        await fake.wait_for(lambda: fake.working, within=20)
        assert await crashing.stop() == 0
        assert "job handed over" in crashing.output
        assert (fake.interrupts, fake.working) == (1, False)
        fake.held = False
        user = await people.back(user)
        done = await is_there_once(crashing, user, companion, job["id"])
        seeds = [order["seed"] for order in fake.orders]
        assert seeds == [done["result"]["recipe"]["seed"]] * 3
        assert fake.overlaps == 0


async def test_comfyui_is_asked_for_the_same_work_after_a_crash_and_after_a_stop(
    people: People, crashing: HubServer
) -> None:
    async with FakeComfyUI() as fake:
        go = asyncio.Event()
        fake.runs.append(Run(halfway=go))
        fake.files = dict.fromkeys(fake.files, picture(1))
        await people.start(fake.url, "comfyui")
        user = await people.new()
        companion = (await user.companion())["id"]
        job = await user.ask_image(companion)
        await eventually(lambda: fake.running is not None)
        [work] = fake.made
        await crashing.kill()
        user = await people.back(user)
        await fake.wait_for("/queue")  # where the new attempt finds it
        assert await crashing.stop() == 0
        assert fake.count("/interrupt") == 0
        looks = fake.count("/queue")
        user = await people.back(user)
        await fake.wait_for("/queue", looks + 1)
        go.set()
        done = await is_there_once(crashing, user, companion, job["id"])
        assert fake.made == [work]
        assert fake.count("/prompt") == 1
        assert done["result"]["recipe"]["provider"] == "comfyui"


async def test_users_of_a_service_do_not_wait_for_each_other(people: People) -> None:
    async with FakeOpenAIImages() as fake:
        go = asyncio.Event()
        fake.script(replace(drawn({"b64_json": encoded(picture(1))}), before_head=[go]))
        await people.start(fake.url, "auto")
        slow, quick = await people.new(), await people.new()
        mine, theirs = (await slow.companion())["id"], (await quick.companion())["id"]
        first = await slow.ask_image(mine)
        await fake.wait_for(lambda: len(fake.at(GENERATIONS)) == 1, within=20)
        second = await slow.ask_image(mine)
        assert (await quick.paint(theirs))["result"]["recipe"]["provider"] == "openai"
        assert (await slow.job(first["id"]))["status"] == "in_progress"
        waiting = await slow.job(second["id"])
        assert (waiting["status"], waiting["position"]) == ("queued", 1)
        go.set()
        ended = [await slow.done(job["id"]) for job in (first, second)]
        assert [job["status"] for job in ended] == ["completed"] * 2
