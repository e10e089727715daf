"""One image server that takes no overlapping calls, two workers over RabbitMQ, and users who want much."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from tests.acceptance.conftest import at
from tests.fakes.a1111 import FakeA1111
from tests.fakes.llm import FakeLLM
from tests.services.fixtures import migrated_database
from tests.services.hub import Client, HubServer
from tests.services.picture_files import gallery
from tests.services.rabbitmq import RabbitMQNode
from tests.services.world import query, within

QUEUE = "hub.image"
#: Requests of each user, and how long the server works on one, in seconds.
EACH, SECONDS = 10, 0.05
#: Seconds from the end of a lease to the picture, on a busy machine.
RESCUED = 20.0
LANE_IS_KEPT = "SELECT lease_until > now() AS kept FROM jobs WHERE id = $1"


@dataclass
class Studio:
    """A web and two workers, and the image server that they share."""

    web: HubServer
    workers: list[HubServer]
    database: str
    fake: FakeA1111

    async def worker_of(self, job_id: str) -> HubServer:
        """Return the worker that has a job."""
        rows = await query(self.database, "SELECT worker FROM jobs WHERE id = $1", UUID(job_id))
        return next(each for each in self.workers if str(rows[0]["worker"]).endswith(f":{each.pid}"))

    async def let_lease_end(self, job_id: str) -> None:
        """Make it so that the worker has been silent for as long as a lease lasts."""
        sql = "UPDATE jobs SET lease_until = now() - interval '1 second' WHERE id = $1"
        await query(self.database, sql, UUID(job_id))

    async def done(self, user: Client, job_id: str) -> dict[str, Any]:
        """Wait for the end of a job, of which perhaps one was told who does not hear."""

        async def ended() -> dict[str, Any] | None:
            unheard = (
                "UPDATE jobs SET published_at = now() - interval '16 seconds'"
                " WHERE id = $1 AND status = 'queued' AND published_at < now() - interval '1 second'"
            )
            await query(self.database, unheard, UUID(job_id))
            job = await user.job(job_id)
            return job if job["completed_at"] else None

        return await within(RESCUED, ended)


@pytest.fixture(scope="module")
async def studio(
    postgres: str, rabbitmq: RabbitMQNode, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Studio]:
    """Yield it with its server at work."""
    folder = tmp_path_factory.mktemp("studio")
    database = await migrated_database(postgres)
    rabbitmq.purge(QUEUE)
    async with FakeLLM() as llm, FakeA1111() as fake:
        settings = {
            **at(llm),
            "HUB_DATABASE_URL": database,
            "HUB_BROKER_URL": rabbitmq.url,
            "HUB_DATA_DIR": str(folder / "data"),
            "HUB_SECRET_KEY": "the same in all processes of this hub",
            "HUB_SD_URL": fake.url,
            "HUB_SD_KIND": "a1111",
            "HUB_IMAGE_WIDTH": "64",
            "HUB_IMAGE_HEIGHT": "64",
        }
        web = HubServer(folder / "web", "web", **settings)
        workers = [HubServer(folder / f"worker{number}", "worker", **settings) for number in range(2)]
        try:
            await asyncio.gather(*(server.start() for server in (web, *workers)))
            yield Studio(web, workers, database, fake)
        finally:
            for server in (web, *workers):
                server.close()


@dataclass
class Wish:
    """A user who wants pictures of one companion, named in all prompts."""

    name: str
    client: Client
    companion: str

    async def ask(self) -> str:
        """Ask for one and return its job's id."""
        return str((await self.client.ask_image(self.companion, prompt=f"for {self.name}"))["id"])


@asynccontextmanager
async def wishing(studio: Studio, *names: str) -> AsyncIterator[list[Wish]]:
    """Yield so many users."""
    async with AsyncExitStack() as stack:
        found = []
        for name in names:
            client = await Client(studio.web.url).register()
            stack.push_async_callback(client.close)
            found.append(Wish(name, client, (await client.companion())["id"]))
        yield found


def served(fake: FakeA1111, names: list[str], *, since: int) -> list[str]:
    """Return whose pictures the server was asked for since then, in order."""
    prompts = [str(order["prompt"]) for order in fake.orders[since:]]
    return [next(name for name in names if f"for {name}" in prompt) for prompt in prompts]


async def hold_next(fake: FakeA1111) -> int:
    """Let the server stand still at the next picture, and return how many it was asked for by then."""
    fake.held = True
    await fake.wait_for(lambda: fake.working, within=20)
    so_far = len(fake.orders)
    fake.finish()
    await fake.wait_for(lambda: len(fake.orders) > so_far and fake.working, within=20)
    return len(fake.orders)


async def test_users_are_served_in_turn_and_no_two_calls_overlap(studio: Studio) -> None:
    fake, names = studio.fake, ["ada", "bob", "cleo"]
    fake.held = True
    async with wishing(studio, *names, "dora") as wishes:
        *three, late = wishes
        jobs = [(each, await each.ask()) for each in three for _ in range(EACH)]
        await fake.wait_for(lambda: fake.working)
        fake.held, fake.seconds = False, SECONDS
        fake.finish()
        await fake.wait_for(lambda: len(fake.orders) >= EACH, within=30)
        before = await hold_next(fake)
        jobs.append((late, await late.ask()))
        fake.held = False
        fake.finish()
        done = {job_id: await each.client.done(job_id, within=60) for each, job_id in jobs}
        assert {job["status"] for job in done.values()} == {"completed"}
        order = served(fake, [*names, "dora"], since=0)
        assert Counter(order) == {**dict.fromkeys(names, EACH), "dora": 1}
        served_late = order.index("dora")
        assert served_late < before + len(names), "a newcomer waits for nobody's second"
        order.remove("dora")
        for end in range(1, len(order) + 1):
            counts = Counter(order[:end])
            assert max(counts.values()) - min(counts[name] for name in names) <= 1, order
        ended = sorted(
            ((job["completed_at"], each.name) for (each, _), job in zip(jobs, done.values(), strict=True))
        )
        assert [name for _, name in ended if name != "dora"] == order
        assert fake.overlaps == 0

        async def logged() -> list[int] | None:  # a line comes after its job's end
            used = [each.output.count("image generation completed") for each in studio.workers]
            return used if sum(used) >= len(jobs) else None

        used = await within(5, logged)
        assert sum(used) == len(jobs)
        assert min(used) > 0, "both workers took their share"


@asynccontextmanager
async def one_held(studio: Studio) -> AsyncIterator[tuple[Wish, str, HubServer]]:
    """Yield a user, their job that the server works on, and the worker that waits for it."""
    fake = studio.fake
    fake.held = True
    try:
        async with wishing(studio, "eve") as [eve]:
            job_id = await eve.ask()
            await fake.wait_for(lambda: fake.working, within=20)
            yield eve, job_id, await studio.worker_of(job_id)
    finally:
        fake.held, fake.seconds = False, 0.0
        fake.finish()


async def is_stored_once(eve: Wish, job: dict[str, Any]) -> None:
    assert job["status"] == "completed", job
    assert (await gallery(eve.client, eve.companion))["items"] == [job["result"]]


async def test_a_worker_that_is_killed_is_replaced(studio: Studio) -> None:
    async with one_held(studio) as (eve, job_id, worker):
        asked = len(studio.fake.orders)
        await worker.kill()
        studio.fake.held = False
        studio.fake.finish()  # it paints on for nobody
        await studio.let_lease_end(job_id)
        await is_stored_once(eve, await studio.done(eve.client, job_id))
        assert len(studio.fake.orders) == asked + 1
        await worker.start()


async def test_a_worker_that_stops_hands_over_at_once(studio: Studio) -> None:
    async with one_held(studio) as (eve, job_id, worker):
        studio.fake.held, interrupts = False, studio.fake.interrupts
        assert await worker.stop() == 0
        await is_stored_once(eve, await eve.client.done(job_id, within=10))
        assert studio.fake.interrupts == interrupts + 1
        assert studio.fake.overlaps == 0
        await worker.start()


async def test_a_frozen_worker_stores_nothing(studio: Studio) -> None:
    async with one_held(studio) as (eve, job_id, worker):
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            studio.fake.held = False
            studio.fake.finish()  # its picture waits in its socket
            await studio.let_lease_end(job_id)
            job = await studio.done(eve.client, job_id)
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        await worker.wait_for("job dropped, it was taken away")
        await is_stored_once(eve, job)
        assert await eve.client.job(job_id) == job


async def test_what_is_cancelled_keeps_the_lane_until_the_server_has_stopped(studio: Studio) -> None:
    fake = studio.fake
    async with one_held(studio) as (eve, job_id, worker):
        asked, interrupts, fake.stop_seconds = len(fake.orders), fake.interrupts, 1.0
        try:
            next_ones = [await eve.ask() for _ in range(2)]
            fake.held = False
            os.kill(worker.pid, signal.SIGSTOP)  # it hears of the cancel late: the other one must not begin
            try:
                cancelled = await eve.client.http.post(f"/api/jobs/{job_id}/cancel")
                assert cancelled.json()["status"] == "cancelled"
                rows = await query(studio.database, LANE_IS_KEPT, UUID(job_id))
                assert rows[0]["kept"]
            finally:
                os.kill(worker.pid, signal.SIGCONT)
            for each in next_ones:
                assert (await studio.done(eve.client, each))["status"] == "completed"
        finally:
            fake.stop_seconds = 0.0
    assert (len(fake.orders), fake.interrupts) == (asked + 2, interrupts + 1)
    assert fake.overlaps == 0
