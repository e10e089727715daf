"""What chaos happens to: two webs, two workers, a RabbitMQ and a PostgreSQL, all of them killable."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from tests.chaos.painter import BusyPainter
from tests.chaos.postgres import PostgresNode
from tests.chaos.progress import Progress
from tests.fakes.llm import Body, FakeLLM
from tests.fakes.llm_script import Script, default_text, reply
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.oracle import disagreements
from tests.services.ports import free_ports
from tests.services.rabbitmq import RabbitMQNode
from tests.services.world import query

T = TypeVar("T")

QUEUE = "hub.reply"


@dataclass
class World:
    """A running cluster, the language model that it asks, and the chance that decides what happens."""

    postgres: PostgresNode
    rabbitmq: RabbitMQNode
    webs: list[HubServer]
    workers: list[HubServer]
    fake: FakeLLM
    painter: BusyPainter
    random: random.Random
    clients: list[Client] = field(default_factory=list)

    @property
    def urls(self) -> list[str]:
        """The addresses of the webs; they stay the same however often a web is started."""
        return [f"http://127.0.0.1:{web.settings['HUB_PORT']}" for web in self.webs]

    async def client(self, web: int = 0) -> Client:
        """Register a new user."""
        client = await Client(self.urls[web]).register()
        self.clients.append(client)
        return client

    def beside(self, client: Client, web: int = 1) -> Client:
        """Return the same user at another web."""
        other = Client(self.urls[web])
        other.use(client.token)
        self.clients.append(other)
        return other

    async def query(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Run one statement in the hub's database."""
        return await query(self.postgres.dsn, sql, *values)

    async def disagreements(self) -> list[str]:
        """Return where rows contradict each other, now that nothing goes on any more."""
        connection = await asyncpg.connect(self.postgres.dsn)
        try:
            return await disagreements(connection)
        finally:
            await connection.close()

    async def job(self, response_id: str) -> dict[str, Any]:
        """Return the job of a response."""
        sql = "SELECT jobs.* FROM jobs JOIN responses ON jobs.id = job_id WHERE responses.id = $1"
        return (await self.query(sql, UUID(response_id)))[0]

    async def ended(
        self, response_ids: list[str], *, within: float, progress: Progress | None = None
    ) -> dict[str, str]:
        """Wait until all of these responses have ended and return their statuses.

        Raises:
            AssertionError: some have not, ``within`` seconds from now.
        """
        ids, deadline = [UUID(each) for each in response_ids], time.monotonic() + within
        while True:
            rows = await self.query("SELECT id, status FROM responses WHERE id = ANY($1)", ids)
            open_ones = [row for row in rows if row["status"] in ("queued", "in_progress")]
            if progress is not None:
                progress.done = len(rows) - len(open_ones)
            if not open_ones:
                return {str(row["id"]): row["status"] for row in rows}
            assert time.monotonic() < deadline, f"{len(open_ones)} have not ended within {within:g} s"
            await asyncio.sleep(0.1)

    def worker_named(self, name: str) -> HubServer:
        """Return the worker that calls itself so in the jobs it has claimed."""
        return next(each for each in self.workers if name.endswith(f":{each.pid}"))

    async def ring_again(self) -> None:
        """Make it so that what was published for waiting jobs was so for longer than is believed."""
        await self.query(
            "UPDATE jobs SET published_at = now() - interval '1 minute'"
            " WHERE status = 'queued' AND published_at IS NOT NULL"
        )

    async def end_leases(self, pid: int) -> None:
        """Make it so that the worker with this process id was silent for as long as a lease lasts."""
        await self.query(
            "UPDATE jobs SET lease_until = now() - interval '1 second'"
            " WHERE status = 'in_progress' AND worker LIKE $1",
            f"%:{pid}",
        )


def echo(body: Body) -> Script:
    """Answer with the user's words, as fast as they can be read."""
    return reply(default_text(body))


def last_said(body: Body) -> str:
    """Return what the user said last in a request to the model."""
    messages = body["messages"]
    assert isinstance(messages, list)
    return next((str(each["content"]) for each in reversed(messages) if each["role"] == "user"), "")


@asynccontextmanager
async def answering(world: World, answer: Callable[[Body], Script]) -> AsyncIterator[None]:
    """Have the language model answer in this way for as long as the context lasts."""
    usual, world.fake.default = world.fake.default, answer
    try:
        yield
    finally:
        world.fake.default = usual
        world.fake.requests.clear()


@asynccontextmanager
async def open_world(
    folder: Path, *, seed: int, rabbitmq: RabbitMQNode | None = None
) -> AsyncIterator[World]:
    """Start everything, on a RabbitMQ that already runs if one is given; in the end stop it again."""
    postgres, own_broker = PostgresNode(folder / "postgres"), None
    if rabbitmq is None:
        (folder / "rabbitmq").mkdir(parents=True)
        rabbitmq = own_broker = RabbitMQNode(folder / "rabbitmq")
    try:
        await asyncio.gather(
            asyncio.to_thread(postgres.start),
            asyncio.to_thread(own_broker.start if own_broker else _nothing),
        )
        async with FakeLLM() as fake, BusyPainter() as painter:
            fake.default = echo
            await asyncio.to_thread(rabbitmq.purge, QUEUE)
            world = _world(folder, postgres, rabbitmq, fake=fake, painter=painter, seed=seed)
            try:
                await all_of(server.start() for server in (*world.webs, *world.workers))
                yield world
            finally:
                for server in (*world.webs, *world.workers):
                    await asyncio.to_thread(server.close)
                await all_of(client.close() for client in world.clients)
    finally:
        await asyncio.to_thread(postgres.stop)
        if own_broker is not None:
            await asyncio.to_thread(own_broker.stop)


async def all_of(doings: Iterable[Awaitable[T]]) -> list[T]:
    """Do all at once and return what each gave; the first error is raised when all have ended."""
    results: list[T] = []
    for each in await asyncio.gather(*doings, return_exceptions=True):
        if isinstance(each, BaseException):
            raise each
        results.append(each)
    return results


async def at_most(count: int, doings: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Do all, so many at a time, and return what each gave."""
    free = asyncio.Semaphore(count)

    async def do(doing: Callable[[], Awaitable[T]]) -> T:
        async with free:
            return await doing()

    return await all_of([do(each) for each in doings])


def _world(
    folder: Path,
    postgres: PostgresNode,
    rabbitmq: RabbitMQNode,
    *,
    fake: FakeLLM,
    painter: BusyPainter,
    seed: int,
) -> World:
    settings = {
        **llm_settings(fake.url, HUB_LLM_TIMEOUT="60"),
        "HUB_DATABASE_URL": postgres.dsn,
        "HUB_BROKER_URL": rabbitmq.url,
        "HUB_DATA_DIR": str(folder / "data"),
        "HUB_SD_URL": painter.url,
        "HUB_SD_KIND": "a1111",
        "HUB_IMAGE_WIDTH": "64",
        "HUB_IMAGE_HEIGHT": "64",
    }
    webs = [
        HubServer(folder / f"web{number}", "web", **settings, HUB_PORT=str(port))
        for number, port in enumerate(free_ports(2))
    ]
    workers = [HubServer(folder / f"worker{number}", "worker", **settings) for number in range(2)]
    return World(postgres, rabbitmq, webs, workers, fake, painter, random.Random(seed))


def _nothing() -> None:
    """Stand in for the start of what already runs."""
