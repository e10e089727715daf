"""The pool: what a call that is cut short leaves behind never reaches the next one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from hub.db.engine import HubEngine


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
