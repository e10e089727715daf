"""How the jobs are doing, for those who run the hub: counts and codes, never what a job is about or whose."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from hub.db.engine import ENGINE
from hub.jobs.contracts import JobKind


class KindOfJobs(Struct, frozen=True, kw_only=True):
    """The jobs of one kind.

    `queued` could run now, the one that could for longest since `oldest_wait_seconds` (null when none waits);
    `scheduled` are due later, most of them between two attempts. `completed`, `failed` and `cancelled` are
    those that ended in the last 24 hours.
    """

    kind: str
    queued: int = 0
    scheduled: int = 0
    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    oldest_wait_seconds: float | None = None


class FailedJob(Struct, frozen=True, kw_only=True):
    """A job that failed for good."""

    id: UUID
    kind: str
    failed_at: datetime
    error_code: str | None


class JobsOverview(Struct, frozen=True, kw_only=True):
    """How the jobs of every kind are doing, and the last that failed, the latest first."""

    kinds: list[KindOfJobs]
    failures: list[FailedJob]


# Each arm has an index of its own: jobs_due, those of running jobs, jobs_ended.
_UNFINISHED = """
SELECT kind, CASE WHEN due_at > now() THEN 'scheduled' ELSE 'queued' END AS state, count(*) AS count
FROM jobs WHERE status = 'queued' GROUP BY kind, state
UNION ALL SELECT kind, 'in_progress', count(*) FROM jobs WHERE status = 'in_progress' GROUP BY kind
"""
_COUNTS = """
SELECT kind, CASE WHEN due_at > now() THEN 'scheduled' ELSE 'queued' END AS state, count(*) AS count,
    CASE WHEN min(due_at) <= now() THEN extract(epoch FROM now() - min(due_at))::float8 END AS oldest
FROM jobs WHERE status = 'queued' GROUP BY kind, state
UNION ALL SELECT kind, 'in_progress', count(*), NULL FROM jobs WHERE status = 'in_progress' GROUP BY kind
UNION ALL SELECT kind, status, count(*), NULL FROM jobs WHERE completed_at > now() - interval '24 hours'
    GROUP BY kind, status
"""
_FAILURES = """
SELECT id, kind, completed_at AS failed_at, error_code FROM jobs
WHERE status = 'failed' AND completed_at IS NOT NULL ORDER BY completed_at DESC LIMIT $1
"""


async def overview(*, failures: int) -> JobsOverview:
    """Count the jobs of every kind and return them with the last ``failures`` that failed."""
    return JobsOverview(kinds=await count(), failures=await last_failures(failures))


async def count() -> list[KindOfJobs]:
    """Return the counts of every kind, also of those that have no jobs."""
    kinds = {kind.value: KindOfJobs(kind=kind.value) for kind in JobKind}
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_COUNTS)
    for row in rows:
        counted = replace(kinds[row["kind"]], **{row["state"]: row["count"]})
        if row["oldest"] is not None:
            counted = replace(counted, oldest_wait_seconds=row["oldest"])
        kinds[row["kind"]] = counted
    return list(kinds.values())


async def unfinished() -> dict[tuple[str, str], int]:
    """Return how many jobs have not ended, by kind and state: queued, scheduled or in_progress."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_UNFINISHED)
    return {(row["kind"], row["state"]): row["count"] for row in rows}


async def last_failures(limit: int) -> list[FailedJob]:
    """Return the last jobs that failed for good, the latest first."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_FAILURES, limit)
    return [FailedJob(**row) for row in rows]


async def count_abandoned(*, seconds: float) -> int:
    """Return how many jobs lost their worker so long ago and were given to no other."""
    async with ENGINE.connection() as connection:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM jobs WHERE status = 'in_progress'"
            " AND lease_until < now() - $1 * interval '1 second'",
            seconds,
        )
    return count
