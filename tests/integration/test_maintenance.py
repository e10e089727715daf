"""What is over is removed in time, by one worker of many, whatever happens to it; nothing else is."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from hub.db.engine import ENGINE
from hub.jobs import schedules
from tests.fakes.llm_script import error
from tests.integration.conftest import Answers
from tests.migration.conftest import engine_at
from tests.services.fixtures import migrated_database
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.world import within

NAMES = {"rate_limits", "idempotency_keys", "tokens", "jobs"}

PEOPLE = """
INSERT INTO users (id, username, email, display_name, password_hash)
VALUES (md5('user')::uuid, 'ada', 'ada@example.org', 'Ada', '');
INSERT INTO companions (id, user_id, name) VALUES (md5('companion')::uuid, md5('user')::uuid, 'Mira');
INSERT INTO conversations (id, user_id, companion_id, last_position)
VALUES (md5('conversation')::uuid, md5('user')::uuid, md5('companion')::uuid, 1);
INSERT INTO messages (id, conversation_id, position, role, content)
VALUES (md5('message')::uuid, md5('conversation')::uuid, 1, 'user', 'Hello');
"""
# Of each kind one row that is just over, and one that is not yet, told by its name.
ROWS = """
WITH ages (name, age) AS (VALUES ('old', interval '1 second'), ('new', -interval '1 minute')),
limits AS (
    INSERT INTO rate_limits (id, action, subject, used, reset_at)
    SELECT gen_random_uuid(), 'send', name, 1, now() - age FROM ages),
keys AS (
    INSERT INTO idempotency_keys (id, user_id, key, request_hash, message_id, expires_at)
    SELECT gen_random_uuid(), md5('user')::uuid, name, '', md5('message')::uuid, now() - age FROM ages),
handed AS (
    INSERT INTO tokens (id, user_id, kind, token_hash, name, scopes, expires_at)
    SELECT gen_random_uuid(), md5('user')::uuid, kind, sha256((kind || name)::bytea), name,
        '{}'::varchar[], now() - age
    FROM ages, unnest(ARRAY['session', 'ticket', 'setup']) AS kind
    UNION ALL SELECT gen_random_uuid(), md5('user')::uuid, 'session', 'forever', 'new', '{}', NULL)
INSERT INTO jobs (id, kind, lane, subject_id, request_id, status, completed_at, created_at)
SELECT gen_random_uuid(), 'reply', 'test', gen_random_uuid(), name, status,
    now() - interval '3 days' - age, now() - interval '1 year'
FROM ages, unnest(ARRAY['completed', 'failed', 'cancelled']) AS status
"""
# One that waits and one that runs elsewhere, both for a year: neither has ended.
ACTIVE = """
INSERT INTO jobs (id, kind, lane, subject_id, request_id, status, created_at, due_at, lease_until)
SELECT gen_random_uuid(), 'reply', 'test ' || status, gen_random_uuid(), 'new', status,
    now() - interval '1 year', now() + interval '1 year', now() + interval '1 year'
FROM unnest(ARRAY['queued', 'in_progress']) AS status
"""
KEPT = """
SELECT 'rate_limits' AS kind, array_agg(subject::text) AS names FROM rate_limits
UNION ALL SELECT 'idempotency_keys', array_agg(key::text) FROM idempotency_keys
UNION ALL SELECT 'tokens', array_agg(name::text) FROM tokens
UNION ALL SELECT 'jobs', array_agg(request_id::text) FROM jobs WHERE kind = 'reply'
"""


@dataclass
class Upkeep:
    """Two workers over one database, and a connection to that database."""

    workers: list[HubServer]
    database: asyncpg.Connection

    async def fill(self) -> None:
        """Put the rows there that are over, and those that are not."""
        await self.database.execute("TRUNCATE rate_limits, idempotency_keys, tokens")
        await self.database.execute("DELETE FROM jobs WHERE kind = 'reply'")
        await self.database.execute(ROWS)

    async def make_due(self, *names: str, overdue: str = "1 second") -> None:
        """Make schedules due."""
        await self.database.execute(
            "UPDATE schedules SET due_at = now() - $2::text::interval WHERE name = ANY($1)",
            list(names),
            overdue,
        )

    async def job(self, name: str) -> dict[str, Any] | None:
        """Return the last job of a schedule."""
        row = await self.database.fetchrow(
            "SELECT jobs.* FROM jobs JOIN schedules ON jobs.id = job_id WHERE name = $1", name
        )
        return dict(row) if row else None

    async def jobs(self, name: str) -> int:
        """Return how many jobs a schedule has had."""
        sql = "SELECT count(*) FROM jobs JOIN schedules ON subject_id = schedules.id WHERE name = $1"
        return int(await self.database.fetchval(sql, name))

    async def has(self, name: str, status: str, *, attempt: int = 1, seconds: float = 20) -> dict[str, Any]:
        """Wait until the last job of a schedule has a status, in an attempt or a later one."""

        async def look() -> dict[str, Any] | None:
            job = await self.job(name)
            return job if job and job["status"] == status and job["attempt"] >= attempt else None

        return await within(seconds, look)

    async def run(self, name: str, **due: str) -> dict[str, Any]:
        """Make a schedule due and return its next job, completed."""
        before = await self.job(name)
        await self.make_due(name, **due)

        async def look() -> dict[str, Any] | None:
            job = await self.job(name)
            is_new = job is not None and (before is None or job["id"] != before["id"])
            return job if is_new and job is not None and job["status"] == "completed" else None

        return await within(20, look)

    def worker_of(self, job: dict[str, Any]) -> HubServer:
        """Return the worker that runs a job."""
        return next(each for each in self.workers if job["worker"].endswith(f":{each.pid}"))


@pytest.fixture(scope="module")
async def upkeep(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Upkeep]:
    """Yield two workers that were started at once on an empty database, where jobs are kept for 3 days."""
    dsn = await migrated_database(postgres)
    settings = {
        **llm_settings("http://127.0.0.1:1/v1"),
        "HUB_DATABASE_URL": dsn,
        "HUB_JOB_DAYS": "3",
        "HUB_LOG_FORMAT": "json",
    }
    folder = tmp_path_factory.mktemp("upkeep")
    workers = [HubServer(folder / f"worker{number}", "worker", **settings) for number in range(2)]
    await asyncio.gather(*(worker.start() for worker in workers))
    database = await asyncpg.connect(dsn)
    await database.execute(PEOPLE)
    yield Upkeep(workers, database)
    await database.close()
    for worker in workers:
        worker.close()


async def fill_limits(database: asyncpg.Connection, count: int) -> None:
    """Store counters that are over."""
    await database.execute(
        "INSERT INTO rate_limits (id, action, subject, used, reset_at)"
        " SELECT gen_random_uuid(), 'send', $2 || number, 1, now() - interval '1 second'"
        " FROM generate_series(1, $1) AS number",
        count,
        secrets.token_hex(4),
    )


@pytest.fixture
async def held(upkeep: Upkeep) -> AsyncIterator[asyncpg.Connection]:
    """Hold whoever deletes the last 1,500 counters, for as long as this connection has lock 42."""
    await upkeep.database.execute("""
        CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) FROM rate_limits) <= 1500 THEN
                PERFORM pg_advisory_xact_lock_shared(42);
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER held BEFORE DELETE ON rate_limits
        FOR EACH STATEMENT EXECUTE FUNCTION wait_for_the_test();
    """)
    await upkeep.database.execute("TRUNCATE rate_limits")
    await upkeep.database.execute("SELECT pg_advisory_lock(42)")
    yield upkeep.database
    await upkeep.database.execute("SELECT pg_advisory_unlock_all()")
    await upkeep.database.execute("DROP FUNCTION wait_for_the_test CASCADE")


async def someone_is_held(database: asyncpg.Connection) -> None:
    """Wait until somebody waits for a lock that this connection has."""
    blocked = "SELECT true FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid)) LIMIT 1"

    async def look() -> bool | None:
        await database.execute("SELECT pg_stat_clear_snapshot()")  # else new connections are not seen
        return bool(await database.fetchval(blocked)) or None

    await within(20, look)


async def test_the_schedules_are_there_and_first_due_after_their_period(upkeep: Upkeep) -> None:
    sql = (
        "SELECT name, every_seconds, due_at > now() + every_seconds * interval '0.5 seconds' AS ahead"
        " FROM schedules"
    )

    async def look() -> dict[str, int] | None:
        rows = await upkeep.database.fetch(sql)
        assert all(row["ahead"] for row in rows)
        return {row["name"]: row["every_seconds"] for row in rows} or None

    assert await within(10, look) == {
        "rate_limits": 600,
        "idempotency_keys": 3600,
        "tokens": 3600,
        "jobs": 3600,
        "images": 300,
        "stray_files": 21600,
    }
    assert await upkeep.database.fetchval("SELECT count(*) FROM jobs WHERE kind = 'maintenance'") == 0


async def test_only_what_is_over_goes_and_the_job_says_how_much(upkeep: Upkeep) -> None:
    await upkeep.fill()
    await upkeep.database.execute(ACTIVE)
    await upkeep.make_due(*NAMES)
    ended = {name: await upkeep.has(name, "completed") for name in NAMES}
    kept = {row["kind"]: row["names"] for row in await upkeep.database.fetch(KEPT)}
    assert kept == {
        "rate_limits": ["new"],
        "idempotency_keys": ["new"],
        "tokens": ["new"] * 4,
        "jobs": ["new"] * 5,
    }
    deleted = {name: json.loads(job["result"])["deleted"] for name, job in ended.items()}
    assert deleted == {"rate_limits": 1, "idempotency_keys": 1, "tokens": 3, "jobs": 3}
    for job in ended.values():
        assert (job["attempt"], job["progress"], job["user_id"]) == (1, 1.0, None)
    lines = [
        json.loads(line)
        for worker in upkeep.workers
        for line in worker.output.splitlines()
        if "maintenance completed" in line
    ]
    assert {line["task"]: line["deleted"] for line in lines} == deleted
    assert all(line["duration_ms"] > 0 and line["batches"] == 1 for line in lines)


async def test_what_was_missed_for_days_is_done_once(upkeep: Upkeep) -> None:
    """And by one of the two workers, which both look for it."""
    before = {name: await upkeep.jobs(name) for name in NAMES}
    await upkeep.make_due(*NAMES, overdue="10 days")

    async def look() -> bool | None:
        waiting = "SELECT count(*) FROM schedules WHERE due_at <= now()"
        return await upkeep.database.fetchval(waiting) == 0 or None

    await within(20, look)
    for name in NAMES:
        await upkeep.has(name, "completed")
        assert await upkeep.jobs(name) == before[name] + 1
    sql = "SELECT bool_and(due_at > now() + every_seconds * interval '0.9 seconds') FROM schedules"
    assert await upkeep.database.fetchval(sql), "the next time is a whole period away"


async def test_a_schedule_whose_job_still_runs_gets_no_second_one(
    upkeep: Upkeep, held: asyncpg.Connection
) -> None:
    await fill_limits(upkeep.database, 10)
    await upkeep.make_due("rate_limits")
    await someone_is_held(held)
    running = await upkeep.has("rate_limits", "in_progress")
    count = await upkeep.jobs("rate_limits")
    await upkeep.make_due("rate_limits")

    async def look() -> bool | None:
        sql = "SELECT due_at > now() FROM schedules WHERE name = 'rate_limits'"
        return await upkeep.database.fetchval(sql) or None

    await within(20, look)
    assert await upkeep.jobs("rate_limits") == count
    await held.execute("SELECT pg_advisory_unlock_all()")
    assert (await upkeep.has("rate_limits", "completed"))["id"] == running["id"]


async def test_a_worker_killed_in_the_middle_is_replaced(upkeep: Upkeep, held: asyncpg.Connection) -> None:
    await fill_limits(upkeep.database, 2500)
    await upkeep.make_due("rate_limits")
    await someone_is_held(held)
    job = await upkeep.has("rate_limits", "in_progress")
    assert await upkeep.database.fetchval("SELECT count(*) FROM rate_limits") == 1500
    worker = upkeep.worker_of(job)
    await worker.kill()
    await held.execute("SELECT pg_advisory_unlock_all()")
    await upkeep.database.execute(
        "UPDATE jobs SET lease_until = now() - interval '1 second' WHERE id = $1", job["id"]
    )
    done = await upkeep.has("rate_limits", "completed", attempt=2)
    assert done["id"] == job["id"]
    assert done["worker"] != job["worker"]
    assert await upkeep.database.fetchval("SELECT count(*) FROM rate_limits") == 0
    await worker.start()


async def test_a_worker_that_stops_hands_its_work_over(upkeep: Upkeep, held: asyncpg.Connection) -> None:
    await fill_limits(upkeep.database, 2500)
    await upkeep.make_due("rate_limits")
    await someone_is_held(held)
    job = await upkeep.has("rate_limits", "in_progress")
    worker = upkeep.worker_of(job)
    # The batch after the one that is held would be another 500: the worker stops before it.
    stopping = asyncio.create_task(worker.stop(signal.SIGTERM))
    await worker.wait_for('"stopping"')
    await held.execute("SELECT pg_advisory_unlock_all()")
    done = await upkeep.has("rate_limits", "completed", attempt=2)
    assert await stopping == 0
    assert done["worker"] != job["worker"]
    assert done["max_attempts"] == job["max_attempts"] + 1, "the attempt does not count"
    assert "maintenance handed over" in worker.output
    await worker.start()


async def test_a_worker_whose_job_was_taken_away_ends_nothing(
    upkeep: Upkeep, held: asyncpg.Connection
) -> None:
    await fill_limits(upkeep.database, 2500)
    await upkeep.make_due("rate_limits")
    await someone_is_held(held)
    job = await upkeep.has("rate_limits", "in_progress")
    await upkeep.database.execute(
        "UPDATE jobs SET status = 'cancelled', completed_at = now() WHERE id = $1", job["id"]
    )
    await held.execute("SELECT pg_advisory_unlock_all()")
    await upkeep.worker_of(job).wait_for("maintenance dropped", within=10)
    after = await upkeep.has("rate_limits", "cancelled")
    assert (after["id"], after["result"], after["progress"]) == (job["id"], None, 0.0)


async def test_what_the_database_refuses_is_tried_again_up_to_three_times(upkeep: Upkeep) -> None:
    await upkeep.database.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'not today';
        END $$;
        CREATE TRIGGER refused BEFORE DELETE ON tokens FOR EACH STATEMENT EXECUTE FUNCTION refuse();
        CREATE TRIGGER refused BEFORE DELETE ON idempotency_keys FOR EACH STATEMENT EXECUTE FUNCTION refuse();
    """)
    try:
        await upkeep.fill()
        await upkeep.make_due("tokens", "idempotency_keys")
        waiting = await upkeep.has("idempotency_keys", "queued")
        await upkeep.database.execute("DROP TRIGGER refused ON idempotency_keys")
        done = await upkeep.has("idempotency_keys", "completed", attempt=2)
        assert (done["id"], done["attempt"]) == (waiting["id"], 2)
        failed = await upkeep.has("tokens", "failed")
        assert (failed["attempt"], failed["error_code"]) == (3, "database_error")
        assert "not today" not in failed["error_message"]
    finally:
        await upkeep.database.execute("DROP FUNCTION refuse CASCADE")
    assert json.loads((await upkeep.run("tokens"))["result"])["deleted"] == 3, "the next time goes well"


async def test_many_who_look_at_once_take_a_schedule_once(ready_database: str) -> None:
    async with engine_at(ready_database, pool_size=10), ENGINE.connection() as database:
        await schedules.ensure({"often": timedelta(minutes=1), "seldom": timedelta(days=1)})
        assert await schedules.take_due(["often", "seldom"]) is None
        await database.execute("UPDATE schedules SET every_seconds = 5 WHERE name = 'often'")
        await schedules.ensure({"often": timedelta(minutes=1), "seldom": timedelta(days=1)})
        await database.execute("UPDATE schedules SET due_at = now() - interval '1 day'")
        taken = await asyncio.gather(*(schedules.take_due(["often", "seldom"]) for _ in range(9)))
        lanes = sorted(job.lane for job in taken if job)
        assert lanes == ["maintenance:often", "maintenance:seldom"]
        sql = "SELECT due_at <= now() + interval '5 seconds' FROM schedules WHERE name = 'often'"
        assert await database.fetchval(sql), "a period that was changed by hand stays"
        await database.execute("UPDATE schedules SET due_at = now() - interval '1 day'")
        assert await schedules.take_due(["often", "seldom"]) is None, "their jobs still wait"
        assert await database.fetchval("SELECT count(*) FROM jobs") == 2


async def test_a_clock_that_was_put_back_delays_a_schedule_by_no_more_than_its_period(
    ready_database: str,
) -> None:
    async with engine_at(ready_database), ENGINE.connection() as database:
        await schedules.ensure({"often": timedelta(minutes=1)})
        await database.execute("UPDATE schedules SET due_at = now() + interval '40 days'")
        assert await schedules.take_due(["often"]) is not None
        assert await schedules.take_due(["often"]) is None


async def test_an_ended_response_outlives_its_job(client: Client, hub: HubServer, answers: Answers) -> None:
    answers.give("Long ago", error(400, "no"))
    conversation = await client.conversation()
    response_id = (await client.send(conversation["id"], "Long ago"))["response"]["id"]
    failed = await client.ended(response_id)
    assert failed["status"] == "failed"
    database = await asyncpg.connect(hub.settings["HUB_DATABASE_URL"])
    await database.execute("DELETE FROM jobs WHERE subject_id = $1", UUID(response_id))
    await database.close()
    cancelled = await client.http.post(f"/api/responses/{response_id}/cancel")
    assert (cancelled.status_code, cancelled.json()) == (200, failed)
    assert (await client.http.post(f"/api/responses/{response_id}/retry")).status_code == 202
    ended = await client.ended(response_id)
    assert (ended["status"], ended["attempt"]) == ("completed", 2)
