"""Reports of workers: whatever is taken when, each count is handed on once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from actors.metrics import Reporter
from hub.core import metrics
from hub.domain.monitoring import reports
from tests.migration.conftest import engine_at
from tests.services.world import query


@pytest.fixture
async def database(ready_database: str) -> AsyncIterator[str]:
    """Yield a database to which this process is connected."""
    async with engine_at(ready_database):
        yield ready_database


async def taken() -> float:
    """Take what was handed in; return how many failed responses it tells."""
    counts = await reports.take()
    return sum(each.added for each in counts if each.labels == {"status": "failed"} and "resp" in each.sample)


async def test_each_count_is_handed_on_once(database: str) -> None:
    failed, reporter = metrics.RESPONSES.labels("failed"), Reporter()
    await reporter.report()
    assert await query(database, "SELECT id FROM worker_reports") == []  # there is nothing to tell
    failed.inc(2)
    await reporter.report()
    failed.inc(3)
    await reporter.report()
    assert len(await query(database, "SELECT id FROM worker_reports")) == 1
    assert await taken() == 5
    await reporter.report()
    assert await taken() == 0
    failed.inc()
    await reporter.report()
    assert await taken() == 1
    failed.inc(4)
    other = Reporter()
    await reporter.report()
    failed.inc()
    await other.report()
    await reporter.stop()  # tells what it counted last, too
    assert await taken() == 4 + 1 + 1


async def test_what_nobody_takes_is_forgotten_after_a_day(database: str) -> None:
    failed, dead, alive = metrics.RESPONSES.labels("failed"), Reporter(), Reporter()
    failed.inc()
    await dead.report()
    await query(database, "UPDATE worker_reports SET reported_at = now() - interval '25 hours'")
    await alive.report()
    assert await taken() == 1


async def test_a_report_that_failed_comes_later(database: str) -> None:
    failed, reporter = metrics.RESPONSES.labels("failed"), Reporter()
    failed.inc()
    await query(database, "ALTER TABLE worker_reports RENAME TO away")
    with pytest.raises(Exception, match="worker_reports"):
        await reporter.report()
    await query(database, "ALTER TABLE away RENAME TO worker_reports")
    await reporter.report()
    assert await taken() == 1


async def test_a_report_of_another_version_takes_no_other_with_it(database: str) -> None:
    statement = "INSERT INTO worker_reports (id, counts, reported_at) VALUES (gen_random_uuid(), $1, now())"
    await query(database, statement, '{"of": "tomorrow"}')
    reporter = Reporter()
    metrics.RESPONSES.labels("failed").inc()
    await reporter.report()
    assert await taken() == 1
