"""The database's rows, as of one moment, in PostgreSQL's COPY text: any later server takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
from msgspec import Struct

from hub.backup import manifest, pictures, places
from hub.backup.manifest import Sequence, Table
from hub.backup.pictures import Picture
from hub.core.errors import StartError
from hub.db import tables
from hub.db.engine import DATABASE_ERRORS
from hub.db.migrate import MIGRATION_LOCK, applied, connect_when_ready, known
from hub.domain.images.holding import hold

#: Bytes of rows that are gathered before they are written.
_PART = 4_000_000
#: Seconds for a database that is just starting.
_WAIT = 20.0
#: Rows look the same whatever the server is set to.
_SESSION = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "statement_timeout": "0",
    "lock_timeout": "60000",
    "idle_in_transaction_session_timeout": "0",
    "tcp_keepalives_idle": "60",
}

#: Takes the name of a file and its content.
Add = Callable[[str, bytes], None]


@asynccontextmanager
async def session(dsn: str, name: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect for a long work with many rows.

    Raises:
        StartError: the database cannot be reached, or refuses something.
    """
    try:
        connection = await connect_when_ready(dsn, wait=_WAIT)
        try:
            settings = {**_SESSION, "application_name": name}
            if connection.get_server_version() >= (14,):
                settings["idle_session_timeout"] = "0"
            for key, value in settings.items():
                await connection.execute("SELECT set_config($1, $2, false)", key, value)
            yield connection
        finally:
            connection.terminate()
    except DATABASE_ERRORS as error:
        raise StartError(
            f"The database refused it ({type(error).__name__}: {error}). Check HUB_DATABASE_URL, and run it"
            " again."
        ) from None


class Snapshot(Struct, frozen=True, kw_only=True):
    """What a database holds at one moment, beside the rows: its migrations, tables, and pictures' files."""

    server: str
    migrations: list[str]
    tables: list[str]
    others: list[str]
    pictures: list[Picture]


@asynccontextmanager
async def snapshot(connection: asyncpg.Connection) -> AsyncIterator[Snapshot]:
    """Stand still at one moment, with all that the collector would remove kept until the connection ends.

    A migration that is under way is waited for; one that begins later waits for us.

    Raises:
        StartError: there is no hub in this database, or one of a newer version.
    """
    await hold(connection)
    await connection.execute("SELECT pg_advisory_lock_shared($1)", MIGRATION_LOCK)
    migrations = await applied(connection)
    _require_known(migrations)
    own, others = await _tables(connection)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        # Before the first look at a row: whoever alters a table now would make it look empty.
        names = ", ".join(f'"{name}"' for name in [*own, "migration"])
        await connection.execute(f"LOCK TABLE {names} IN ACCESS SHARE MODE")
        files = await pictures.referenced(connection)
        await connection.execute("SELECT pg_advisory_unlock_shared($1)", MIGRATION_LOCK)
        server = str(await connection.fetchval("SHOW server_version")).split()[0]
        yield Snapshot(server=server, migrations=migrations, tables=own, others=others, pictures=files)


def _require_known(migrations: list[str]) -> None:
    if not migrations:
        raise StartError(
            "There is nothing to back up: no hub has used this database yet. Check HUB_DATABASE_URL."
        )
    if newer := sorted(set(migrations) - set(known())):
        raise StartError(
            f"A newer version of the hub has migrated this database (to {newer[-1]}; this version goes up to"
            f" {max(known())}). Back it up with that version."
        )


_TABLES = """
SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
ORDER BY relname
"""
_COLUMNS = """
SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
    AND attgenerated = '' ORDER BY attnum
"""
_SEQUENCES = """
SELECT relname FROM pg_class JOIN pg_depend ON objid = pg_class.oid
WHERE relkind = 'S' AND deptype = 'a' AND refobjid = ANY($1::text[]::regclass[]) ORDER BY relname
"""


async def _tables(connection: asyncpg.Connection) -> tuple[list[str], list[str]]:
    """Return the hub's tables, and others that stand beside them."""
    rows = [row["relname"] for row in await connection.fetch(_TABLES)]
    own = tables.names()
    return [each for each in rows if each in own], [each for each in rows if each not in own | {"migration"}]


async def sequences(connection: asyncpg.Connection, tables: list[str]) -> list[Sequence]:
    """Return where the sequences of tables stand, which is behind every row of an earlier snapshot."""
    names = [row["relname"] for row in await connection.fetch(_SEQUENCES, tables)]
    found = []
    for name in names:
        row = await connection.fetchrow(f'SELECT last_value, is_called FROM "{name}"')  # noqa: S608 - from the catalog
        found.append(Sequence(name=name, value=row["last_value"], is_called=row["is_called"]))
    return found


async def dump(connection: asyncpg.Connection, table: str, add: Add, on_rows: Callable[[int], None]) -> Table:
    """Write a table's rows to files of a few megabytes.

    Args:
        connection: in the snapshot's transaction.
        table: its name.
        add: writes a file; it runs in a thread.
        on_rows: is told of every so many rows.
    """
    columns = [row["attname"] for row in await connection.fetch(_COLUMNS, table)]
    gathered = bytearray()
    rows = parts = 0

    async def write(end: int) -> None:
        nonlocal rows, parts
        content = bytes(gathered[:end])
        del gathered[:end]
        parts += 1
        await asyncio.to_thread(add, places.part_of(table, parts), content)
        count = content.count(b"\n")  # those within values are escaped
        rows += count
        on_rows(count)

    async def take(content: bytes) -> None:
        gathered.extend(content)
        if len(gathered) >= _PART and (end := gathered.rfind(b"\n") + 1):
            await write(end)

    await connection.copy_from_table(table, columns=columns, output=take, format="text")
    if gathered:
        await write(len(gathered))
    return Table(name=table, columns=columns, rows=rows, parts=parts)


async def dump_all(
    connection: asyncpg.Connection, shot: Snapshot, add: Add, on_rows: Callable[[int], None]
) -> manifest.Database:
    """Write all of the hub's tables."""
    dumped = [await dump(connection, table, add, on_rows) for table in shot.tables]
    return manifest.Database(
        server=shot.server,
        migrations=shot.migrations,
        tables=dumped,
        sequences=await sequences(connection, shot.tables),
    )
