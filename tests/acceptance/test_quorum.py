"""``hub web`` and ``hub worker`` over quorum queues, whatever RabbitMQ does: each message gets one reply."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hub.jobs.broker import make_broker, make_publisher, queue_name
from hub.jobs.contracts import JobKind
from tests.acceptance.conftest import TEXT, Held, at
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import reply
from tests.services.fixtures import migrated_database
from tests.services.hub import Client, HubServer
from tests.services.rabbitmq import RabbitMQNode
from tests.services.world import query, signed_in, within

QUEUE = queue_name(JobKind.REPLY)
QUEUES = [name for kind in JobKind for name in (queue_name(kind), f"{queue_name(kind)}.XQ")]
MANY = 200


@pytest.fixture(scope="module")
def node(rabbitmq: RabbitMQNode) -> Iterator[RabbitMQNode]:
    """Yield the node without queues of the type that other tests use."""
    rabbitmq.delete(*QUEUES)
    yield rabbitmq
    rabbitmq.delete(*QUEUES)


@dataclass
class Pair:
    """One web and one worker over one database and one RabbitMQ."""

    web: HubServer
    worker: HubServer
    database: str
    fake: FakeLLM
    node: RabbitMQNode

    async def jobs(self, condition: str) -> list[Any]:
        """Return the ids of the replies' jobs of which this holds."""
        sql = f"SELECT id FROM jobs WHERE kind = 'reply' AND {condition}"
        return [row["id"] for row in await query(self.database, sql)]

    async def wait_until(self, condition: str, count: int, *, seconds: float) -> None:
        """Wait until this holds of so many jobs."""

        async def enough() -> bool | None:
            return len(await self.jobs(condition)) == count or None

        await within(seconds, enough)


@pytest.fixture(scope="module")
async def pair(
    postgres: str, node: RabbitMQNode, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pair]:
    """Yield a web and a worker that were told to use quorum queues."""
    folder = tmp_path_factory.mktemp("quorum")
    database = await migrated_database(postgres)
    async with FakeLLM() as fake:
        settings = {**at(fake), "HUB_DATABASE_URL": database, "HUB_BROKER_URL": node.url}
        settings["HUB_BROKER_QUEUE_TYPE"] = "quorum"
        web, worker = (HubServer(folder / role, role, **settings) for role in ("web", "worker"))
        try:
            await asyncio.gather(web.start(), worker.start())
            yield Pair(web, worker, database, fake, node)
        finally:
            web.close()
            worker.close()


async def say_in_new_conversations(client: Client, count: int) -> list[str]:
    """Send one message in each of so many conversations; return the responses' ids."""
    companion = (await client.companion())["id"]

    async def say(number: int) -> str:
        conversation = await client.conversation(companion)
        return str((await client.send(conversation["id"], f"Number {number}"))["response"]["id"])

    gate = asyncio.Semaphore(20)

    async def in_turn(number: int) -> str:
        async with gate:
            return await say(number)

    return list(await asyncio.gather(*(in_turn(number) for number in range(count))))


async def one_reply_each(client: Client, response_ids: list[str], *, seconds: float) -> None:
    """Wait until all responses are completed, and check that each conversation holds two messages."""
    deadline = time.monotonic() + seconds
    for each in response_ids:
        response = await client.ended(each, within=max(deadline - time.monotonic(), 0.1))
        assert response["status"] == "completed", response
        messages = await client.messages(response["conversation_id"])
        assert [message["role"] for message in messages] == ["user", "assistant"]


async def broker_health(client: Client) -> tuple[int, str]:
    """Return how the web's readiness is, and the broker's part of it."""
    answer = await client.http.get("/api/health/ready")
    return answer.status_code, answer.json()["checks"]["broker"]


async def test_a_node_killed_in_mid_work_costs_no_reply_and_doubles_none(pair: Pair) -> None:
    held = Held()
    pair.fake.default = lambda _: reply(TEXT)
    pair.fake.script(held.script)
    async with signed_in(pair.web) as client:
        running = await say_in_new_conversations(client, 1)
        await pair.fake.wait_for_requests(1)
        asked = len(pair.fake.requests)
        await asyncio.to_thread(pair.node.kill)
        held.go.set()  # it ends while its message cannot be confirmed, which is therefore delivered again
        waiting = await say_in_new_conversations(client, 10)
        await asyncio.to_thread(pair.node.start)
        await one_reply_each(client, running + waiting, seconds=20)
        assert len(pair.fake.requests) == asked + 10
        assert await broker_health(client) == (200, "pass")
    assert "Traceback" not in pair.web.output + pair.worker.output


async def test_a_memory_alarm_delays_and_loses_nothing(pair: Pair) -> None:
    pair.fake.default = lambda _: reply(TEXT)
    async with signed_in(pair.web) as client:
        await asyncio.to_thread(pair.node.raise_alarm)
        try:
            began = time.monotonic()
            sent = await say_in_new_conversations(client, 10)
            assert time.monotonic() - began < 3, "accepting a message does not wait for the broker"

            async def unwell() -> bool | None:
                return await broker_health(client) == (503, "fail") or None

            await within(5, unwell)
            await pair.web.wait_for("it is low on memory")
            assert len(await pair.jobs("status = 'queued'")) == 10
        finally:
            await asyncio.to_thread(pair.node.clear_alarm)
        await one_reply_each(client, sent, seconds=10)
        assert await broker_health(client) == (200, "pass")
    assert "Traceback" not in pair.web.output + pair.worker.output


async def test_many_that_were_purged_and_then_delivered_five_times_are_answered_once(pair: Pair) -> None:
    pair.fake.default = lambda _: reply(TEXT)
    assert await pair.worker.stop() == 0
    asked = len(pair.fake.requests)
    publisher = make_publisher(make_broker(pair.node.url, quorum=True))
    async with signed_in(pair.web) as client:
        sent = await say_in_new_conversations(client, MANY)
        await pair.wait_until("status = 'queued' AND published_at IS NOT NULL", MANY, seconds=10)
        await asyncio.to_thread(pair.node.purge, QUEUE)
        stale = "UPDATE jobs SET published_at = now() - interval '16 seconds' WHERE status = 'queued'"
        await query(pair.database, stale)
        for job_id in await pair.jobs("status = 'queued'"):
            await asyncio.gather(*(publisher.publish("reply", job_id) for _ in range(5)))
        await pair.worker.start()
        await one_reply_each(client, sent, seconds=60)
    publisher.close()
    assert len(pair.fake.requests) == asked + MANY
    assert await asyncio.to_thread(pair.node.waiting, f"{QUEUE}.XQ") == 0


async def test_a_worker_told_the_other_type_says_what_to_do_and_works_once_it_is_done(
    pair: Pair, tmp_path: Path
) -> None:
    pair.fake.default = lambda _: reply(TEXT)
    await asyncio.gather(pair.web.stop(), pair.worker.stop())
    classic = {"HUB_BROKER_QUEUE_TYPE": "classic"}
    web = HubServer(tmp_path, "web", **{**pair.web.settings, **classic})
    worker = HubServer(tmp_path, "worker", **{**pair.worker.settings, **classic})
    try:
        await asyncio.gather(web.start(), worker.start())
        await worker.wait_for(f"delete_queue {QUEUE}")
        async with signed_in(web) as client:
            sent = await say_in_new_conversations(client, 3)
            await web.wait_for(f"delete_queue {QUEUE}")
            assert await broker_health(client) == (503, "fail")
            await asyncio.to_thread(pair.node.delete, *QUEUES)
            await one_reply_each(client, sent, seconds=10)
            assert await broker_health(client) == (200, "pass")
        assert worker.output.count("queue cannot be used") == len(JobKind)
        assert "Traceback" not in web.output + worker.output
    finally:
        web.close()
        worker.close()
