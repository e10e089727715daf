"""The limiter: how quick a check is, how quick what is over is removed, and how exact it is.

The other way is the usual one: read the counter, decide, then write it, in two statements.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from actors.maintenance import BATCH
from bench.report import Figure, summary
from bench.world import World
from hub.core.logging import configure_logging
from hub.core.settings import Settings
from hub.db.cleaning import delete_older
from hub.db.engine import ENGINE
from hub.db.migrate import migrate
from hub.domain.limits import queries
from tests.services.hub import Client

CLEANING_GOAL, CHECK_GOAL = 0.12, 0.7
ROWS, EXPIRED = 1_000_000, 10_000
ROUNDS = 5
CHECKS, WARM_UP = 2_000, 100
#: Users between whom checks are spread.
SUBJECTS = 500
AT_ONCE, LIMIT, BURSTS = 50, 30, 10

_WINDOW = timedelta(hours=1)
_BARE = """
CREATE UNLOGGED TABLE bare_limits (LIKE rate_limits INCLUDING ALL);
ALTER TABLE rate_limits SET (autovacuum_enabled = off);
ALTER TABLE bare_limits SET (autovacuum_enabled = off)
"""
_UNINDEX = """
SELECT indexname FROM pg_indexes WHERE tablename = 'bare_limits' AND indexdef LIKE '%(reset_at)'
"""
# Rows of all rounds lie scattered over the table: those of round 1 are over after one hour, and so on.
_FILL = """
INSERT INTO {table} (id, action, subject, used, reset_at)
SELECT gen_random_uuid(), 'chat', 'user ' || n, 1,
    now() + CASE WHEN n <= $2::int THEN 1 + (n - 1) / $3::int ELSE 1000 END * interval '1 hour'
FROM generate_series(1, $1::int + $2::int) AS n ORDER BY random()
"""


async def measure(world: World) -> list[Figure]:
    """Measure clean-up and check in one database, and the exactness over HTTP."""
    dsn = await world.database()
    with (world.folder() / "log").open("w") as log:
        configure_logging(Settings(), stream=log)
        await migrate(dsn)
    await ENGINE.open(dsn, pool_size=2)
    try:
        figures = [await _cleaning(), await _check()]
    finally:
        await ENGINE.close()
    return [*figures, await _exactness(world)]


# Clean-up


async def _cleaning() -> Figure:
    async with ENGINE.connection() as connection:
        await connection.execute(_BARE)
        await connection.execute(f"DROP INDEX {await connection.fetchval(_UNINDEX)}")
        for table in ("rate_limits", "bare_limits"):
            fill = _FILL.format(table=table)
            await connection.execute(fill, ROWS, 2 * ROUNDS * EXPIRED, EXPIRED, timeout=300)
            await connection.execute(f"VACUUM (ANALYZE) {table}", timeout=300)
    indexed, bare, at_once = list[float](), list[float](), list[float]()
    ages = [-timedelta(hours=1 + number, minutes=30) for number in range(2 * ROUNDS)]
    for age, next_age in zip(ages[::2], ages[1::2], strict=True):
        indexed.append(await _timed(partial(_clean, "rate_limits", age)))
        bare.append(await _timed(partial(_clean, "bare_limits", age)))
        await _clean("rate_limits", next_age)
        at_once.append(await _timed(partial(_delete, "bare_limits", next_age)))
    return _cleaning_figure(indexed, bare, at_once)


async def _clean(table: str, age: timedelta) -> None:
    """Do what the maintenance actor does, without its pauses."""
    removed = 0
    while (count := await delete_older(table, "reset_at", limit=BATCH, age=age)) > 0:
        removed += count
    if removed != EXPIRED:
        raise RuntimeError(f"{removed} rows were removed")


async def _delete(table: str, age: timedelta) -> None:
    async with ENGINE.connection() as connection:
        await connection.execute(f"DELETE FROM {table} WHERE reset_at < now() - $1::interval", age)


def _cleaning_figure(indexed: list[float], bare: list[float], at_once: list[float]) -> Figure:
    ratio = statistics.median(indexed) / statistics.median(bare)
    return Figure(
        name=f"removal of {EXPIRED:,} counters that are over among {ROWS:,}, against none indexed",
        value=ratio,
        shown=f"{ratio:.3f}x",
        goal=CLEANING_GOAL,
        goal_shown=f"<= {CLEANING_GOAL:g}x",
        details=(
            f"{EXPIRED // BATCH} batches of {BATCH:,} with the index: {summary(indexed)}",
            f"the same without: {summary(bare)}",
            f"one DELETE of all of them without: {summary(at_once)}",
            "rows that are over lie scattered at random over the table",
        ),
    )


# A check


async def _check() -> Figure:
    for number in range(WARM_UP):
        await _take(f"warm {number}")
        await _read_then_write(f"warm too {number}")
    ours, theirs = list[float](), list[float]()
    for number in range(CHECKS):
        subject = f"{number % SUBJECTS}"
        ours.append(await _timed(partial(_take, f"ours {subject}")))
        theirs.append(await _timed(partial(_read_then_write, f"theirs {subject}")))
    ratio = statistics.median(ours) / statistics.median(theirs)
    return Figure(
        name="a check of a limit, against reading the counter and writing it",
        value=ratio,
        shown=f"{ratio:.2f}x",
        goal=CHECK_GOAL,
        goal_shown=f"<= {CHECK_GOAL:g}x",
        details=(
            f"one statement: {summary(ours)}",
            f"two statements: {summary(theirs)}",
            f"{CHECKS:,} checks each, of {SUBJECTS} users, in a table of {ROWS:,} counters",
        ),
    )


async def _take(subject: str) -> None:
    await queries.take("chat", subject, limit=LIMIT, window=_WINDOW)


async def _read_then_write(subject: str) -> None:
    """Count as the original does: of two at once, both may read the same."""
    async with ENGINE.connection() as connection:
        used = await connection.fetchval(
            "SELECT used FROM rate_limits WHERE action = $1 AND subject = $2 AND reset_at > now()",
            "chat",
            subject,
        )
        if used is None:
            await connection.execute(
                "INSERT INTO rate_limits (id, action, subject, used, reset_at)"
                " VALUES (gen_random_uuid(), $1, $2, 1, now() + $3)",
                "chat",
                subject,
                _WINDOW,
            )
        elif used < LIMIT:
            await connection.execute(
                "UPDATE rate_limits SET used = used + 1 WHERE action = $1 AND subject = $2", "chat", subject
            )


# Exactness


async def _exactness(world: World) -> Figure:
    many = {"HUB_REGISTRATIONS_PER_DAY": "1000", "HUB_MESSAGES_PER_MINUTE": str(LIMIT)}
    passed = list[int]()
    with world.llm() as llm_url:
        async with world.hub_up(llm_url, HUB_LIMITS="on", **many) as server:
            for _ in range(BURSTS):
                client = await Client(server.url).register()
                path = f"/api/conversations/{(await client.conversation())['id']}/messages"
                burst = (client.http.post(path, json={"content": "Hello"}) for _ in range(AT_ONCE))
                passed.append(sum(each.status_code == 202 for each in await asyncio.gather(*burst)))
                await client.close()
    wrong = sum(each != LIMIT for each in passed)
    return Figure(
        name=f"bursts of {AT_ONCE} messages at once at a limit of {LIMIT} that let more or fewer through",
        value=wrong,
        shown=f"{wrong} of {BURSTS}",
        goal=0,
        goal_shown="0",
        details=(f"let through over HTTP: {', '.join(str(each) for each in passed)}",),
    )


async def _timed(do: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    await do()
    return (time.perf_counter() - started) * 1000
