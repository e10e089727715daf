"""Workers that die, freeze, or are killed by what they work on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.chaos.oracle import examine
from tests.chaos.progress import Progress
from tests.chaos.report import Finding, none_of, within
from tests.chaos.sizes import Size
from tests.chaos.world import World, all_of, answering, last_said
from tests.fakes.llm import Body
from tests.fakes.llm_script import Script, default_text, reply
from tests.services.hub import Client, HubServer
from tests.services.waiting import eventually

_GOAL = 45.0
_PATIENCE = 120.0
_POISON = "Poison"
_CLAIMS = 3
_DROPPED = "reply dropped, its job was taken away"


@dataclass
class Held:
    """Replies that each stop in their middle, at their first attempt, until ``go`` is set."""

    client: Client
    responses: dict[str, str] = field(default_factory=dict)  # conversation of each response
    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: Counter[str] = field(default_factory=Counter)

    def answer(self, body: Body) -> Script:
        """Hold the first answer, give the later ones at once."""
        said = last_said(body)
        self.asked[said] += 1
        return reply(default_text(body), between={3: self.go} if self.asked[said] == 1 else None)

    @property
    def said(self) -> dict[str, list[str]]:
        """What was said in each conversation."""
        return {each: [f"Hold {each}"] for each in self.responses.values()}

    async def begin(self, world: World, count: int) -> dict[str, list[str]]:
        """Begin so many replies, wait until all have text, and return the responses of each worker."""
        companion = (await self.client.companion())["id"]
        for _ in range(count):
            where = (await self.client.conversation(companion))["id"]
            sent = await self.client.send(where, f"Hold {where}")
            self.responses[sent["response"]["id"]] = where
        deadline = time.monotonic() + _PATIENCE
        while len(rows := await self._begun(world)) < count:
            assert time.monotonic() < deadline, f"only {len(rows)} of {count} replies have begun"
            await asyncio.sleep(0.1)
        by_worker: dict[str, list[str]] = {}
        for row in rows:
            by_worker.setdefault(row["worker"], []).append(str(row["id"]))
        return by_worker

    async def rows(self, world: World) -> list[dict[str, Any]]:
        """Return everything that is stored of the responses and their jobs."""
        return await world.query(
            "SELECT jobs.*, responses.* FROM responses JOIN jobs ON jobs.id = job_id"
            " WHERE responses.id = ANY($1) ORDER BY responses.id",
            [UUID(each) for each in self.responses],
        )

    async def _begun(self, world: World) -> list[dict[str, Any]]:
        rows = await self.rows(world)
        return [row for row in rows if row["status"] == "in_progress" and row["output_text"]]


async def lost_worker(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Kill a worker in the middle of its replies; another one ends them when the leases are over."""
    count = size.of(4, 20)
    held = Held(await world.client())
    async with answering(world, held.answer), progress.of(count, "replies, one worker killed"):
        worker, mine = _busiest(world, await held.begin(world, count))
        pid = worker.pid
        await worker.kill()
        began = time.monotonic()
        held.go.set()
        if size is Size.SHORT:
            await world.end_leases(pid)
        await worker.start()
        await world.ended(list(held.responses), within=_PATIENCE, progress=progress)
        seconds = time.monotonic() - began
    verdict = await examine(world, held.said)
    wrong = verdict.lost + verdict.doubled + verdict.disordered + verdict.torn
    lease = "its lease cut short" if size is Size.SHORT else "a lease of 30 s"
    done = f"a worker killed amid {len(mine)} replies, {lease}"
    return [
        within("a stuck job is rescued", done, seconds, goal=_GOAL),
        none_of("rescued replies are whole", done, wrong, what="wrong"),
    ]


async def frozen_worker(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Stop a worker past its leases and let it go on when all it worked on has been done elsewhere."""
    count = size.of(6, 50)
    held = Held(await world.client())
    async with answering(world, held.answer), progress.of(count, "replies, one worker frozen"):
        worker, mine = _busiest(world, await held.begin(world, count))
        before = worker.output.count(_DROPPED)
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            held.go.set()  # the ends of its answers wait in its sockets
            if size is Size.SHORT:
                await world.end_leases(worker.pid)
            ringing = asyncio.create_task(_ring_often(world, size))
            await world.ended(list(held.responses), within=_PATIENCE, progress=progress)
            ringing.cancel()
            rows = await held.rows(world)
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        await eventually(lambda: worker.output.count(_DROPPED) - before >= len(mine), seconds=30)
    pairs = zip(rows, await held.rows(world), strict=True)
    wrong = [f"{now} was {then}" for then, now in pairs if then != now]
    verdict = await examine(world, held.said)
    wrong += verdict.lost + verdict.doubled + verdict.disordered + verdict.torn
    done = f"SIGSTOP past the lease, then SIGCONT: {len(mine)} replies"
    return [none_of("a stale worker cannot write", done, wrong, what="stale writes")]


async def _ring_often(world: World, size: Size) -> None:
    """In a short run, do not wait for what the broker has handed to the frozen worker."""
    while size is Size.SHORT:
        await world.ring_again()
        await asyncio.sleep(1)


async def poison(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Have one reply kill each worker that tries it; all others come, and at last it does too."""
    client = await world.client()
    killing: set[asyncio.Task[None]] = set()
    kills: list[int] = []
    is_harmless = False

    def answer(body: Body) -> Script:
        if last_said(body) != _POISON or is_harmless:
            return reply(default_text(body), delay=0.02)
        killing.add(asyncio.ensure_future(_kill_who_asks(world, poisoned, kills, size)))
        return reply(default_text(body), between={2: asyncio.Event()})

    companion = (await client.companion())["id"]
    where = (await client.conversation(companion))["id"]
    others = [(await client.conversation(companion))["id"] for _ in range(size.of(4, 20))]
    poisoned: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with answering(world, answer), progress.of(_CLAIMS, "workers killed by a poison"):
        poisoned.set_result((await client.send(where, _POISON))["response"]["id"])
        response_id = poisoned.result()
        # A turn bears two lost workers, not three: one that shared all three with the poison would fail too.
        await eventually(lambda: bool(kills), seconds=_PATIENCE)
        talking = asyncio.create_task(_talk(client, others, kills, every=size.of(1, 6)))
        failed = await client.ended(response_id, within=_PATIENCE + 60)
        progress.done = len(kills)
        statuses = await world.ended(await talking, within=_PATIENCE)
        await all_of(killing)
        job = await world.job(response_id)
        is_harmless = True
        retried = await client.http.post(f"/api/responses/{response_id}/retry")
        again = await client.ended(response_id, within=_PATIENCE)
    done = f"each claim of one job kills its worker, {len(statuses)} other turns"
    wrong = [f"{each} is {status}" for each, status in statuses.items() if status != "completed"]
    right = failed["status"] == "failed" and failed["error"] and job["attempt"] == len(kills) == _CLAIMS
    return [
        Finding(
            promise="a poison job fails visibly",
            done=done,
            found=f"{failed['status']} after {job['attempt']} claims and {len(kills)} kills",
            goal=f"failed after {_CLAIMS}",
            met=bool(right),
            details=(str(failed["error"]),),
        ),
        none_of("a poison job harms no other", done, wrong, what="not completed"),
        Finding(
            promise="a failed reply can be had again",
            done="retry of the poison job, now harmless",
            found=f"{retried.status_code}, {again['status']}",
            goal="202, completed",
            met=retried.status_code == 202 and again["status"] == "completed",
        ),
    ]


async def _kill_who_asks(world: World, poisoned: asyncio.Future[str], kills: list[int], size: Size) -> None:
    worker = world.worker_named(str((await world.job(await poisoned))["worker"]))
    pid = worker.pid
    await worker.kill()
    kills.append(pid)
    await worker.start()
    if size is Size.SHORT:  # a lease outlasts a start, so that the poison meets two workers again
        await world.end_leases(pid)


async def _talk(client: Client, conversations: list[str], kills: list[int], *, every: float) -> list[str]:
    """Say something in each conversation again and again until the last kill; return the responses' ids."""
    sent: list[str] = []
    deadline = time.monotonic() + _PATIENCE
    while len(kills) < _CLAIMS and time.monotonic() < deadline:
        number = len(sent) // len(conversations)
        answers = [await client.send(each, f"Message {number}") for each in conversations]
        sent += [each["response"]["id"] for each in answers]
        await asyncio.sleep(every)
    return sent


def _busiest(world: World, by_worker: dict[str, list[str]]) -> tuple[HubServer, list[str]]:
    name = max(by_worker, key=lambda each: len(by_worker[each]))
    return world.worker_named(name), by_worker[name]
