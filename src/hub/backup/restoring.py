"""Restoring a backup into an empty hub: everything is gathered and compared first, then counts at once.

The commit of the rows is the moment. Until then the database is as empty as before, and what was moved to its
place in the data folder is taken away again by the next restore.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from contextlib import ExitStack
from typing import BinaryIO

import asyncpg
import msgspec
from msgspec import Struct

from hub.backup import load
from hub.backup.archive import Unpacker, read_through
from hub.backup.dump import session
from hub.backup.errors import DamagedArchiveError
from hub.backup.load import Mark, State
from hub.backup.manifest import MANIFEST, About, Manifest, fingerprint, require_known
from hub.backup.staging import Check, Staging, holds_pictures, staging_in
from hub.core.errors import StartError
from hub.core.ids import new_id
from hub.core.progress import Progress
from hub.core.settings import Settings
from hub.db.embedded.layout import Layout
from hub.db.migrate import MIGRATION_LOCK, MigrationFailedError, applied, known, run_missing
from hub.db.provision import Database, open_database

_ELSEWHERE = (
    "Restore into an empty place: name another data folder with HUB_DATA_DIR (and another database with"
    " HUB_DATABASE_URL, if you use one of your own), or move this one away"
)


class Restored(Struct, frozen=True, kw_only=True):
    """What was restored, or could be. ``was_done``: an earlier restore had done it all but for tidying up.

    ``is_other_key``: the hub has been set up with another key than the one that the archive was made with.
    """

    manifest: Manifest
    was_done: bool = False
    is_other_key: bool = False


class Restore:
    """One restore into the places that the settings name."""

    def __init__(self, settings: Settings, source: BinaryIO, progress: Progress) -> None:
        self._settings = settings
        self._source = source
        self._progress = progress

    def check(self) -> Restored:
        """Look whether it could be done; nothing is changed.

        Raises:
            StartError: it could not; the sentence says why, and what to do.
        """
        left_over = Staging(self._settings.data_dir).left_over
        with ExitStack() as stack:
            _, mark = self._look(stack, left_over)
            manifest, digest = self._read(Check(self._settings.data_dir))
        if mark is Mark.DONE:
            _require_same(left_over, digest)
        return self._result(manifest, was_done=mark is Mark.DONE)

    def run(self) -> Restored:
        """Do it. From the main thread: the embedded database may be started.

        Raises:
            StartError: it could not be done; the sentence says why, and what to do.
        """
        with staging_in(self._settings.data_dir) as staging, ExitStack() as stack:
            database, mark = self._look(stack, staging.left_over)
            if database is not None and mark is Mark.DONE:
                return self._finish(database, staging)
            staging.clear(placed=mark is Mark.BEGUN)
            manifest, digest = self._read(staging)
            staging.close()
            if database is None:
                database = stack.enter_context(open_database(self._settings))
            asyncio.run(self._load(database, staging, manifest, _token(digest)))
            staging.finish()
        return self._result(manifest)

    # Where to

    def _look(self, stack: ExitStack, left_over: str) -> tuple[Database | None, Mark]:
        """Return if everything is empty and nobody uses it, but for what an earlier restore has left.

        Args:
            stack: what ends with it.
            left_over: the token of that restore.

        Returns:
            The database, None for an embedded one that is still to be made, and how far that restore came in
            it.

        Raises:
            StartError: something is not empty, or in use.
        """
        folder = self._settings.data_dir
        is_made = Layout.below(folder).data.exists()
        if self._settings.database_url is not None and is_made:
            raise StartError(f"The data folder {folder} has an embedded database in it. {_ELSEWHERE}.")
        if not left_over:
            self._require_no_pictures()
        if self._settings.database_url is None and not is_made:
            self._require_no_pictures()
            return None, Mark.NONE
        database = stack.enter_context(open_database(self._settings))
        if database.embedded is not None and not database.exclusive:
            raise StartError(f"A hub uses the data folder {folder}. Stop it, then restore.")

        async def ask() -> Mark:
            async with session(database.dsn, load.RESTORE) as connection:
                return await self._require_empty(connection, left_over=left_over)

        mark = asyncio.run(ask())
        if mark is Mark.NONE:
            self._require_no_pictures()
        return database, mark

    def _require_no_pictures(self) -> None:
        if holds_pictures(self._settings.data_dir):
            raise StartError(f"The data folder {self._settings.data_dir} has pictures in it. {_ELSEWHERE}.")

    @staticmethod
    async def _require_empty(connection: asyncpg.Connection, *, left_over: str = "") -> Mark:
        if others := await load.others_at_work(connection):
            if others == {load.RESTORE}:
                raise StartError("Another restore into the database is under way. Wait until it is done.")
            raise StartError("A hub uses the database. Stop it, then restore.")
        mark = await load.mark_of(connection, left_over) if left_over else Mark.NONE
        if mark is not Mark.DONE and await load.look(connection) is State.USED:
            raise StartError(f"The database has a hub with accounts in it. {_ELSEWHERE}.")
        return mark

    # From where

    def _read(self, unpacker: Unpacker) -> tuple[Manifest, str]:
        def on_about(about: About) -> None:
            require_known(about, migrations=known())

        with self._progress.of("MB", _megabytes(_size(self._source))) as progress:
            counting = _Counting(self._source, progress)
            manifest, digest = read_through(counting, unpacker, on_about=on_about)
        require_known(manifest, migrations=known())
        for migration in manifest.database.migrations:
            require_known(msgspec.structs.replace(manifest, migration=migration), migrations=known())
        if manifest.migration != max(manifest.database.migrations, default=""):
            raise DamagedArchiveError(MANIFEST, "names another migration than its database had")
        return manifest, digest

    # All at once

    async def _load(self, database: Database, staging: Staging, manifest: Manifest, token: str) -> None:
        async with session(database.dsn, load.RESTORE) as connection:
            # Whoever starts a hub now waits until everything is there.
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", MIGRATION_LOCK):
                raise StartError("A hub is just starting on the database. Stop it, then restore.")
            await self._require_empty(connection)
            if await applied(connection) != manifest.database.migrations:
                await load.drop_unused(connection)
                await _migrate(database.dsn, manifest.database.migrations)
            await load.mark(connection, Mark.BEGUN, token)
            async with connection.transaction():
                with self._progress.of(
                    "rows", sum(each.rows for each in manifest.database.tables)
                ) as progress:
                    await load.load(connection, manifest, staging.parts, progress.add)
                await load.mark(connection, Mark.DONE, token)
                staging.place(token)
            await _migrate(database.dsn)

    def _finish(self, database: Database, staging: Staging) -> Restored:
        """Do what was left to do when an earlier restore was stopped after its commit."""
        manifest, digest = self._read(Check(self._settings.data_dir))
        _require_same(staging.left_over, digest)

        async def migrate() -> None:
            async with session(database.dsn, load.RESTORE) as connection:
                await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
                await _migrate(database.dsn)

        asyncio.run(migrate())
        staging.finish()
        return self._result(manifest, was_done=True)

    def _result(self, manifest: Manifest, *, was_done: bool = False) -> Restored:
        key = self._settings.secret_key
        if key is None:
            is_other_key = not manifest.key.in_archive
        else:
            is_other_key = fingerprint(key) != manifest.key.fingerprint
        return Restored(manifest=manifest, was_done=was_done, is_other_key=is_other_key)


def _token(digest: str) -> str:
    """Return a name for one restore of the archive whose manifest has this hash."""
    return f"{digest} {new_id().hex}"


def _require_same(token: str, digest: str) -> None:
    if token.partition(" ")[0] != digest:
        raise StartError(f"Another archive has been restored here already. {_ELSEWHERE}.")


async def _migrate(dsn: str, migrations: Collection[str] | None = None) -> None:
    try:
        await run_missing(dsn, only=migrations)
    except MigrationFailedError as error:
        raise StartError(f"The database refuses a migration: {error}.") from None


def _size(source: BinaryIO) -> int:
    """Return a file's size in bytes; 0 for a pipe."""
    try:
        return os.fstat(source.fileno()).st_size
    except OSError:
        return 0


def _megabytes(size: int) -> int:
    """Return how many megabytes these bytes are, the last one begun."""
    return -(-size // 1_000_000)


class _Counting:
    """A file whose megabytes are counted as they are read."""

    def __init__(self, source: BinaryIO, progress: Progress) -> None:
        self._source = source
        self._progress = progress
        self._bytes = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most so many."""
        content = self._source.read(size)
        self._bytes += len(content)
        self._progress.reach(_megabytes(self._bytes))
        return content
