"""Every change of a job's row, each one a compare-and-set.

    queued -> in_progress -> completed | failed | cancelled
       ^          |
       +----------+  retried, released at shutdown, or rescued after a silence

A function here joins the transaction that its caller has open, so that a job changes together with what
it is about. Whoever gets ``False`` or ``None`` has lost the job: it writes nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import randrange
from uuid import UUID

import asyncpg
import msgspec
from asyncpg import Record

from hub.core import tracing
from hub.db.cleaning import delete_older
from hub.db.engine import ENGINE
from hub.jobs.contracts import (
    LEASE,
    STOPPING,
    Cancelled,
    Claim,
    JobStatus,
    NewJob,
    Rescued,
    attempts_of,
    pause_after,
)


async def insert(job: NewJob) -> None:
    """Store a job."""
    async with ENGINE.connection() as connection:
        await connection.execute(insertion(first=1), *insertion_values(job))


def insertion(*, first: int, source: str = "") -> str:
    """Return the statement that stores a job, or the part of a larger one that does.

    Args:
        first: number of the first of its parameters, which are :func:`insertion_values`.
        source: what stands behind the SELECT of the job's values: it is stored if this gives a row.
    """
    types = ("uuid", "text", "text", "uuid", "uuid", "int", "int", "text", "bool", "float8", "text")
    numbers = [f"${first + at}::{each}" for at, each in enumerate(types)]
    lane, user_id, shares_lane, wait, trace = numbers[2], numbers[3], *numbers[8:]
    rank = _RANK.format(lane=lane, user_id=user_id, shares_lane=shares_lane)
    return (
        "INSERT INTO jobs (id, kind, lane, user_id, subject_id, attempt, max_attempts, request_id, rank,"
        f" due_at, traceparent) SELECT {', '.join(numbers[:8])}, {rank},"
        f" now() + {wait} * interval '1 second', {trace} {source}"
    )


# Start-time fair queuing: a user's job comes behind their own, and a newcomer's first beside the one that
# began last, or the first that waits. The one that a user began there last is their own too: else those who
# ask again and again would always be newcomers. Of equal ranks the older goes first. Two that are stored at
# the same instant may get the same rank, which costs one turn at most. After Goyal, Vin, Cheng: Start-time
# Fair Queueing, SIGCOMM 1996.
_RANK = """CASE WHEN {shares_lane} THEN GREATEST(1,
    (SELECT max(rank) + 1 FROM jobs WHERE lane = {lane} AND user_id = {user_id}
        AND status IN ('queued', 'in_progress')),
    (SELECT min(rank) FROM jobs WHERE lane = {lane} AND status IN ('queued', 'in_progress')),
    (SELECT served + EXISTS (SELECT FROM jobs WHERE lane = {lane} AND user_id = {user_id} AND rank = served
        AND rank > 0 AND started_at IS NOT NULL)::int
        FROM (SELECT max(rank) AS served FROM jobs WHERE lane = {lane}
            AND rank > 0 AND started_at IS NOT NULL) AS begun)
    ) ELSE 0 END"""


def insertion_values(job: NewJob) -> tuple[object, ...]:
    """Return the parameters of :func:`insertion`; the job belongs to the trace that is under way here."""
    return (
        job.id,
        job.kind.value,
        job.lane,
        job.user_id,
        job.subject_id,
        job.attempt,
        job.attempt + attempts_of(job.kind),
        job.request_id,
        job.shares_lane,
        job.wait,
        tracing.traceparent(),
    )


#: Whether a row of ``jobs`` that waits may run as far as its lane goes: nothing of it runs, and what is
#: before it has ended, or, where the lane is shared, is not due yet. A shared lane is that of a server that
#: people have in common: what was cancelled there keeps the lane until it has been stopped.
IS_HEAD = """(NOT EXISTS (SELECT FROM jobs AS ahead WHERE ahead.lane = jobs.lane AND ahead.id <> jobs.id
    AND ahead.status IN ('queued', 'in_progress') AND (ahead.status = 'in_progress'
    OR (ahead.rank, ahead.sequence) < (jobs.rank, jobs.sequence)
    AND (jobs.rank = 0 OR ahead.due_at <= now())))
    AND (jobs.rank = 0 OR NOT EXISTS (SELECT FROM jobs AS stopping WHERE stopping.lane = jobs.lane
        AND stopping.status = 'cancelled' AND stopping.lease_until > now())))"""
#: The lease of a job that is cancelled: see :func:`let_go`.
_STOPPING = f"""CASE WHEN status = 'in_progress' AND rank > 0
    THEN now() + interval '{STOPPING} seconds' END"""


#: The claim as a part of a larger statement. Its parameters are the job's id, the worker, the lease, the cap
#: on what a user has running at once, and the slot to try first. Slots from 1 to the cap make it exact: of
#: two claims that take the same one at the same instant, the unique index refuses the second. Whatever is
#: claimed with a cap takes its slots from the same ones: replies and completions count together.
CLAIM = f"""
UPDATE jobs SET status = 'in_progress', attempt = attempt + 1, worker = $2, started_at = now(),
       lease_until = now() + $3 * interval '1 second', slot = NULLIF(free.slot, 0)
FROM (
    SELECT CASE WHEN $4::int IS NULL OR user_id IS NULL THEN 0 ELSE (
        SELECT number % $4 + 1 FROM generate_series($5::int, $5 + $4 - 1) AS number
        WHERE NOT EXISTS (SELECT FROM jobs AS running WHERE running.user_id = waiting.user_id
            AND running.slot = number % $4 + 1
            AND running.status = 'in_progress')
        LIMIT 1) END AS slot
    FROM jobs AS waiting WHERE id = $1
) AS free
WHERE id = $1 AND status = 'queued' AND due_at <= now() AND free.slot IS NOT NULL AND {IS_HEAD}
RETURNING id AS job_id, kind, lane, attempt, max_attempts, subject_id, user_id, request_id,
    created_at, EXTRACT(epoch FROM now() - due_at)::float8 AS overdue, traceparent
"""  # noqa: S608 - a constant
_SLOT_INDEX = "jobs_user_slot"


async def claim(
    statement: str, job_id: UUID, *more: object, worker: str, cap: int | None = None
) -> Record | None:
    """Claim a job by a statement that holds :data:`CLAIM` and does more for it; ``more`` is $6 and on.

    A job is claimed when it is queued, due, and at the head of its lane, and when its user has fewer than
    ``cap`` jobs running that were claimed with a cap (None: any number). The attempt is counted before it
    runs.

    Returns:
        The statement's row, or None when there is nothing to do.
    """
    while True:
        first_slot = randrange(cap) if cap else 0  # noqa: S311 - it spreads claims and guards nothing
        try:
            async with ENGINE.connection() as connection:
                return await connection.fetchrow(statement, job_id, worker, LEASE, cap, first_slot, *more)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != _SLOT_INDEX:  # the lane's running job was claimed at the same instant
                return None


_HELD = """
SELECT id FROM jobs JOIN unnest($1::uuid[], $2::int[]) AS mine (job_id, mine_attempt) ON id = job_id
WHERE attempt = mine_attempt AND status = 'in_progress'
"""


_HEARTBEAT = f"""
UPDATE jobs SET lease_until = now() + $3 * interval '1 second'
WHERE id IN ({_HELD} FOR UPDATE OF jobs SKIP LOCKED)
"""  # noqa: S608 - a constant


async def held(claims: Sequence[Claim]) -> set[UUID]:
    """Return the ids of those jobs that are still their claimant's."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_HELD, *_fences(claims))
    return {row["id"] for row in rows}


async def heartbeat(claims: Sequence[Claim]) -> None:
    """Prolong the leases of those jobs that are still their claimant's.

    A row that somebody else is changing just now is left to the next heartbeat.
    """
    async with ENGINE.connection() as connection:
        await connection.execute(_HEARTBEAT, *_fences(claims), LEASE)


def _fences(claims: Sequence[Claim]) -> tuple[list[UUID], list[int]]:
    return [claim.job_id for claim in claims], [claim.attempt for claim in claims]


async def complete(claim: Claim, *, result: Mapping[str, int | str] | None = None) -> bool:
    """End the job well, with what came of it; False when it is no longer the caller's."""
    return await _end(claim, JobStatus.COMPLETED, None, None, result)


def completion() -> str:
    """Return the part of a larger statement that ends a job well, as :func:`complete` does without a result.

    Its row, ``ended_job``, is missing when the job is no longer the caller's: the rest must depend on it.
    Parameters $1 and $2 are the job's id and attempt.
    """
    return (
        "UPDATE jobs SET status = 'completed', completed_at = now(), result = NULL, lease_until = NULL,"
        " progress = 1 WHERE id = $1 AND attempt = $2 AND status = 'in_progress' RETURNING id AS ended_job"
    )


async def fail(claim: Claim, *, code: str, message: str) -> bool:
    """End the job for good with an error; False when it is no longer the caller's."""
    return await _end(claim, JobStatus.FAILED, code, message)


async def _end(
    claim: Claim,
    status: JobStatus,
    code: str | None,
    message: str | None,
    result: Mapping[str, int | str] | None = None,
) -> bool:
    async with ENGINE.connection() as connection:
        done = await connection.execute(
            "UPDATE jobs SET status = $3::text, error_code = $4, error_message = $5, completed_at = now(),"
            " result = $6, lease_until = NULL,"
            " progress = CASE WHEN $3::text = 'completed' THEN 1.0 ELSE progress END"
            " WHERE id = $1 AND attempt = $2 AND status = 'in_progress'",
            claim.job_id,
            claim.attempt,
            status.value,
            code,
            message,
            msgspec.json.encode(result).decode() if result is not None else None,
        )
    return bool(done == "UPDATE 1")


async def note_progress(claim: Claim, share: float) -> bool:
    """Store how far a job is, 0 to 1; False when it is no longer the caller's."""
    async with ENGINE.connection() as connection:
        done = await connection.execute(
            "UPDATE jobs SET progress = $3 WHERE id = $1 AND attempt = $2 AND status = 'in_progress'",
            claim.job_id,
            claim.attempt,
            share,
        )
    return bool(done == "UPDATE 1")


async def retry_later(claim: Claim, *, retry_after: float | None = None) -> float | None:
    """Put the job back in its queue, due after the pause of its attempt.

    Args:
        claim: the caller's right to the job.
        retry_after: a longer pause in seconds that the server asked for, heeded as far as its kind allows.

    Returns:
        The pause in seconds, or None when the job is lost.
    """
    pause = pause_after(claim, wish=retry_after)
    return pause if await _requeue(claim, pause=pause, more_attempts=0) else None


async def release(claim: Claim) -> bool:
    """Hand the job over at shutdown: queued and due at once, and the attempt does not count."""
    return await _requeue(claim, pause=0.0, more_attempts=1)


async def _requeue(claim: Claim, *, pause: float, more_attempts: int) -> bool:
    async with ENGINE.connection() as connection:
        result = await connection.execute(
            "UPDATE jobs SET status = 'queued', due_at = now() + $3 * interval '1 second',"
            " max_attempts = max_attempts + $4, progress = 0, published_at = NULL, lease_until = NULL,"
            " worker = NULL, slot = NULL"
            " WHERE id = $1 AND attempt = $2 AND status = 'in_progress'",
            claim.job_id,
            claim.attempt,
            pause,
            more_attempts,
        )
    return bool(result == "UPDATE 1")


async def rest(lane: str, *, seconds: float) -> None:
    """Let nothing of a shared lane begin for a while: whom it asks cannot answer now."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE jobs SET due_at = now() + $2 * interval '1 second' WHERE id IN ("
            "SELECT id FROM jobs WHERE lane = $1 AND status = 'queued'"
            " AND due_at < now() + $2 * interval '1 second' FOR UPDATE SKIP LOCKED)",
            lane,
            seconds,
        )


async def cancel(job_id: UUID) -> str | None:
    """End a job that has not ended yet; return the status it had, None when it had ended."""
    async with ENGINE.connection() as connection:
        status: str | None = await connection.fetchval(
            f"UPDATE jobs SET status = 'cancelled', completed_at = now(), lease_until = {_STOPPING} FROM ("  # noqa: S608 - a constant
            "SELECT id AS job_id, status AS before FROM jobs WHERE id = $1 FOR UPDATE) AS job"
            " WHERE id = job_id AND before IN ('queued', 'in_progress') RETURNING before",
            job_id,
        )
    return status


# In the order of ids, so that two such calls cannot wait for each other.
_CANCEL = f"""
UPDATE jobs SET status = 'cancelled', completed_at = now(), lease_until = {_STOPPING} WHERE id IN (
    SELECT id FROM jobs WHERE ({{which}}) AND status IN ('queued', 'in_progress') ORDER BY id FOR UPDATE)
RETURNING id AS job_id, kind, lane
"""  # noqa: S608 - a constant


async def lock_lane(lane: str) -> None:
    """Keep others from ending the jobs of a lane; for whoever ends one of them before the rest."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "SELECT FROM jobs WHERE lane = $1 AND status IN ('queued', 'in_progress') ORDER BY id FOR UPDATE",
            lane,
        )


async def let_go(claim: Claim) -> None:
    """Give back the lane that a cancelled job kept, now that nothing of it is at work any more."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE jobs SET lease_until = NULL WHERE id = $1 AND attempt = $2 AND status = 'cancelled'",
            claim.job_id,
            claim.attempt,
        )


async def let_go_of_dead() -> list[tuple[str, str]]:
    """Do the same for those whose worker does not do it any more; return (lane, kind) of each."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "UPDATE jobs SET lease_until = NULL WHERE id IN (SELECT id FROM jobs WHERE status = 'cancelled'"
            " AND lease_until < now() FOR UPDATE SKIP LOCKED) RETURNING lane, kind"
        )
    return [(row["lane"], row["kind"]) for row in rows]


async def cancel_lanes(lanes: list[str]) -> list[Cancelled]:
    """End every job of some lanes that has not ended yet."""
    return await _cancel("lane = ANY($1)", lanes)


async def cancel_many(job_ids: list[UUID]) -> list[Cancelled]:
    """End those of some jobs that have not ended yet."""
    return await _cancel("id = ANY($1)", job_ids)


async def cancel_user(user_id: UUID) -> list[Cancelled]:
    """End every job of a user that has not ended yet."""
    # Two arms, since each of them has an index.
    which = "user_id = $1 AND status = 'queued' OR user_id = $1 AND status = 'in_progress'"
    return await _cancel(which, user_id)


async def _cancel(which: str, *values: object) -> list[Cancelled]:
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_CANCEL.format(which=which), *values)
    return [Cancelled(**row) for row in rows]


_RESCUE = """
UPDATE jobs SET lease_until = NULL, worker = NULL, slot = NULL, published_at = NULL, progress = 0,
    status = CASE WHEN attempt < max_attempts THEN 'queued' ELSE 'failed' END,
    due_at = now(),
    completed_at = CASE WHEN attempt < max_attempts THEN NULL ELSE now() END,
    error_code = CASE WHEN attempt < max_attempts THEN NULL ELSE 'worker_lost' END,
    error_message = CASE WHEN attempt < max_attempts THEN NULL
        ELSE 'It was interrupted several times. Ask for it again.' END
WHERE id IN (SELECT id FROM jobs WHERE status = 'in_progress' {which} FOR UPDATE SKIP LOCKED)
RETURNING id AS job_id, kind, lane, subject_id, status
"""
_RESCUE_EXPIRED = _RESCUE.format(which="AND lease_until < now()")
_RESCUE_ALL = _RESCUE.format(which="")


async def rescue(*, everything: bool = False) -> list[Rescued]:
    """Take back the jobs whose lease is over, so that they run again or fail.

    Args:
        everything: take back every running job; only for a start at which no worker can be alive.
    """
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_RESCUE_ALL if everything else _RESCUE_EXPIRED)
    return [Rescued(**row) for row in rows]


async def delete_ended(limit: int, *, days: int) -> int:
    """Forget up to ``limit`` of the jobs that ended more than ``days`` days ago; return how many."""
    return await delete_older("jobs", "completed_at", limit=limit, age=timedelta(days=days))
