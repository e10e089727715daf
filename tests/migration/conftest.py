"""What migration tests share: databases that have been migrated, and a look into their catalogs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from hub.db.engine import ENGINE
from tests.services.fixtures import migrated_database

_COLUMNS = """
SELECT relname || '.' || attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS required
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
AND relname <> 'migration'
"""
_CONSTRAINTS = """
SELECT conrelid::regclass || ': ' || pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f', 'c')
AND conrelid <> coalesce(to_regclass('migration'), 0)
"""


async def columns_of(dsn: str) -> dict[str, tuple[str, bool]]:
    """Return {"table.column": (type, not null)} of a database, without Piccolo's own table."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(_COLUMNS)
    finally:
        await connection.close()
    return {row["name"]: (row["type"], row["required"]) for row in rows}


async def constraints_of(dsn: str) -> list[str]:
    """Return the keys, foreign keys and checks of a database, sorted."""
    connection = await asyncpg.connect(dsn)
    try:
        return sorted(row["definition"] for row in await connection.fetch(_CONSTRAINTS))
    finally:
        await connection.close()


@asynccontextmanager
async def engine_at(dsn: str, *, pool_size: int = 2) -> AsyncIterator[None]:
    """Point this process's engine at a database."""
    await ENGINE.open(dsn, pool_size=pool_size)
    try:
        yield
    finally:
        await ENGINE.close()


@pytest.fixture(scope="module")
async def migrated(postgres: str) -> str:
    """Return the address of a database that has every migration."""
    return await migrated_database(postgres)
