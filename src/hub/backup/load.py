"""Loading rows into a database that has no hub in it, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path

import asyncpg

from hub.backup.dump import sequences
from hub.backup.errors import DamagedArchiveError
from hub.backup.manifest import MANIFEST, Manifest, Table
from hub.backup.pictures import referenced
from hub.core.errors import StartError
from hub.db.migrate import applied, known
from hub.db.tables import names

#: What the connections of a restore are called.
RESTORE = "companion-hub restore"
#: How often, and how many seconds apart, it is looked whether another restore has ended.
_LOOKS, _PAUSE = 100, 0.1
_PIECE = 1 << 20
#: What the database says of a restore: the word, then the restore's own token.
_BEGUN, _DONE = "restoring ", "restored from "


class State(Enum):
    """What is in a database."""

    BARE = "nothing of a hub"
    UNUSED = "the tables of a hub that nobody has used"
    USED = "a hub"


async def look(connection: asyncpg.Connection) -> State:
    """Return what is in a database.

    Raises:
        StartError: there are tables of something else, by the names of the hub's.
    """
    rows = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename = ANY($1)",
        sorted({*names(), "migration"}),
    )
    if not rows:
        return State.BARE
    tables = {row["tablename"] for row in rows}
    if not await applied(connection):
        raise StartError(
            "The database has tables that are not the hub's but have their names:"
            f" {', '.join(sorted(tables))}. Make an empty one, and name it with HUB_DATABASE_URL."
        )
    is_used = "users" in tables and await connection.fetchval("SELECT EXISTS (SELECT FROM users)")
    return State.USED if is_used else State.UNUSED


async def others_at_work(connection: asyncpg.Connection) -> set[str]:
    """Return what else of a hub is connected to the database.

    The connection of a restore that was killed ends by itself, soon: that is waited for.
    """
    for _ in range(_LOOKS):
        rows = await connection.fetch(
            "SELECT DISTINCT application_name AS name FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name LIKE 'companion-hub%'"
        )
        found = {row["name"] for row in rows}
        if found != {RESTORE}:
            break
        await asyncio.sleep(_PAUSE)
    return found


class Mark(Enum):
    """How far the database knows a restore."""

    NONE = ""
    BEGUN = _BEGUN
    DONE = _DONE


async def mark_of(connection: asyncpg.Connection, token: str) -> Mark:
    """Return how far the restore with this token has come in this database."""
    found = await connection.fetchval("SELECT obj_description(to_regclass('migration'), 'pg_class')")
    return next((each for each in (Mark.BEGUN, Mark.DONE) if found == each.value + token), Mark.NONE)


_FUNCTIONS = """
SELECT DISTINCT tgfoid::regprocedure::text AS name FROM pg_trigger
WHERE NOT tgisinternal AND tgrelid = ANY($1::text[]::regclass[])
"""


async def drop_unused(connection: asyncpg.Connection) -> None:
    """Drop the tables of a hub that nobody has used, if there are any, with what belongs to them."""
    rows = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename = ANY($1)",
        sorted({*names(), "migration"}),
    )
    tables = [row["tablename"] for row in rows]
    if not tables:
        return
    functions = [row["name"] for row in await connection.fetch(_FUNCTIONS, tables)]
    async with connection.transaction():
        await connection.execute(f"DROP TABLE {_names(tables)}")
        for each in functions:
            await connection.execute(f"DROP FUNCTION {each}")


# What checks and sorts each row as it comes is made anew when all are there.

_KEYS = """
SELECT conrelid::regclass::text AS place, quote_ident(conname) AS name,
    pg_get_constraintdef(oid) AS definition
FROM pg_constraint WHERE contype = 'f' AND conrelid = ANY($1::text[]::regclass[])
"""
_INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
WHERE indrelid = ANY($1::text[]::regclass[])
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


async def load(
    connection: asyncpg.Connection,
    manifest: Manifest,
    parts: Callable[[str, int], Sequence[Path]],
    on_rows: Callable[[int], None],
) -> None:
    """Fill the tables, in a transaction of the caller, who commits.

    Args:
        connection: of a database whose schema is exactly that of the archive.
        manifest: the archive's.
        parts: the files of a table, which are that many.
        on_rows: is told of each table's rows.

    Raises:
        DamagedArchiveError: the rows do not fit.
    """
    tables = [table.name for table in manifest.database.tables]
    await _require_tables(connection, manifest)
    try:
        async with _bare(connection, tables):
            for table in manifest.database.tables:
                await _copy(connection, table, parts(table.name, table.parts))
                on_rows(table.rows)
    except asyncpg.IntegrityConstraintViolationError as error:  # as keys and indexes are made anew
        raise DamagedArchiveError(
            f"database/{error.table_name}", f"has rows that do not agree ({error})"
        ) from None
    await _require_files(connection, manifest)
    for each in manifest.database.sequences:
        await connection.execute(
            "SELECT setval($1::text::regclass, $2, $3)", each.name, each.value, each.is_called
        )
    await connection.execute(f"ANALYZE {_names(tables)}")


async def _require_files(connection: asyncpg.Connection, manifest: Manifest) -> None:
    """Return if every row of a picture has its files, but for those that were faulty before."""
    if max(manifest.database.migrations) != max(known()):
        return  # the columns may have been others
    faulty = {fault.path for fault in manifest.faults}
    for picture in await referenced(connection):
        file = manifest.files.get(picture.path)
        if file is None and picture.path not in faulty:
            raise DamagedArchiveError(picture.path, "is missing, and there are rows that refer to it")
        # The small ones are not named after their bytes, and rows of one picture may know different ones.
        if file is not None and picture.sha256 in picture.path and file.sha256 != picture.sha256:
            raise DamagedArchiveError(picture.path, "has other bytes than its row says")


async def mark(connection: asyncpg.Connection, how_far: Mark, token: str) -> None:
    """Note which restore has come how far; with the rows, in their transaction."""
    words = await connection.fetchval("SELECT quote_literal($1::text)", how_far.value + token)
    await connection.execute(f"COMMENT ON TABLE migration IS {words}")


_OWN = """
SELECT relname FROM pg_class
WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace AND relname = ANY($1)
"""


async def _require_tables(connection: asyncpg.Connection, manifest: Manifest) -> None:
    tables = {table.name for table in manifest.database.tables}
    own = {row["relname"] for row in await connection.fetch(_OWN, sorted(names()))}
    if strange := sorted(tables - own):
        raise DamagedArchiveError(MANIFEST, f"names a table that no hub has: {strange[0]}")
    if missing := sorted(own - tables):
        raise DamagedArchiveError(MANIFEST, f"leaves out a table: {missing[0]}")
    counters = {each.name for each in await sequences(connection, sorted(own))}
    if wrong := sorted({each.name for each in manifest.database.sequences} ^ counters):
        raise DamagedArchiveError(MANIFEST, f"has not the sequences of the tables: {wrong[0]}")


@asynccontextmanager
async def _bare(connection: asyncpg.Connection, tables: list[str]) -> AsyncIterator[None]:
    """Have tables that are empty, without triggers, foreign keys and indexes that keys do not need."""
    await connection.execute(f"TRUNCATE {_names(tables)}")
    keys = await connection.fetch(_KEYS, tables)
    indexes = await connection.fetch(_INDEXES, tables)
    for name in tables:
        await connection.execute(f"ALTER TABLE {_names([name])} DISABLE TRIGGER USER")
    for each in keys:
        await connection.execute(f"ALTER TABLE {each['place']} DROP CONSTRAINT {each['name']}")
    for each in indexes:
        await connection.execute(f"DROP INDEX {each['name']}")
    yield
    for each in indexes:
        await connection.execute(each["definition"])
    for each in keys:
        await connection.execute(
            f"ALTER TABLE {each['place']} ADD CONSTRAINT {each['name']} {each['definition']}"
        )
    for name in tables:
        await connection.execute(f"ALTER TABLE {_names([name])} ENABLE TRIGGER USER")


async def _copy(connection: asyncpg.Connection, table: Table, parts: Sequence[Path]) -> None:
    async def content() -> AsyncIterator[bytes]:
        for part in parts:
            with part.open("rb") as file:
                while piece := file.read(_PIECE):
                    yield piece

    try:
        status = await connection.copy_to_table(
            table.name, source=content(), columns=table.columns, format="text"
        )
    except (
        asyncpg.DataError,
        asyncpg.IntegrityConstraintViolationError,
        asyncpg.SyntaxOrAccessError,
    ) as error:
        raise DamagedArchiveError(f"database/{table.name}", f"does not fit its table ({error})") from None
    if status != f"COPY {table.rows}":
        raise DamagedArchiveError(f"database/{table.name}", "has not as many rows as the manifest says")


def _names(tables: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in tables)
