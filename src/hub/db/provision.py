"""Having a database: the one that is set, or the embedded one, kept alive and migrated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from msgspec import Struct

from hub.core.errors import StartError
from hub.core.logging import get_logger
from hub.core.settings import Settings
from hub.db.address import without_prisma_parameters
from hub.db.embedded import EmbeddedPostgres, EmbeddedPostgresError
from hub.db.engine import DATABASE_ERRORS
from hub.db.migrate import MigrationFailedError, migrate

logger = get_logger(__name__)

#: Seconds between two looks at the embedded database, and the longest pause between attempts to start it.
LOOK_EVERY = 1.0
LONGEST_PAUSE = 30.0


class Database(Struct, frozen=True):
    """The database's address; ``exclusive`` when nobody else can have been using it until now.

    ``embedded`` is the embedded database, to be kept alive by :func:`keeping`; None for an outside one.
    """

    dsn: str
    exclusive: bool
    embedded: EmbeddedPostgres | None = None


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """Have a database: the one that is set, or the embedded one, started here or by another process."""
    if settings.database_url is not None:
        yield Database(without_prisma_parameters(settings.database_url), exclusive=False)
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    try:
        dsn = embedded.start()
    except EmbeddedPostgresError as error:
        raise StartError(str(error)) from None
    try:
        yield Database(dsn, exclusive=embedded.owned, embedded=embedded)
    finally:
        embedded.stop()


async def migrate_database(database: Database) -> int:
    """Bring the schema forward; return how many migrations ran.

    Raises:
        StartError: the database cannot be reached, or a migration fails.
    """
    try:
        return await migrate(database.dsn)
    except MigrationFailedError as error:
        raise StartError(f"{error}. The database is as it was before that migration.") from None
    except DATABASE_ERRORS as error:
        raise StartError(
            f"The database cannot be used ({type(error).__name__}: {error}). Check HUB_DATABASE_URL."
        ) from None


@asynccontextmanager
async def keeping(embedded: EmbeddedPostgres) -> AsyncIterator[None]:
    """Start the embedded database again whenever its server ends, also when another process owned it."""
    keeper = asyncio.create_task(_keep_forever(embedded), name="database keeper")
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _keep_forever(embedded: EmbeddedPostgres) -> None:
    pause = LOOK_EVERY
    while True:
        await asyncio.sleep(pause)
        try:
            if not embedded.is_gone:
                pause = LOOK_EVERY
                continue
            embedded.start()  # blocks the loop for some tenths of a second: it needs the main thread
        except (EmbeddedPostgresError, OSError) as error:
            pause = min(pause * 2, LONGEST_PAUSE)
            logger.error(  # noqa: TRY400 - the sentence says what a traceback would not
                "embedded database ended and cannot be started", reason=str(error), retry_in_seconds=pause
            )
        else:
            pause = LOOK_EVERY
            logger.warning("embedded database had ended, started again")
