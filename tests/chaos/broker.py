"""A broker that loses everything, and one that delivers everything ten times."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from functools import partial
from typing import Any
from uuid import UUID

from hub.jobs.broker import make_broker, make_publisher
from hub.jobs.messages import JobPublisher
from tests.chaos.oracle import examine
from tests.chaos.progress import Progress
from tests.chaos.report import Finding, none_of, within
from tests.chaos.sizes import Size
from tests.chaos.world import QUEUE, World, all_of, answering, at_most, last_said
from tests.fakes.llm import Body
from tests.fakes.llm_script import Script, default_text, reply
from tests.services.hub import Client

_TIMES = 10
_PATIENCE = 120.0
_GOAL = 60.0
_SIDE_BY_SIDE = 10


async def run(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Purge the queue while all turns wait in it; then ring ten times for each of as many turns."""
    count = size.of(60, 500)
    asked: Counter[str] = Counter()

    def answer(body: Body) -> Script:
        asked[last_said(body)] += 1
        return reply(default_text(body))

    async with answering(world, answer):
        client = await world.client()
        conversations = await _conversations(client, count)
        seconds = await _purge(world, size, client, conversations, progress)
        done = f"{count} queued, queue purged"
        found = [within("a purged queue costs time only", done, seconds, goal=_GOAL)]
        await _deliver_often(world, client, conversations, progress)
    said = {each: ["First", "Second"] for each in conversations}
    verdict = await examine(world, {each: _worded(each, words) for each, words in said.items()})
    wrong = [f"the model was asked {n} times for {each!r}" for each, n in asked.items() if n > 1]
    wrong += verdict.doubled + verdict.lost + verdict.disordered + verdict.torn
    done = f"{count} messages x {_TIMES} deliveries, twice"
    return [*found, none_of("delivered often is done once", done, wrong, what="duplicates")]


def _worded(conversation_id: str, words: list[str]) -> list[str]:
    return [f"{each} in {conversation_id}" for each in words]


async def _conversations(client: Client, count: int) -> list[str]:
    companion = (await client.companion())["id"]
    made = await at_most(_SIDE_BY_SIDE, [partial(client.conversation, companion)] * count)
    return [each["id"] for each in made]


async def _say(client: Client, conversations: list[str], word: str) -> list[str]:
    """Say something in each conversation and return the responses' ids."""
    sends = [partial(client.send, each, *_worded(each, [word])) for each in conversations]
    return [sent["response"]["id"] for sent in await at_most(_SIDE_BY_SIDE, sends)]


async def _purge(
    world: World, size: Size, client: Client, conversations: list[str], progress: Progress
) -> float:
    """Return the seconds from the purge to the last reply, the start of both workers included."""
    await all_of(worker.stop() for worker in world.workers)
    responses = await _say(client, conversations, "First")
    await _all_wait(world, len(responses))
    await asyncio.to_thread(world.rabbitmq.purge, QUEUE)
    began = time.monotonic()
    if size is Size.SHORT:
        await world.ring_again()
    async with progress.of(len(responses), "turns after a purge"):
        await all_of(worker.start() for worker in world.workers)
        statuses = await world.ended(responses, within=_PATIENCE, progress=progress)
    assert set(statuses.values()) == {"completed"}, statuses
    return time.monotonic() - began


async def _all_wait(world: World, count: int) -> None:
    """Wait until every job is in the queue, and noted as published."""
    noted = "SELECT count(*) FROM jobs WHERE status = 'queued' AND published_at IS NOT NULL"
    deadline = time.monotonic() + _PATIENCE
    while True:
        waiting = await asyncio.to_thread(world.rabbitmq.waiting, QUEUE) or 0
        if waiting >= count and (await world.query(noted))[0]["count"] == count:
            return
        assert time.monotonic() < deadline, f"{waiting} of {count} are in the queue"
        await asyncio.sleep(0.2)


async def _deliver_often(world: World, client: Client, conversations: list[str], progress: Progress) -> None:
    publisher = make_publisher(make_broker(world.rabbitmq.url))
    try:
        async with progress.of(len(conversations), f"turns rung for {_TIMES} times"):
            responses = await _say(client, conversations, "Second")
            rows = await world.query(
                "SELECT job_id FROM responses WHERE id = ANY($1)", [UUID(each) for each in responses]
            )
            await _ring_often(publisher, rows)
            await world.ended(responses, within=_PATIENCE, progress=progress)
            await _ring_often(publisher, rows)
        deadline = time.monotonic() + _PATIENCE
        while await asyncio.to_thread(world.rabbitmq.waiting, QUEUE):
            assert time.monotonic() < deadline, "the queue does not run empty"
            await asyncio.sleep(0.1)
    finally:
        publisher.close()


async def _ring_often(publisher: JobPublisher, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        await asyncio.gather(*(publisher.publish("reply", row["job_id"]) for _ in range(_TIMES)))
