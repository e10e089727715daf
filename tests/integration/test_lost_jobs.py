"""The keeper: what it takes for lost, and what is only just ending."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from actors.keeper import Keeper
from hub.core.ids import new_id
from hub.db.engine import ENGINE
from hub.jobs import store
from hub.jobs.contracts import Claim, JobKind, NewJob
from hub.live.bus import Bus
from tests.services.fixtures import migrated_database


@pytest.fixture(scope="module")
async def dsn(postgres: str) -> AsyncIterator[str]:
    """Open a database of its own."""
    found = await migrated_database(postgres)
    await ENGINE.open(found, pool_size=2)
    yield found
    await ENGINE.close()


@pytest.fixture
async def claim(dsn: str) -> Claim:
    """Return the right to a job that has begun."""
    assert dsn
    job_id = new_id()
    await store.insert(
        NewJob(
            id=job_id,
            kind=JobKind.IMAGE,
            lane=f"image:{job_id}",
            user_id=new_id(),
            subject_id=job_id,
            request_id="",
        )
    )
    row = await store.claim(store.CLAIM, job_id, worker="test")
    assert row is not None
    return Claim(**row)


async def test_an_end_that_is_just_written_is_no_loss(dsn: str, claim: Claim) -> None:
    keeper, lost = Keeper(Bus(dsn)), list[str]()
    with keeper.keeping(claim, lambda: lost.append("it")):
        await keeper.look()
        assert await store.complete(claim)
        await keeper.look()  # before those who ended it could do what comes after
        assert lost == []


async def test_what_was_taken_away_is_lost(dsn: str, claim: Claim) -> None:
    keeper, lost = Keeper(Bus(dsn)), list[str]()
    with keeper.keeping(claim, lambda: lost.append("it")):
        async with ENGINE.connection() as connection:
            await connection.execute("UPDATE jobs SET attempt = attempt + 1 WHERE id = $1", claim.job_id)
        await keeper.look()
        await keeper.look()
        await keeper.look()
        assert lost == ["it"]
