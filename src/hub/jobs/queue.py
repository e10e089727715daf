"""Which jobs to ring for, and what has been rung for: the relay's side of the jobs table.

Rows that somebody else is changing are passed over everywhere here: the next sweep finds them again.
"""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from hub.db.engine import ENGINE
from hub.jobs.contracts import TURNS, Claim, JobKind, counted_with
from hub.jobs.store import IS_HEAD

_TURNS = ", ".join(f"'{kind}'" for kind in TURNS)
_RUNNING = f"""(SELECT count(*) FROM jobs AS running WHERE running.user_id = jobs.user_id
        AND (running.kind = jobs.kind OR running.kind IN ({_TURNS}) AND jobs.kind IN ({_TURNS}))
        AND running.status = 'in_progress')"""  # noqa: S608 - constants

_WAITING = f"""
    SELECT id AS job_id, published_at IS NOT NULL AS was_published FROM jobs
    WHERE status = 'queued' AND due_at <= now() AND {{which}}
    AND (published_at IS NULL AND created_at < now() - $2 * interval '1 second'
         OR published_at < now() - $3::float8 * interval '1 second')
    AND {IS_HEAD} AND ($4::int IS NULL OR {_RUNNING} < $4)
    ORDER BY due_at LIMIT {{limit}} FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - constants
# Deliveries come last: those that find no place are due again at once, and may be more than a sweep takes.
_DUE = f"""
WITH waited_for AS ({_WAITING.format(which=f"kind <> '{JobKind.WEBHOOK}'", limit="$1")}),
deliveries AS ({
    _WAITING.format(
        which=f"kind = '{JobKind.WEBHOOK}'", limit="GREATEST($1 - (SELECT count(*) FROM waited_for), 0)"
    )
})
UPDATE jobs SET published_at = now() FROM (TABLE waited_for UNION ALL TABLE deliveries) AS due
WHERE id = job_id RETURNING id, kind, was_published
"""  # noqa: S608 - constants


_LAG = f"""
SELECT extract(epoch FROM now() - due_at)::float8 FROM jobs
WHERE status = 'queued' AND due_at <= now() AND {IS_HEAD} AND ($1::int IS NULL OR {_RUNNING} < $1)
ORDER BY due_at LIMIT 1
"""  # noqa: S608 - constants


class DueJob(Struct, frozen=True):
    """A job to ring for; ``was_published`` if that was done before, and nobody came."""

    id: UUID
    kind: str
    was_published: bool


async def take_due(*, limit: int, fresh: float, stale: float | None, cap: int | None) -> list[DueJob]:
    """Stamp and return jobs that should be rung for, each at the head of its lane.

    Args:
        limit: most jobs returned.
        fresh: seconds for which a new job is left to whoever stored it, which rings at once.
        stale: seconds after which a job that was rung for and still waits is rung for again; None: never.
        cap: jobs of a kind, or turns of any, that one user may have running; those of a user who has are
            left out.
    """
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_DUE, limit, fresh, stale, cap)
    return [DueJob(*row) for row in rows]


async def lag(*, cap: int | None) -> float:
    """Return for how many seconds the oldest job waits that could run now; 0 when there is none.

    What waits for its turn in a lane, or for others of its user, does not count.
    """
    async with ENGINE.connection() as connection:
        seconds: float | None = await connection.fetchval(_LAG, cap)
    return seconds or 0.0


_STAMP = """
UPDATE jobs SET published_at = now() - age * interval '1 second' FROM (
    SELECT id AS job_id, age FROM jobs JOIN unnest($1::uuid[], $2::float8[]) AS published (published_id, age)
    ON id = published_id WHERE status = 'queued' AND due_at <= now() - age * interval '1 second'
    FOR UPDATE OF jobs SKIP LOCKED) AS rung
WHERE id = job_id
"""


async def stamp(published: list[tuple[UUID, float]]) -> None:
    """Note that jobs were published, each so many seconds ago.

    Those that run need no note, and those that were handed back since then must not get one: what was
    published for them has been used up.
    """
    async with ENGINE.connection() as connection:
        await connection.execute(_STAMP, [each[0] for each in published], [each[1] for each in published])


_FORGET = """
UPDATE jobs SET published_at = NULL WHERE id IN (
    SELECT id FROM jobs WHERE status = 'queued' AND published_at IS NOT NULL
    AND ($1::uuid[] IS NULL OR id = ANY($1)) FOR UPDATE SKIP LOCKED)
"""


async def forget_published(job_ids: list[UUID] | None = None) -> None:
    """Have queued jobs published again by the next sweep, since what was published for them is lost.

    Args:
        job_ids: the jobs whose messages were dropped or refused, or None for all: a broker in a process
            that is gone.
    """
    async with ENGINE.connection() as connection:
        await connection.execute(_FORGET, job_ids)


_NEXT = f"""
(SELECT id, kind FROM jobs WHERE lane = $1 AND status = 'queued' AND due_at <= now() AND {IS_HEAD}
ORDER BY rank, sequence LIMIT 1)
UNION
(SELECT id, kind FROM jobs
WHERE $4::int IS NOT NULL AND kind = ANY($2) AND user_id = $3 AND status = 'queued' AND due_at <= now()
AND {IS_HEAD}
ORDER BY sequence LIMIT GREATEST($4 - (
    SELECT count(*) FROM jobs WHERE kind = ANY($2) AND user_id = $3 AND status = 'in_progress'), 0))
"""  # noqa: S608 - constants


async def next_after(
    lane: str, *, kind: str, user_id: UUID | None, cap: int | None
) -> list[tuple[UUID, str]]:
    """Return what may run now that a job has ended: (id, kind) of its lane's next, and of its user's.

    Args:
        lane: the lane of the job that ended.
        kind: its kind.
        user_id: whose job it was.
        cap: jobs of a kind, or turns of any, that one user may have running, which kept others waiting.
    """
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_NEXT, lane, counted_with(kind), user_id, cap)
    return [(row["id"], row["kind"]) for row in rows]


async def ring_next_later(claim: Claim, *, cap: int | None = None) -> None:
    """Have the next sweep ring for what waited for a job that ended as soon as it was claimed.

    It may have been rung for in vain just now.
    """
    behind = await next_after(claim.lane, kind=claim.kind, user_id=claim.user_id, cap=cap)
    await forget_published([job_id for job_id, _ in behind])
