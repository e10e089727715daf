"""``hub web`` and ``hub worker`` apart, over RabbitMQ and one PostgreSQL: whatever dies, one reply comes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pika
import pytest

from hub.db.embedded import EmbeddedPostgres
from hub.jobs.broker import make_broker, make_publisher
from tests.acceptance.conftest import TEXT, Held, at
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import End, reply
from tests.services.fixtures import new_database
from tests.services.hub import Client, HubServer, Socket
from tests.services.rabbitmq import RabbitMQNode
from tests.services.world import exactly_one_reply, query, within

QUEUE = "hub.reply"
#: Seconds from the end of a lease to the next look for it and on to the reply, on a busy machine.
RESCUED = 9.0


@dataclass
class Cluster:
    """Two webs and two workers over one database and one RabbitMQ."""

    webs: list[HubServer]
    workers: list[HubServer]
    database: str
    fake: FakeLLM
    rabbitmq: RabbitMQNode

    async def job(self, response_id: str) -> dict[str, Any]:
        """Return the job of a response."""
        sql = "SELECT jobs.* FROM jobs JOIN responses ON jobs.id = job_id WHERE responses.id = $1"
        return (await query(self.database, sql, UUID(response_id)))[0]

    async def worker_of(self, response_id: str) -> HubServer:
        """Return the worker that runs a response's job."""
        return await self.worker_at((await self.job(response_id))["id"])

    async def worker_at(self, job_id: UUID) -> HubServer:
        """Return the worker that runs a job."""
        (job,) = await query(self.database, "SELECT worker FROM jobs WHERE id = $1", job_id)
        name = str(job["worker"])
        return next(each for each in self.workers if name.endswith(f":{each.pid}"))

    async def let_lease_end(self, response_id: str) -> None:
        """Make it so that the worker has been silent for as long as a lease lasts."""
        job = await self.job(response_id)
        await query(
            self.database,
            "UPDATE jobs SET lease_until = now() - interval '1 second' WHERE id = $1",
            job["id"],
        )


async def start_all(servers: list[HubServer]) -> None:
    """Start processes at once and wait for all of them."""
    await asyncio.gather(*(server.start() for server in servers))


@pytest.fixture(scope="module")
async def cluster(
    postgres: str, rabbitmq: RabbitMQNode, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cluster]:
    """Yield a cluster whose four processes were started at once on an empty database."""
    folder = tmp_path_factory.mktemp("cluster")
    database = await new_database(postgres)
    rabbitmq.purge(QUEUE)
    async with FakeLLM() as fake:
        settings = {**at(fake), "HUB_DATABASE_URL": database, "HUB_BROKER_URL": rabbitmq.url}
        webs = [HubServer(folder / f"web{number}", "web", **settings) for number in range(2)]
        workers = [HubServer(folder / f"worker{number}", "worker", **settings) for number in range(2)]
        try:
            await start_all([*workers, *webs])
            yield Cluster(webs, workers, database, fake, rabbitmq)
        finally:
            for server in (*webs, *workers):
                server.close()


@dataclass
class Talk:
    """A reply that is held in its middle, watched over a socket of the other web."""

    client: Client
    conversation_id: str
    response_id: str
    held: Held
    socket: Socket

    async def one_reply(self, *, attempt: int, seconds: float = RESCUED) -> None:
        """Check that the watcher sees the reply's end, and that one reply is stored, with the text it saw."""
        response = await self.socket.finished(within=seconds)
        assert response["id"] == self.response_id
        assert response["attempt"] == attempt
        stored = await exactly_one_reply(self.client, self.conversation_id, response)
        assert stored == self.socket.texts[self.response_id] == TEXT


@asynccontextmanager
async def held_talk(cluster: Cluster) -> AsyncIterator[Talk]:
    """Begin a talk whose first answer stops in its middle, and whose later ones are whole."""
    held = Held()
    cluster.fake.default = lambda _: reply(TEXT)
    cluster.fake.script(held.script)
    client = await Client(cluster.webs[0].url).register()
    conversation = await client.conversation()
    beside = Client(cluster.webs[1].url)
    beside.use(client.token)
    async with beside.socket() as socket:
        await socket.subscribe(conversation["id"])
        sent = await client.send(conversation["id"], "Tell me of moss.")
        while not any(socket.texts.values()):
            await socket.receive()
        try:
            yield Talk(client, conversation["id"], sent["response"]["id"], held, socket)
        finally:
            held.go.set()
    await client.close()
    await beside.close()


async def test_all_started_at_once_on_an_empty_database(cluster: Cluster) -> None:
    outputs = [server.output for server in (*cluster.webs, *cluster.workers)]
    assert sum(output.count("database migrated") for output in outputs) == 1
    assert not any("Traceback" in output or "\x1b" in output for output in outputs)
    for server in cluster.webs:
        client = Client(server.url)
        ready = await client.http.get("/api/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "pass")
        await client.close()


async def test_a_reply_streams_across_processes(cluster: Cluster) -> None:
    async with held_talk(cluster) as talk:
        assert TEXT.startswith(talk.socket.texts[talk.response_id])
        talk.held.go.set()
        await talk.one_reply(attempt=1)


async def test_a_killed_worker_is_replaced_when_its_lease_ends(cluster: Cluster) -> None:
    async with held_talk(cluster) as talk:
        worker = await cluster.worker_of(talk.response_id)
        await worker.kill()
        await cluster.let_lease_end(talk.response_id)
        await talk.one_reply(attempt=2)
        await worker.start()


async def test_a_worker_that_stops_hands_over_at_once(cluster: Cluster) -> None:
    async with held_talk(cluster) as talk:
        worker = await cluster.worker_of(talk.response_id)
        began = time.monotonic()
        stopping = asyncio.create_task(worker.stop())
        await talk.one_reply(attempt=2)
        assert time.monotonic() - began < 3
        assert await stopping == 0
        assert time.monotonic() - began < 10
        await worker.start()


async def test_a_stale_worker_writes_nothing(cluster: Cluster) -> None:
    async with held_talk(cluster) as talk:
        worker = await cluster.worker_of(talk.response_id)
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            talk.held.go.set()  # the end of its answer waits in its socket
            await cluster.let_lease_end(talk.response_id)
            await talk.one_reply(attempt=2)
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        before = await query(
            cluster.database, "SELECT * FROM responses WHERE id = $1", UUID(talk.response_id)
        )
        await worker.wait_for("reply dropped, its job was taken away", within=10)
        after = await query(cluster.database, "SELECT * FROM responses WHERE id = $1", UUID(talk.response_id))
        assert before == after
        await exactly_one_reply(
            talk.client, talk.conversation_id, await talk.client.response(talk.response_id)
        )


async def test_what_a_frozen_worker_was_told_of_is_taken_over(cluster: Cluster) -> None:
    cluster.fake.default = lambda _: reply(TEXT)
    client = await Client(cluster.webs[0].url).register()
    companion = (await client.companion())["id"]
    with pika.BlockingConnection(pika.URLParameters(cluster.rabbitmq.url)) as frozen:
        frozen.channel().basic_consume(QUEUE, lambda *_: None)  # it never looks at what it is given
        conversations = [(await client.conversation(companion))["id"] for _ in range(30)]
        sent = await asyncio.gather(*(client.send(each, "Are you there?") for each in conversations))

        async def rest() -> list[dict[str, Any]] | None:
            rows = await query(
                cluster.database,
                "SELECT published_at < now() - interval '3 seconds' AS settled FROM jobs"
                " WHERE status <> 'completed'",
            )
            return rows if all(row["settled"] for row in rows) else None

        assert await within(20, rest), "all of them went past the frozen one"
        await query(
            cluster.database,
            "UPDATE jobs SET published_at = now() - interval '16 seconds' WHERE status = 'queued'",
        )
        for each in sent:
            assert (await client.ended(each["response"]["id"], within=10))["status"] == "completed"
    await client.close()


async def test_the_same_message_ten_times_is_one_reply(cluster: Cluster) -> None:
    publisher = make_publisher(make_broker(cluster.rabbitmq.url))
    try:
        async with held_talk(cluster) as talk:
            asked = len(cluster.fake.requests)
            job = await cluster.job(talk.response_id)
            for _ in range(10):
                await publisher.publish("reply", job["id"])
            talk.held.go.set()
            await talk.one_reply(attempt=1)
            for _ in range(10):
                await publisher.publish("reply", job["id"])
            sent = await talk.client.send(talk.conversation_id, "And lichen?")
            assert (await talk.client.ended(sent["response"]["id"]))["status"] == "completed"
            assert len(cluster.fake.requests) == asked + 1
            assert len(await talk.client.messages(talk.conversation_id)) == 4
    finally:
        publisher.close()


async def test_a_schedule_that_is_due_runs_once_in_one_of_the_workers(cluster: Cluster) -> None:
    async def made_due() -> bool | None:
        update = "UPDATE schedules SET due_at = now() - interval '10 days' RETURNING id"
        return len(await query(cluster.database, update)) == 6 or None

    async def ended() -> list[dict[str, Any]] | None:
        jobs = await query(cluster.database, "SELECT * FROM jobs WHERE kind = 'maintenance'")
        return jobs if jobs and all(job["completed_at"] for job in jobs) else None

    async def none_is_due() -> bool | None:
        due = "SELECT count(*) FROM schedules WHERE due_at <= now()"
        return (await query(cluster.database, due))[0]["count"] == 0 or None

    await within(10, made_due)
    await within(10, none_is_due)
    jobs = await within(10, ended)
    assert [(job["status"], job["attempt"]) for job in jobs] == [("completed", 1)] * len(jobs)
    schedules = await query(cluster.database, "SELECT job_id FROM schedules")
    assert sorted(job["id"] for job in jobs) == sorted(each["job_id"] for each in schedules)
    ran = sum(worker.output.count("maintenance completed") for worker in cluster.workers)
    assert ran == len(jobs) == 6


async def replies_to(client: Client, response_ids: list[str], *, seconds: float) -> None:
    """Wait until all of these responses are completed."""
    responses = await asyncio.gather(*(client.ended(each, within=seconds) for each in response_ids))
    assert [response["status"] for response in responses] == ["completed"] * len(response_ids)


async def test_what_was_sent_while_rabbitmq_is_down_is_answered_when_it_is_back(cluster: Cluster) -> None:
    cluster.fake.default = lambda _: reply(TEXT)
    client = await Client(cluster.webs[0].url).register()
    conversation = await client.conversation()
    await asyncio.to_thread(cluster.rabbitmq.kill)
    began = time.monotonic()
    sent = [await client.send(conversation["id"], f"Number {number}") for number in range(3)]
    assert time.monotonic() - began < 2, "accepting a message does not wait for the broker"
    ready = await client.http.get("/api/health/ready")
    assert (ready.status_code, ready.json()["checks"]["broker"]) == (503, "fail")
    await asyncio.to_thread(cluster.rabbitmq.start)
    await replies_to(client, [each["response"]["id"] for each in sent], seconds=20)
    messages = await client.messages(conversation["id"])
    assert sorted(message["role"] for message in messages) == ["assistant"] * 3 + ["user"] * 3
    await client.close()


async def test_what_was_purged_while_there_were_no_workers_is_done_when_they_come(cluster: Cluster) -> None:
    for worker in cluster.workers:
        assert await worker.stop() == 0
    client = await Client(cluster.webs[0].url).register()
    sent = [await client.send((await client.conversation())["id"], "Hello") for _ in range(3)]

    async def waiting(count: int) -> None:
        async def counted() -> bool | None:
            return await asyncio.to_thread(cluster.rabbitmq.waiting, QUEUE) == count or None

        await within(5, counted)

    async def noted() -> bool | None:
        sql = "SELECT count(*) FROM jobs WHERE status = 'queued' AND published_at IS NOT NULL"
        return (await query(cluster.database, sql))[0]["count"] == 3 or None

    await waiting(3)
    await within(5, noted)
    cluster.rabbitmq.purge(QUEUE)
    await waiting(0)
    stale = "UPDATE jobs SET published_at = now() - interval '16 seconds' WHERE status = 'queued'"
    await query(cluster.database, stale)
    await start_all(cluster.workers)
    # A web may have rung again just before the purge, and note it only now: then it is stale in 15 s.
    await replies_to(client, [each["response"]["id"] for each in sent], seconds=30)
    await client.close()


async def test_without_a_broker_the_workers_sweep_finds_the_work(
    tmp_path: Path, empty_database: str, fake: FakeLLM
) -> None:
    settings = {**at(fake), "HUB_DATABASE_URL": empty_database}
    web, worker = (HubServer(tmp_path / role, role, **settings) for role in ("web", "worker"))
    try:
        await start_all([web, worker])
        client = await Client(web.url).register()
        conversation = await client.conversation()
        async with client.socket() as socket:
            await socket.subscribe(conversation["id"])
            await socket.say(conversation["id"], "Hello")
            response = await socket.finished(within=5)
        await exactly_one_reply(client, conversation["id"], response)
        await client.close()
        assert await worker.stop() == 0
        assert await web.stop() == 0
    finally:
        web.close()
        worker.close()


@pytest.fixture
def own_database(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """Yield a PostgreSQL that a test may stop and start."""
    database = EmbeddedPostgres(tmp_path / "database", durable=False)
    database.start()
    yield database
    database.stop()


async def test_a_database_that_restarts_costs_no_reply(
    tmp_path: Path, own_database: EmbeddedPostgres, fake: FakeLLM
) -> None:
    database, held = own_database, Held()
    server = HubServer(tmp_path / "hub", HUB_DATABASE_URL=database.start(), **at(fake))
    await server.start()
    try:
        client = await Client(server.url).register()
        conversation = await client.conversation()
        async with client.socket() as socket:
            await socket.subscribe(conversation["id"])
            fake.script(held.script)
            sent = await client.send(conversation["id"], "Hello")
            while not any(socket.texts.values()):
                await socket.receive()
            database.stop()
            refused = await client.http.get(f"/api/conversations/{conversation['id']}")
            assert refused.status_code == 503
            assert "Retry-After" in refused.headers
            held.go.set()  # the answer ends while there is no database to store it
            await server.wait_for("database unavailable while working")
            database.start()
            response = await socket.finished(within=10)
            assert response["id"] == sent["response"]["id"]
            stored = await exactly_one_reply(client, conversation["id"], response)
            assert stored == socket.texts[response["id"]] == TEXT
            database.stop()  # and once more, while all is quiet
            database.start()
            await socket.say(conversation["id"], "Still there?")
            assert (await socket.finished(within=10))["status"] == "completed"
        await client.close()
        assert "Traceback" not in server.output
        assert await server.stop() == 0
    finally:
        server.close()


@asynccontextmanager
async def held_stream(cluster: Cluster) -> AsyncIterator[tuple[Client, UUID, AsyncIterator[str]]]:
    """Begin a chat completion whose first answer stops in its middle; yield its id and the rest of it."""
    cluster.fake.default = lambda _: reply(TEXT)
    cluster.fake.script(reply(TEXT, between={6: End.HANG}))
    client = await Client(cluster.webs[0].url).register()
    model = f"companion/{(await client.companion())['id']}"
    body = {"model": model, "messages": [{"role": "user", "content": "Tell me of moss."}], "stream": True}
    async with client.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = answer.aiter_lines()
        async for line in lines:
            if '"content":"Moss' in line:
                break
        completion_id = UUID(json.loads(line.removeprefix("data: "))["id"].removeprefix("chatcmpl-"))
        yield client, completion_id, lines
    await client.close()


async def test_a_completion_streams_across_processes_and_closes_the_upstream_when_it_is_left(
    cluster: Cluster,
) -> None:
    gone = cluster.fake.disconnects
    async with held_stream(cluster):
        pass
    await cluster.fake.wait_for_disconnects(gone + 1, within=2)


async def test_a_web_that_stops_ends_its_streams_and_closes_the_upstream(cluster: Cluster) -> None:
    gone = cluster.fake.disconnects
    async with held_stream(cluster) as (_, _, lines):
        stopping = asyncio.create_task(cluster.webs[0].stop())
        told = [json.loads(line.removeprefix("data: ")) async for line in lines if line.startswith("data: {")]
        assert told[-1]["error"]["code"] == "server_stopping"
        await cluster.fake.wait_for_disconnects(gone + 1, within=2)
        assert await stopping == 0
    await cluster.webs[0].start()


async def test_a_completion_whose_worker_is_killed_says_so_or_is_written_anew(cluster: Cluster) -> None:
    async with held_stream(cluster) as (client, completion_id, lines):
        worker = await cluster.worker_at(completion_id)
        cluster.fake.script(reply(TEXT, between={6: End.HANG}))
        model = (await client.http.get("/v1/models")).json()["data"][0]["id"]
        asking = asyncio.create_task(
            client.http.post("/v1/responses", json={"model": model, "input": "Moss?"})
        )

        async def begun() -> UUID | None:
            sql = "SELECT id FROM completions WHERE kind = 'response' AND output_text <> ''"
            rows = await query(cluster.database, sql)
            return UUID(str(rows[0]["id"])) if rows else None

        response_id = await within(10, begun)
        workers = {worker, await cluster.worker_at(response_id)}
        for each in workers:
            await each.kill()
        await query(cluster.database, "UPDATE jobs SET lease_until = now() WHERE status = 'in_progress'")
        for each in workers:
            await each.start()
        told = [json.loads(line.removeprefix("data: ")) async for line in lines if line.startswith("data: {")]
        assert told[-1]["error"]["code"] == "stream_broke_off"
        response = (await asking).json()
        assert response["output"][0]["content"][0]["text"] == TEXT
