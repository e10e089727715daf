"""Sending and beginning a turn, each one statement, while others write to the same rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from msgspec import Struct

from hub.core.ids import new_id
from hub.db.engine import ENGINE
from hub.domain.chat import queries, turns
from hub.jobs import queue, store
from hub.jobs.contracts import JobKind, NewJob


class Talk(Struct, frozen=True):
    """A conversation in a database of its own, and a second connection to that database."""

    user_id: UUID
    conversation_id: UUID
    other: asyncpg.Connection

    async def send(self, content: str = "Hello", *, lane: str | None = None) -> NewJob:
        """Store a message with its response and job."""
        job = NewJob(
            id=new_id(),
            kind=JobKind.REPLY,
            lane=lane or str(self.conversation_id),
            user_id=self.user_id,
            subject_id=new_id(),
            request_id="",
        )
        stored = await queries.store_message(
            queries.NewMessage(
                id=new_id(),
                conversation_id=self.conversation_id,
                user_id=self.user_id,
                content=content,
                job=job,
                generate_image=False,
            )
        )
        assert stored is not None
        return job

    async def column(self, name: str, table: str, row_id: UUID) -> object:
        """Return one value as it is stored."""
        return await self.other.fetchval(f"SELECT {name} FROM {table} WHERE id = $1", row_id)

    async def waiting(self) -> None:
        """Return once somebody waits for a lock."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        async with asyncio.timeout(10):
            while not await self.other.fetchval(query):  # noqa: ASYNC110 - PostgreSQL tells nobody of its locks
                await asyncio.sleep(0.01)


@pytest.fixture
async def talk(ready_database: str) -> AsyncIterator[Talk]:
    await ENGINE.open(ready_database, pool_size=5)
    other = await asyncpg.connect(ready_database)
    user_id, companion_id, conversation_id = new_id(), new_id(), new_id()
    await other.execute(
        "INSERT INTO users (id, username, email, display_name, password_hash, role)"
        " VALUES ($1, 'ada', 'ada@example.org', 'Ada', '', 'user')",
        user_id,
    )
    await other.execute(
        "INSERT INTO companions (id, user_id, name, description) VALUES ($1, $2, 'Mira', 'A botanist.')",
        companion_id,
        user_id,
    )
    await queries.insert_conversation(conversation_id, user_id=user_id, companion_id=companion_id, title="")
    yield Talk(user_id, conversation_id, other)
    await other.close()
    await ENGINE.close()


async def test_a_message_waits_for_whoever_writes_to_its_conversation(talk: Talk) -> None:
    async with talk.other.transaction():
        await talk.other.execute("UPDATE conversations SET last_position = last_position + 1")
        sending = asyncio.create_task(talk.send())
        await talk.waiting()
    job = await sending
    position = await talk.other.fetchval(
        "SELECT position FROM messages JOIN responses ON request_message_id = messages.id"
        " WHERE responses.id = $1",
        job.subject_id,
    )
    assert position == 2
    assert await talk.column("job_id", "responses", job.subject_id) == job.id
    assert await talk.column("status", "jobs", job.id) == "queued"


async def test_messages_sent_at_once_get_positions_without_gap(talk: Talk) -> None:
    await asyncio.gather(*(talk.send() for _ in range(10)))
    rows = await talk.other.fetch("SELECT position FROM messages ORDER BY position")
    assert [row["position"] for row in rows] == list(range(1, 11))


async def test_a_turn_begins_with_the_talk_so_far(talk: Talk) -> None:
    first = await talk.send("One")
    begun = await turns.begin(first.id, worker="a", cap=None)
    assert begun is not None
    await talk.send("Two")
    third = await talk.send("Three")
    await turns.complete(begun, "Reply to one", None)
    assert await turns.begin(third.id, worker="a", cap=None) is None, "another one is ahead"
    await talk.other.execute(
        "UPDATE jobs SET status = 'cancelled' WHERE status = 'queued' AND id <> $1", third.id
    )
    turn = await turns.begin(third.id, worker="a", cap=None)
    assert turn is not None
    said = [(message.role, message.content) for message in turn.talk]
    assert said == [("user", "One"), ("user", "Two"), ("assistant", "Reply to one"), ("user", "Three")]
    assert turn.first_position == 1
    assert turn.persona.name == "Mira"
    assert turn.persona.user_name == "Ada"


async def test_a_job_is_begun_once_however_many_try(talk: Talk) -> None:
    job = await talk.send()
    begun = await asyncio.gather(*(turns.begin(job.id, worker=str(number), cap=None) for number in range(5)))
    assert sum(turn is not None for turn in begun) == 1
    assert await talk.column("attempt", "jobs", job.id) == 1


async def test_a_turn_waits_for_a_late_write_to_its_response_and_begins_without_its_text(talk: Talk) -> None:
    job = await talk.send()
    async with talk.other.transaction():
        await talk.other.execute("UPDATE responses SET output_text = 'of a stale worker'")
        beginning = asyncio.create_task(turns.begin(job.id, worker="a", cap=None))
        await talk.waiting()
    turn = await beginning
    assert turn is not None
    assert await talk.column("output_text", "responses", job.subject_id) == ""
    assert await talk.column("attempt", "responses", job.subject_id) == turn.claim.attempt == 1


async def test_a_turn_whose_response_ends_just_now_is_not_begun(talk: Talk) -> None:
    job = await talk.send()
    async with talk.other.transaction():
        await talk.other.execute("UPDATE responses SET status = 'cancelled'")
        beginning = asyncio.create_task(turns.begin(job.id, worker="a", cap=None))
        await talk.waiting()
    assert await beginning is None
    assert await talk.column("status", "responses", job.subject_id) == "cancelled"
    assert await talk.column("error_code", "jobs", job.id) == "response_gone"


async def test_a_job_that_is_cancelled_while_it_is_claimed_is_not_begun(talk: Talk) -> None:
    job = await talk.send()
    async with talk.other.transaction():
        await talk.other.execute("UPDATE jobs SET status = 'cancelled'")
        beginning = asyncio.create_task(turns.begin(job.id, worker="a", cap=None))
        await talk.waiting()
    assert await beginning is None
    assert await talk.column("status", "responses", job.subject_id) == "queued"


async def test_of_many_claims_at_once_no_more_than_the_cap_begin(talk: Talk) -> None:
    jobs = [await talk.send(lane=str(number)) for number in range(20)]
    begun = await asyncio.gather(*(turns.begin(job.id, worker="a", cap=3) for job in jobs))
    running = [turn for turn in begun if turn is not None]
    assert len(running) == 3
    await turns.complete(running[0], "Done", None)
    waiting = [job for job, turn in zip(jobs, begun, strict=True) if turn is None]
    assert sum([await turns.begin(job.id, worker="a", cap=3) is not None for job in waiting]) == 1


async def test_what_waited_for_the_cap_is_named_when_a_place_is_free(talk: Talk) -> None:
    jobs = [await talk.send(lane=str(number)) for number in range(5)]
    running = [await turns.begin(job.id, worker="a", cap=2) for job in jobs[:2]]
    assert await queue.take_due(limit=10, fresh=0, stale=15, cap=2) == []
    assert running[0] is not None
    await turns.complete(running[0], "Done", None)
    following = await queue.next_after("0", kind="reply", user_id=talk.user_id, cap=2)
    assert following == [(jobs[2].id, "reply")]
    assert await queue.next_after("0", kind="reply", user_id=new_id(), cap=2) == []


async def test_without_a_cap_any_number_begins(talk: Talk) -> None:
    jobs = [await talk.send(lane=str(number)) for number in range(20)]
    begun = await asyncio.gather(*(turns.begin(job.id, worker="a", cap=None) for job in jobs))
    assert all(begun)


async def test_a_heartbeat_prolongs_what_is_still_held_and_nothing_else(talk: Talk) -> None:
    jobs = [await talk.send(lane=str(number)) for number in range(3)]
    begun = [turn for job in jobs if (turn := await turns.begin(job.id, worker="a", cap=None))]
    kept, cancelled, taken = (turn.claim for turn in begun)
    await store.cancel(cancelled.job_id)
    await talk.other.execute("UPDATE jobs SET attempt = 2 WHERE id = $1", taken.job_id)
    await talk.other.execute("UPDATE jobs SET lease_until = now() WHERE id <> $1", cancelled.job_id)
    claims = [kept, cancelled, taken]
    assert await store.held(claims) == {kept.job_id}
    await store.heartbeat(claims)
    rows = await talk.other.fetch("SELECT id FROM jobs WHERE lease_until > now() + interval '20 seconds'")
    assert [row["id"] for row in rows] == [kept.job_id]


async def test_last_words_of_a_turn_do_not_come_into_a_later_one(talk: Talk) -> None:
    job = await talk.send()
    turn = await turns.begin(job.id, worker="a", cap=None)
    assert turn is not None
    await store.cancel(job.id)
    await queries.cancel_response(job.subject_id)
    assert await queries.requeue_response(job.subject_id, job_id=new_id()) == 1
    await queries.cancel_response(job.subject_id)
    await turns.keep(turn, "What was said before it was asked for again")
    assert await talk.column("output_text", "responses", job.subject_id) == ""


async def test_last_words_come_neither_late_nor_from_a_worker_whose_turn_was_taken_back(talk: Talk) -> None:
    late, taken_back, in_time = [await talk.send() for _ in range(3)]
    for job in (late, taken_back, in_time):
        await talk.other.execute("UPDATE jobs SET lane = id::text WHERE id = $1", job.id)
        turn = await turns.begin(job.id, worker="a", cap=None)
        assert turn is not None
        if job is taken_back:
            await turns.rescue(everything=True)
        await store.cancel(job.id)
        await queries.cancel_response(job.subject_id)
        if job is late:
            too_long_ago = "UPDATE responses SET completed_at = now() - interval '2 seconds' WHERE id = $1"
            await talk.other.execute(too_long_ago, job.subject_id)
        await turns.keep(turn, "Last words")
        kept = await talk.column("output_text", "responses", job.subject_id)
        assert kept == ("Last words" if job is in_time else "")
