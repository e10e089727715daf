"""Lanes that are shared: whose job comes next, and that nobody waits for one that is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from hub.core.ids import new_id
from hub.db.engine import ENGINE
from hub.domain.painting import queries as painting
from hub.domain.scenes import reading
from hub.jobs import queue, store
from hub.jobs.contracts import Claim, JobKind, NewJob
from tests.services.fixtures import migrated_database

ADA, BEN, CAT = new_id(), new_id(), new_id()


@pytest.fixture(autouse=True, scope="module")
async def database(postgres: str) -> AsyncIterator[None]:
    """Open a database of its own."""
    dsn = await migrated_database(postgres)
    await ENGINE.open(dsn, pool_size=2)
    yield
    await ENGINE.close()


@pytest.fixture
def lane() -> str:
    """Return a lane that no other test uses."""
    return f"image:{new_id()}"


async def ask(lane: str, user_id: UUID, *, kind: JobKind = JobKind.IMAGE) -> UUID:
    """Store a job; return its id."""
    job_id = new_id()
    await store.insert(
        NewJob(
            id=job_id,
            kind=kind,
            lane=lane,
            user_id=user_id,
            subject_id=job_id,
            request_id="",
            shares_lane=kind == JobKind.IMAGE,
        )
    )
    return job_id


async def begin_next(lane: str) -> Claim:
    """Claim the next job of a lane."""
    [(job_id, _)] = await queue.next_after(lane, kind=JobKind.IMAGE, user_id=None, cap=None)
    row = await store.claim(store.CLAIM, job_id, worker="test")
    assert row is not None
    return Claim(**row)


async def served(lane: str, count: int, *, eager: tuple[UUID, ...] = ()) -> list[UUID]:
    """Run jobs one after the other and return whose they were; the eager ask again once theirs has ended."""
    users: list[UUID] = []
    last: UUID | None = None
    for _ in range(count):
        claim = await begin_next(lane)
        assert claim.user_id is not None
        users.append(claim.user_id)
        if last in eager and last is not None:
            await ask(lane, last)
        last = claim.user_id
        assert await store.complete(claim)
    return users


async def test_those_who_ask_again_and_again_do_not_keep_the_others_waiting(lane: str) -> None:
    for user_id in (ADA, ADA, ADA, BEN, CAT):
        await ask(lane, user_id)
    users = await served(lane, 9, eager=(BEN, CAT))
    assert users.count(ADA) == 3, users


async def rung(lane: str) -> set[UUID]:
    """Return which jobs of a lane are rung for by a sweep, beside those that were rung for just now."""
    due = {each.id for each in await queue.take_due(limit=500, fresh=0.0, stale=15.0, cap=None)}
    async with ENGINE.connection() as connection:
        rows = await connection.fetch("SELECT id FROM jobs WHERE lane = $1", lane)
    return due & {row["id"] for row in rows}


@pytest.mark.parametrize("kind", [JobKind.IMAGE, JobKind.SCENE])
async def test_one_that_has_nothing_to_do_lets_the_next_be_rung_for(lane: str, kind: JobKind) -> None:
    """Its companion went in the very moment it was asked for; the next was rung for when it came, in vain."""
    begin = painting.begin if kind == JobKind.IMAGE else reading.begin
    gone, behind = await ask(lane, ADA, kind=kind), await ask(lane, BEN, kind=kind)
    await queue.stamp([(gone, 0.0), (behind, 0.0)])
    assert await rung(lane) == set()
    assert await begin(gone, worker="test") is None
    assert await rung(lane) == {behind}


async def test_a_cancelled_job_keeps_its_lane_while_its_worker_stops_it(lane: str) -> None:
    await ask(lane, ADA)
    following = (await ask(lane, BEN), JobKind.IMAGE)
    running = await begin_next(lane)
    assert await store.cancel(running.job_id) == "in_progress"
    assert await queue.next_after(lane, kind=JobKind.IMAGE, user_id=None, cap=None) == []
    await store.let_go(running)
    assert await queue.next_after(lane, kind=JobKind.IMAGE, user_id=None, cap=None) == [following]


async def test_the_lane_of_a_cancelled_job_is_freed_where_its_worker_is_dead(lane: str) -> None:
    await ask(lane, ADA)
    following = (await ask(lane, BEN), JobKind.IMAGE)
    running = await begin_next(lane)
    await store.cancel(running.job_id)
    assert await store.let_go_of_dead() == []
    async with ENGINE.connection() as connection:
        past = "UPDATE jobs SET lease_until = now() - interval '1 second' WHERE id = $1"
        await connection.execute(past, running.job_id)
        assert await store.let_go_of_dead() == [(lane, JobKind.IMAGE)]
        assert await connection.fetchval("SELECT lease_until FROM jobs WHERE id = $1", running.job_id) is None
    assert await queue.next_after(lane, kind=JobKind.IMAGE, user_id=None, cap=None) == [following]


async def test_deliveries_that_find_no_place_keep_no_reply_from_being_rung_for(lane: str) -> None:
    """A sweep rings for so many jobs; receivers that are away may be more than that."""
    await rung(lane)  # what other tests have left
    waiting = [await ask(f"{lane}:{number}", ADA, kind=JobKind.WEBHOOK) for number in range(6)]
    reply = await ask(lane, BEN, kind=JobKind.REPLY)
    due = [each.id for each in await queue.take_due(limit=4, fresh=0.0, stale=15.0, cap=None)]
    assert reply in due
    assert len(set(due) & set(waiting)) == 3, "and what else there is place for"
