"""Every change of a job's row, each one a compare-and-set.

    queued -> in_progress -> completed | failed | cancelled
       ^          |
       +----------+  retried, released at shutdown, or rescued after a silence

A function here joins the transaction that its caller has open, so that a job changes together with what
it is about. Whoever gets ``False`` or ``None`` has lost the job: it writes nothing more.
"""

from __future__ import annotations

from uuid import UUID

import asyncpg
from asyncpg import Record

from hub.db.engine import ENGINE
from hub.jobs.contracts import LEASE, MAX_ATTEMPTS, Claim, JobStatus, NewJob, Rescued, retry_delay


async def insert(job: NewJob) -> None:
    """Store a job that is due at once."""
    async with ENGINE.connection() as connection:
        await connection.execute(insertion(first=1), *insertion_values(job))


def insertion(*, first: int, source: str = "") -> str:
    """Return the statement that stores a job, or the part of a larger one that does.

    Args:
        first: number of the first of its parameters, which are :func:`insertion_values`.
        source: what stands behind the SELECT of the job's values: it is stored if this gives a row.
    """
    types = ("uuid", "text", "text", "uuid", "uuid", "int", "int", "text")
    values = ", ".join(f"${first + at}::{each}" for at, each in enumerate(types))
    return (
        "INSERT INTO jobs (id, kind, lane, user_id, subject_id, attempt, max_attempts, request_id)"
        f" SELECT {values} {source}"
    )


def insertion_values(job: NewJob) -> tuple[object, ...]:
    """Return the parameters of :func:`insertion`."""
    return (
        job.id,
        job.kind.value,
        job.lane,
        job.user_id,
        job.subject_id,
        job.attempt,
        job.attempt + MAX_ATTEMPTS,
        job.request_id,
    )


#: The claim as a part of a larger statement; its parameters are the job's id, the worker and the lease.
CLAIM = """
UPDATE jobs SET status = 'in_progress', attempt = attempt + 1, worker = $2, started_at = now(),
       lease_until = now() + $3 * interval '1 second'
WHERE id = $1 AND status = 'queued' AND due_at <= now() AND NOT EXISTS (
    SELECT FROM jobs AS ahead WHERE ahead.lane = jobs.lane AND ahead.sequence < jobs.sequence
    AND ahead.status IN ('queued', 'in_progress'))
RETURNING id AS job_id, kind, lane, attempt, max_attempts, subject_id, user_id, request_id,
    created_at
"""


async def claim(statement: str, job_id: UUID, *more: object, worker: str) -> Record | None:
    """Claim a job by a statement that holds :data:`CLAIM` and does more for it; ``more`` is $4 and on.

    A job is claimed when it is queued, due, and at the head of its lane; the attempt is counted before it
    runs.

    Returns:
        The statement's row, or None when there is nothing to do.
    """
    async with ENGINE.connection() as connection:
        try:
            return await connection.fetchrow(statement, job_id, worker, LEASE, *more)
        except asyncpg.UniqueViolationError:  # the lane's running job was claimed at the same instant
            return None


async def heartbeat(claim: Claim) -> bool:
    """Prolong the lease; False when the job is no longer the caller's."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "UPDATE jobs SET lease_until = now() + $3 * interval '1 second'"
            " WHERE id = $1 AND attempt = $2 AND status = 'in_progress'",
            claim.job_id,
            claim.attempt,
            LEASE,
        )
    return bool(status == "UPDATE 1")


async def complete(claim: Claim) -> bool:
    """End the job well; False when it is no longer the caller's."""
    return await _end(claim, JobStatus.COMPLETED, None, None)


async def fail(claim: Claim, *, code: str, message: str) -> bool:
    """End the job for good with an error; False when it is no longer the caller's."""
    return await _end(claim, JobStatus.FAILED, code, message)


async def _end(claim: Claim, status: JobStatus, code: str | None, message: str | None) -> bool:
    async with ENGINE.connection() as connection:
        result = await connection.execute(
            "UPDATE jobs SET status = $3::text, error_code = $4, error_message = $5, completed_at = now(),"
            " lease_until = NULL, progress = CASE WHEN $3::text = 'completed' THEN 1.0 ELSE progress END"
            " WHERE id = $1 AND attempt = $2 AND status = 'in_progress'",
            claim.job_id,
            claim.attempt,
            status.value,
            code,
            message,
        )
    return bool(result == "UPDATE 1")


async def retry_later(claim: Claim, *, retry_after: float | None = None) -> float | None:
    """Put the job back in its queue, due after the pause of its attempt.

    Args:
        claim: the caller's right to the job.
        retry_after: a longer pause in seconds that the provider asked for, heeded up to a minute.

    Returns:
        The pause in seconds, or None when the job is lost.
    """
    tries = claim.attempt - (claim.max_attempts - MAX_ATTEMPTS)
    pause = max(retry_delay(max(tries, 1)), min(retry_after or 0.0, 60.0))
    return pause if await _requeue(claim, pause=pause, more_attempts=0) else None


async def release(claim: Claim) -> bool:
    """Hand the job over at shutdown: queued and due at once, and the attempt does not count."""
    return await _requeue(claim, pause=0.0, more_attempts=1)


async def _requeue(claim: Claim, *, pause: float, more_attempts: int) -> bool:
    async with ENGINE.connection() as connection:
        result = await connection.execute(
            "UPDATE jobs SET status = 'queued', due_at = now() + $3 * interval '1 second',"
            " max_attempts = max_attempts + $4, published_at = NULL, lease_until = NULL, worker = NULL"
            " WHERE id = $1 AND attempt = $2 AND status = 'in_progress'",
            claim.job_id,
            claim.attempt,
            pause,
            more_attempts,
        )
    return bool(result == "UPDATE 1")


async def cancel(job_id: UUID) -> bool:
    """End a job that has not ended yet; False when it had."""
    async with ENGINE.connection() as connection:
        result = await connection.execute(
            "UPDATE jobs SET status = 'cancelled', completed_at = now(), lease_until = NULL"
            " WHERE id = $1 AND status IN ('queued', 'in_progress')",
            job_id,
        )
    return bool(result == "UPDATE 1")


async def cancel_lanes(lanes: list[str]) -> list[UUID]:
    """End every job of some lanes that has not ended yet; return their ids."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "UPDATE jobs SET status = 'cancelled', completed_at = now(), lease_until = NULL"
            " WHERE lane = ANY($1) AND status IN ('queued', 'in_progress') RETURNING id",
            lanes,
        )
    return [row["id"] for row in rows]


_RESCUE = """
UPDATE jobs SET lease_until = NULL, worker = NULL, published_at = NULL,
    status = CASE WHEN attempt < max_attempts THEN 'queued' ELSE 'failed' END,
    due_at = now(),
    completed_at = CASE WHEN attempt < max_attempts THEN NULL ELSE now() END,
    error_code = CASE WHEN attempt < max_attempts THEN NULL ELSE 'worker_lost' END,
    error_message = CASE WHEN attempt < max_attempts THEN NULL
        ELSE 'It was interrupted several times. Ask for it again.' END
WHERE id IN (SELECT id FROM jobs WHERE status = 'in_progress' AND (lease_until < now() OR $1)
             FOR UPDATE SKIP LOCKED)
RETURNING id AS job_id, kind, subject_id, status
"""


async def rescue(*, everything: bool = False) -> list[Rescued]:
    """Take back the jobs whose lease is over, so that they run again or fail.

    Args:
        everything: take back every running job; only for a start at which no worker can be alive.
    """
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_RESCUE, everything)
    return [Rescued(**row) for row in rows]


_DUE = """
UPDATE jobs SET published_at = now() WHERE id IN (
    SELECT id FROM jobs WHERE status = 'queued' AND due_at <= now()
    AND (published_at IS NULL AND created_at < now() - $2 * interval '1 second'
         OR published_at < now() - $3 * interval '1 second')
    AND NOT EXISTS (SELECT FROM jobs AS ahead WHERE ahead.lane = jobs.lane
        AND ahead.sequence < jobs.sequence AND ahead.status IN ('queued', 'in_progress'))
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id, kind
"""


async def take_due(*, limit: int, fresh: float, stale: float) -> list[tuple[UUID, str]]:
    """Stamp and return jobs that should be rung for: (id, kind), each at the head of its lane.

    Args:
        limit: most jobs returned.
        fresh: seconds for which a new job is left to whoever stored it, which rings at once.
        stale: seconds after which a job that was rung for and still waits is rung for again.
    """
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_DUE, limit, fresh, stale)
    return [(row["id"], row["kind"]) for row in rows]


_STAMP = """
UPDATE jobs SET published_at = now() - age * interval '1 second'
FROM unnest($1::uuid[], $2::float8[]) AS published (job_id, age)
WHERE id = job_id AND status = 'queued' AND due_at <= now() - age * interval '1 second'
"""


async def stamp(published: list[tuple[UUID, float]]) -> None:
    """Note that jobs were published, each so many seconds ago.

    Those that run need no note, and those that were handed back since then must not get one: what was
    published for them has been used up.
    """
    async with ENGINE.connection() as connection:
        await connection.execute(_STAMP, [each[0] for each in published], [each[1] for each in published])


async def forget_published(job_ids: list[UUID] | None = None) -> None:
    """Have queued jobs published again by the next sweep, since what was published for them is lost.

    Args:
        job_ids: the jobs whose messages were dropped or refused, or None for all: a broker in a process
            that is gone.
    """
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE jobs SET published_at = NULL"
            " WHERE status = 'queued' AND published_at IS NOT NULL AND ($1::uuid[] IS NULL OR id = ANY($1))",
            job_ids,
        )


async def next_in_lane(lane: str) -> tuple[UUID, str] | None:
    """Return the job that now heads the lane, if it is queued and due."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT id, kind, status, due_at <= now() AS due FROM jobs"
            " WHERE lane = $1 AND status IN ('queued', 'in_progress') ORDER BY sequence LIMIT 1",
            lane,
        )
    if row is None or row["status"] != "queued" or not row["due"]:
        return None
    return row["id"], row["kind"]
