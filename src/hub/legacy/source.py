"""The original's database, read and never written: one read-only snapshot, a batch at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from hub.core.errors import StartError
from hub.core.settings.addresses import SecretUrl, parse_address
from hub.db.address import without_prisma_parameters
from hub.db.engine import DATABASE_ERRORS
from hub.legacy import statements
from hub.legacy.records import SourceCompanion, SourceMessage, SourcePicture, SourceUser, Totals

#: Rows of one batch. A message may be long, so there are fewer of them at a time.
BATCH = 200
MESSAGE_BATCH = 100
#: Characters of a picture that are fetched at once.
SLICE = 4 << 20
_CONNECT_SECONDS = 10
#: Seconds for one statement; the longest one looks through all messages once.
_STATEMENT_SECONDS = 600
_NOT_CONNECTED: tuple[type[Exception], ...] = (*DATABASE_ERRORS, ValueError)


class Source:
    """The original's rows, as they stood when it was opened; made by :func:`open_source`."""

    def __init__(self, connection: asyncpg.Connection, columns: dict[str, set[str]]) -> None:
        self._connection = connection
        self._one_at_a_time = asyncio.Lock()
        self._sql = statements.Statements(columns)

    async def totals(self) -> Totals:
        """Count what there is."""
        (row,) = await self._fetch(self._sql.totals)
        return Totals(**row)

    async def users(self) -> AsyncIterator[list[SourceUser]]:
        """Yield all users in batches."""
        async for rows in self._pages(self._sql.users):
            yield [statements.user_of(row) for row in rows]

    async def companions(self) -> AsyncIterator[list[SourceCompanion]]:
        """Yield all companions in batches."""
        async for rows in self._pages(self._sql.companions):
            yield [statements.companion_of(row) for row in rows]

    async def messages(self, companion_id: str) -> AsyncIterator[list[SourceMessage]]:
        """Yield a companion's messages in batches, the oldest first."""
        moment, last = "-infinity", ""
        while rows := await self._fetch(self._sql.messages, companion_id, moment, last, MESSAGE_BATCH):
            yield [statements.message_of(row) for row in rows]
            moment, last = rows[-1]["moment"], rows[-1]["id"]

    async def headers(self) -> AsyncIterator[list[SourcePicture]]:
        """Yield in batches what is known of companions' pictures, without the pictures themselves."""
        if self._sql.headers is not None:
            async for rows in self._pages(self._sql.headers):
                yield [statements.picture_of("header", row) for row in rows]

    async def pictures(self) -> AsyncIterator[list[SourcePicture]]:
        """Yield in batches what is known of messages' pictures, without the pictures themselves."""
        if self._sql.pictures is not None:
            async for rows in self._pages(self._sql.pictures):
                yield [statements.picture_of("picture", row) for row in rows]

    async def below(self, companion_id: str) -> tuple[int, int]:
        """Count the messages and the pictures that belong to a companion."""
        (row,) = await self._fetch(self._sql.below, companion_id)
        return row["messages"], row["pictures"]

    async def text(self, picture: SourcePicture, column: str) -> AsyncIterator[str]:
        """Yield a picture as it is written in its row, a few million characters at a time."""
        first = 1
        while True:
            (row,) = await self._fetch(self._sql.slice(picture.kind, column), picture.id, first, SLICE)
            if not row["slice"]:
                return
            yield row["slice"]
            first += SLICE

    async def _pages(self, sql: str) -> AsyncIterator[list[asyncpg.Record]]:
        last = ""
        while rows := await self._fetch(sql, last, BATCH):
            yield rows
            last = rows[-1]["id"]

    async def _fetch(self, sql: str, *values: object) -> list[asyncpg.Record]:
        try:
            async with self._one_at_a_time:
                return list(await self._connection.fetch(sql, *values, timeout=_STATEMENT_SECONDS))
        except asyncpg.InsufficientPrivilegeError as error:
            raise StartError(
                f"The original's tables may not be read: {error}. Let this user read them."
            ) from None
        except DATABASE_ERRORS as error:
            raise StartError(
                f"The original's database cannot be read any more ({type(error).__name__}). What was imported"
                " stays; run the import again to go on."
            ) from None


@asynccontextmanager
async def open_source(url: str) -> AsyncIterator[Source]:
    """Open the original's database and look whether it has the tables and columns that are needed.

    Raises:
        StartError: it cannot be reached, or is another database; the text never holds the password.
    """
    connection = await _connect(url)
    try:
        # One snapshot, so that a companion is never seen without its user while the original goes on.
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await _settle(connection, _schema(url))
        yield Source(connection, await _columns(connection, url))
    finally:
        with suppress(*DATABASE_ERRORS):
            await connection.close(timeout=5)
        connection.terminate()


async def _connect(url: str) -> asyncpg.Connection:
    try:
        parse_address(url, ("postgresql", "postgres"))
    except ValueError as error:
        raise StartError(f"--source {error}. It is the original's DATABASE_URL.") from None
    try:
        # PgBouncer, which Prisma likes, knows no statements that outlive their transaction.
        return await asyncpg.connect(
            without_prisma_parameters(url), timeout=_CONNECT_SECONDS, statement_cache_size=0
        )
    except _NOT_CONNECTED as error:
        raise StartError(
            f"The original's database at {_shown(url)} cannot be reached"
            f" ({_words(error, url)}). Check --source: it is the original's DATABASE_URL."
        ) from None


async def _settle(connection: asyncpg.Connection, schema: str) -> None:
    quoted = schema.replace('"', '""')
    settings = {
        "search_path": f'"{quoted}"',
        "timezone": "UTC",  # what the original's times are in
        "datestyle": "ISO",
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",  # pictures take their time
        "lock_timeout": "10s",
    }
    for name, value in settings.items():
        await connection.execute("SELECT set_config($1, $2, true)", name, value)


async def _columns(connection: asyncpg.Connection, url: str) -> dict[str, set[str]]:
    """Return the columns of the original's tables.

    Raises:
        StartError: a table or a column is missing.
    """
    columns: dict[str, set[str]] = {}
    for table in statements.REQUIRED:
        rows = await connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0"
            " AND NOT attisdropped",
            f'"{table}"',
        )
        columns[table] = {row["attname"] for row in rows}
    _refuse([f'"{table}"' for table in columns if not columns[table]], "table", _shown(url))
    lacking = [
        f'"{table}"."{column}"'
        for table, needed in statements.REQUIRED.items()
        for column in needed
        if column not in columns[table]
    ]
    _refuse(lacking, "column", _shown(url))
    return columns


def _refuse(missing: Sequence[str], what: str, where: str) -> None:
    if not missing:
        return
    advice = {
        "table": "It is not the original's database, or its tables are in another schema: add ?schema=NAME.",
        "column": "Its schema is older than the one of the guide: bring it up to date there first.",
    }
    plural = "s" if len(missing) > 1 else ""
    raise StartError(f"The database at {where} has no {what}{plural} {', '.join(missing)}. {advice[what]}")


def _schema(url: str) -> str:
    return parse_qs(urlsplit(url).query).get("schema", ["public"])[-1]


def _shown(url: str) -> str:
    return SecretUrl(url).masked()


def _words(error: Exception, url: str) -> str:
    """Return what went wrong, without the password even where a driver repeats it."""
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    with suppress(ValueError):
        password = urlsplit(url).password
        for secret in {password, unquote(password)} if password else ():
            words = words.replace(secret, "***")
    return " ".join(words.split())
