"""Commands that work with the tables: migrated first, beside a running server or alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hub.commands.running import with_database
from hub.core.errors import HubError, StartError
from hub.core.settings import Settings
from hub.db.engine import DATABASE_ERRORS, ENGINE
from hub.db.provision import Database, migrate_database

#: Connections that a command holds at once.
_POOL_SIZE = 4


def with_tables(run: Callable[[Settings], Awaitable[None]]) -> None:
    """Bring the schema forward and run a command with the pool open; an error ends it in one line."""
    with_database(lambda settings, database: asyncio.run(in_tables(settings, database, run)))


async def in_tables(
    settings: Settings, database: Database, run: Callable[[Settings], Awaitable[None]]
) -> None:
    """Do the same with a database that is open.

    Raises:
        StartError: it did not go well; in one line.
    """
    await migrate_database(database)
    try:
        await ENGINE.open(database.dsn, pool_size=_POOL_SIZE)
        await run(settings)
    except HubError as error:
        raise StartError(f"It did not come to its end. {error.title}. Run it again.") from None
    except DATABASE_ERRORS as error:
        raise StartError(
            f"It did not come to its end ({type(error).__name__}: {error}). Run it again."
        ) from None
    finally:
        await ENGINE.close()
