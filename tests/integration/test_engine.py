"""The pool: what a call that is cut short leaves behind never reaches the next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
from asyncpg.transaction import Transaction

from hub.db.engine import UNAVAILABLE, HubConnection, HubEngine, PoolStanding


@pytest.fixture
async def engine(postgres: str) -> AsyncIterator[HubEngine]:
    """Yield a pool of one connection, which every call therefore shares."""
    engine = HubEngine()
    await engine.open(postgres, pool_size=1)
    yield engine
    await engine.close()


async def ask(engine: HubEngine, query: str) -> object:
    async with engine.connection() as connection:
        return await connection.fetchval(query)


async def test_a_call_that_is_cancelled_at_any_moment_leaves_no_transaction_open(
    engine: HubEngine, postgres: str
) -> None:
    watcher = await asyncpg.connect(postgres)
    for number in range(200):
        asking = asyncio.create_task(ask(engine, f"SELECT {number}"))
        for _ in range(number):
            await asyncio.sleep(0)  # one turn of the event loop
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        async with engine.connection() as connection:
            began = "SELECT xact_start FROM pg_stat_activity WHERE pid = $1"
            assert await watcher.fetchval(began, connection.get_server_pid()) is None, number
    await watcher.close()


async def test_a_connection_is_the_same_for_the_next_call_without_being_reset(engine: HubEngine) -> None:
    await ask(engine, "SELECT set_config('application_name', 'kept', false)")
    assert await ask(engine, "SHOW application_name") == "kept"


async def test_a_call_that_fails_gives_back_a_connection_as_new(engine: HubEngine) -> None:
    async def fail() -> None:
        async with engine.connection() as connection:
            await connection.execute("SET application_name = 'soiled'")
            await connection.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail()
    assert await ask(engine, "SHOW application_name") == "companion-hub"


async def test_a_transaction_that_is_rolled_back_gives_back_a_connection_as_new(engine: HubEngine) -> None:
    async def fail() -> None:
        async with engine.transaction():
            await ask(engine, "SELECT set_config('application_name', 'soiled', false)")
            await ask(engine, "SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail()
    assert await ask(engine, "SHOW application_name") == "companion-hub"


async def test_a_transaction_that_is_cancelled_at_any_moment_gives_back_its_connection(
    engine: HubEngine,
) -> None:
    async def work() -> None:
        async with engine.transaction():
            await ask(engine, "SELECT 1")

    for number in range(60):
        working = asyncio.create_task(work())
        for _ in range(number):
            await asyncio.sleep(0)  # one turn of the event loop
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        async with asyncio.timeout(5):
            assert await ask(engine, f"SELECT {number}") == number


async def test_a_transaction_without_a_pool_fails_at_once() -> None:
    with pytest.raises(RuntimeError, match="pool is not open"):
        async with HubEngine().transaction():
            pass


async def broken(*_: object, **__: object) -> None:
    raise asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")


@pytest.mark.parametrize("form", ["connection", "transaction"])
async def test_a_cancelled_call_stays_cancelled_though_its_connection_breaks(
    engine: HubEngine, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Else a loop that outlives a database's restart takes its own end for one more error."""
    has_begun = asyncio.Event()

    async def call() -> None:
        async with engine.connection() if form == "connection" else engine.transaction():
            has_begun.set()
            await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(HubConnection, "reset", broken)
        patch.setattr(Transaction, "rollback", broken)
        task = asyncio.create_task(call())
        await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(5):
        assert await ask(engine, "SELECT 1") == 1, "the place in the pool is free again"


async def test_it_tells_how_many_connections_are_in_use_and_who_waits(engine: HubEngine) -> None:
    assert engine.pool_standing() == PoolStanding(in_use=0, idle=1, most=1, waiting=0)
    async with engine.connection():
        others = [asyncio.create_task(ask(engine, "SELECT 1")) for _ in range(2)]
        await asyncio.sleep(0)
        assert engine.pool_standing() == PoolStanding(in_use=1, idle=0, most=1, waiting=2)
    await asyncio.gather(*others)
    async with engine.transaction():
        assert engine.pool_standing() == PoolStanding(in_use=1, idle=0, most=1, waiting=0)
    assert engine.pool_standing() == PoolStanding(in_use=0, idle=1, most=1, waiting=0)
    await engine.close()
    assert engine.pool_standing() == PoolStanding()


async def test_a_call_that_ended_well_counts_though_its_connection_breaks_after_it(
    engine: HubEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(HubConnection, "reset", broken)
        assert await ask(engine, "SELECT 42") == 42
    assert await ask(engine, "SELECT 1") == 1


async def test_a_transaction_that_cannot_begin_gives_its_connection_back(
    engine: HubEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(Transaction, "start", broken)
            with pytest.raises(asyncpg.InternalClientError):
                async with asyncio.timeout(5), engine.transaction():
                    pytest.fail("it cannot begin")
    async with asyncio.timeout(5):
        assert await ask(engine, "SELECT 1") == 1


async def break_in_transaction(engine: HubEngine, watcher: asyncpg.Connection) -> None:
    async with engine.transaction():
        async with engine.connection() as connection:
            pid = connection.get_server_pid()
        await watcher.execute("SELECT pg_terminate_backend($1, 5000)", pid)
        await asyncio.sleep(0)
        raise LookupError("what went wrong")


async def test_what_went_wrong_in_a_transaction_counts_though_its_connection_breaks(
    engine: HubEngine, postgres: str
) -> None:
    watcher = await asyncpg.connect(postgres)
    for _ in range(3):  # the pool has one connection: had it not come back, the next would wait for ever
        with pytest.raises(LookupError):
            await break_in_transaction(engine, watcher)
    assert await ask(engine, "SELECT 1") == 1
    await watcher.close()


async def test_a_process_that_stands_still_in_a_transaction_keeps_no_rows_locked(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.db.engine.IDLE_LIMIT", 0.1)
    engine = HubEngine()
    await engine.open(postgres, pool_size=1)

    async def stand_still() -> None:
        async with engine.transaction(), engine.connection() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(4711)")
            time.sleep(0.5)  # noqa: ASYNC251 - nothing of a frozen process goes on
            watcher = await asyncpg.connect(postgres)
            assert await watcher.fetchval("SELECT pg_try_advisory_xact_lock(4711)")
            await watcher.close()
            await connection.execute("SELECT 1")

    with pytest.raises(UNAVAILABLE):
        await stand_still()
    assert await ask(engine, "SELECT 1") == 1
    await engine.close()
