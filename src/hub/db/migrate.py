"""Bring the database's schema forward, one process at a time."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from hub.core.logging import get_logger
from hub.db.engine import ENGINE

if TYPE_CHECKING:
    from piccolo.conf.apps import MigrationModule

logger = get_logger(__name__)


def _migrations_folder() -> Path:
    """Return the folder in an installed wheel, else the one at the top of the repository."""
    source = Path(__file__).resolve()
    packed = source.parents[1] / "piccolo_migrations"
    return packed if packed.is_dir() else source.parents[3] / "piccolo_migrations"


#: The project's own folder of forward-only migrations.
MIGRATIONS_FOLDER = _migrations_folder()

#: The advisory lock that whoever migrates holds ("hubm" in ASCII).
MIGRATION_LOCK = 0x6875626D

#: Seconds after which it is said that the database is waited for.
_SILENCE = 2.0

os.environ.setdefault("PICCOLO_CONF", "hub.db.piccolo_conf")


class MigrationFailedError(Exception):
    """A migration did not go through; the database is as it was before that migration."""


async def connect_when_ready(dsn: str, *, wait: float) -> asyncpg.Connection:
    """Connect to a database that may still be starting.

    Args:
        dsn: PostgreSQL address.
        wait: seconds to go on trying.

    Raises:
        OSError, asyncpg.PostgresError: the last refusal, when the time is over.
    """
    began = asyncio.get_running_loop().time()
    is_told, pause = False, 0.05
    while True:
        try:
            return await asyncpg.connect(dsn, timeout=10)
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError):
            raise
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            waited = asyncio.get_running_loop().time() - began
            if waited > wait:
                raise
            if waited > _SILENCE and not is_told:
                is_told = True
                logger.warning("waiting for the database", reason=type(error).__name__, seconds=wait)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)


async def migrate(dsn: str, *, wait: float = 60.0) -> int:
    """Run every migration that has not run yet, under the advisory lock.

    Several processes may call this at once: one migrates, the others wait for it and find nothing to do.

    Returns:
        How many migrations ran.
    """
    guard = await connect_when_ready(dsn, wait=wait)
    try:
        await guard.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        done = await applied(guard)
        missing = len(set(known()) - set(done))
        if missing:
            await run_missing(dsn)
            logger.info("database migrated", migrations=missing)
        return missing
    finally:
        await guard.close()


async def run_missing(dsn: str, *, only: Collection[str] | None = None) -> None:
    """Run what has not run yet, as :func:`migrate` does; the caller holds the advisory lock.

    Args:
        dsn: PostgreSQL address.
        only: leave all other migrations alone, so that the schema becomes one of an earlier time.

    Raises:
        MigrationFailedError: one did not go through.
    """
    # Piccolo prints as it goes and returns failures; both become one exception here.
    from piccolo.apps.migrations.commands.forwards import ForwardsMigrationManager  # noqa: PLC0415 - takes 0.1 s, seldom needed

    class Chosen(ForwardsMigrationManager):
        def get_migration_modules(self, folder_path: str) -> dict[str, MigrationModule]:
            modules = super().get_migration_modules(folder_path)
            return {each: modules[each] for each in modules if only is None or each in only}

    opened_here = ENGINE.pool is None
    if opened_here:
        await ENGINE.open(dsn, pool_size=2, lock_timeout=10_000)
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            result = await Chosen("hub").run()
    except Exception as error:
        raise MigrationFailedError(f"a migration failed: {error}") from error
    finally:
        if opened_here:
            await ENGINE.close()
    if not result.success:
        raise MigrationFailedError(result.message or output.getvalue())


@cache
def known() -> list[str]:
    """Return the ids of the migrations that this version of the hub has, oldest first."""
    ids = []
    for path in sorted(Path(MIGRATIONS_FOLDER).glob("hub_*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("ID = "):
                ids.append(line.split('"')[1])
                break
    return ids


async def applied(connection: asyncpg.Connection) -> list[str]:
    """Return the ids of the migrations that the database has had, oldest first."""
    if await connection.fetchval("SELECT to_regclass('migration')") is None:
        return []
    rows = await connection.fetch("SELECT name FROM migration WHERE app_name = 'hub' ORDER BY name")
    return [row["name"] for row in rows]


async def create_migration(dsn: str, name: str) -> str:
    """Write a migration file for what changed in the tables; return what Piccolo says about it."""
    from piccolo.apps.migrations.commands.new import new  # noqa: PLC0415 - as above

    output = io.StringIO()
    await ENGINE.open(dsn, pool_size=2)
    try:
        with contextlib.redirect_stdout(output):
            await new("hub", auto=True, desc=name)
    finally:
        await ENGINE.close()
    return output.getvalue()
