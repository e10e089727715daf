"""Work that comes again, by a schedule in the database, whose clock is the only one that counts.

Any number of processes may look for what is due: one of them takes a schedule, moves it on and stores its
job, all or nothing. From there on it is a job like others. Times that were missed are made up for once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from hub.core.ids import new_id
from hub.db.engine import ENGINE
from hub.jobs import store
from hub.jobs.contracts import JobKind, NewJob

_LANE = "maintenance:"

_ENSURE = """
INSERT INTO schedules (id, name, every_seconds, due_at)
SELECT gen_random_uuid(), name, every, now() + every * interval '1 second'
FROM unnest($1::text[], $2::int[]) AS wanted (name, every) ON CONFLICT (name) DO NOTHING
"""


async def ensure(periods: Mapping[str, timedelta]) -> None:
    """Store the schedules that are not there yet, first due after one period; the others stay as they are.

    Args:
        periods: how often, by name.
    """
    seconds = [int(each.total_seconds()) for each in periods.values()]
    async with ENGINE.connection() as connection:
        await connection.execute(_ENSURE, list(periods), seconds)


# A job that waits or runs is enough: what it will find covers this time too. A time further away than one
# period, and than whoever took it a moment ago may have put it, is of a clock that has been put back since.
_TAKE = """
UPDATE schedules SET due_at = now() + every_seconds * interval '1 second'
WHERE id = (SELECT id FROM schedules WHERE name = ANY($1)
            AND (due_at <= now() OR due_at > now() + (every_seconds + 60) * interval '1 second')
            ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, name, EXISTS (
    SELECT FROM jobs WHERE jobs.id = job_id AND status IN ('queued', 'in_progress')) AS is_busy
"""


async def take_due(names: list[str]) -> NewJob | None:
    """Take one schedule that is due, move it on by its period, and store its job.

    Args:
        names: the schedules to look at: those whose work the caller's version knows.

    Returns:
        The job, to be rung for; None when nothing has to be done now.
    """
    while True:
        async with ENGINE.transaction(), ENGINE.connection() as connection:
            row = await connection.fetchrow(_TAKE, names)
            if row is None:
                return None
            if row["is_busy"]:
                continue
            job = NewJob(
                id=new_id(),
                kind=JobKind.MAINTENANCE,
                lane=_LANE + row["name"],
                user_id=None,
                subject_id=row["id"],
                request_id="",
            )
            await store.insert(job)
            await connection.execute("UPDATE schedules SET job_id = $2 WHERE id = $1", row["id"], job.id)
            return job


def name_in(lane: str) -> str:
    """Return the name of the schedule whose jobs run in a lane."""
    return lane.removeprefix(_LANE)
