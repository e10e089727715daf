"""The relay's lag: how long something has waited that could run, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hub.core.ids import new_id
from hub.jobs import overview, queue, store
from hub.jobs.contracts import JobKind, NewJob
from tests.migration.conftest import engine_at
from tests.services.world import query

USER = new_id()


@pytest.fixture
async def database(ready_database: str) -> AsyncIterator[str]:
    """Yield a database to which this process is connected."""
    async with engine_at(ready_database):
        yield ready_database


async def wait(database: str, lane: str, *, seconds: float) -> None:
    """Store a reply's job that has been due for so long, or is due only then if ``seconds`` is negative."""
    job_id = new_id()
    await store.insert(
        NewJob(id=job_id, kind=JobKind.REPLY, lane=lane, user_id=USER, subject_id=job_id, request_id="")
    )
    await query(
        database, "UPDATE jobs SET due_at = now() - $2 * interval '1 second' WHERE id = $1", job_id, seconds
    )


async def test_it_is_that_of_the_oldest_job_that_could_run(database: str) -> None:
    assert await queue.lag(cap=None) == 0
    await wait(database, "a", seconds=-60)
    assert await queue.lag(cap=None) == 0
    await wait(database, "b", seconds=10)
    await wait(database, "b", seconds=100)  # it is behind the other
    await wait(database, "c", seconds=50)
    assert 50 <= await queue.lag(cap=None) < 60
    await query(database, "UPDATE jobs SET status = 'in_progress', slot = 1 WHERE lane = 'c'")
    assert 10 <= await queue.lag(cap=2) < 20
    assert await queue.lag(cap=1) == 0  # their user has as many running as they may
    assert await overview.unfinished() == {
        ("reply", "scheduled"): 1,
        ("reply", "queued"): 2,
        ("reply", "in_progress"): 1,
    }
