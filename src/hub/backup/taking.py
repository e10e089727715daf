"""Taking a backup beside a running hub: rows first, then the files that they refer to."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec import Struct

import hub
from hub.backup import pictures, retention, target
from hub.backup.archive import Nowhere, Sink, Writer, read_through
from hub.backup.dump import Snapshot, dump_all, session, snapshot
from hub.backup.manifest import (
    ABOUT,
    FORMAT,
    KEY,
    About,
    Database,
    Fault,
    Key,
    Manifest,
    counts_of,
    fingerprint,
)
from hub.backup.retention import Keep
from hub.backup.target import Partial, Pipe
from hub.core.clock import utc_now
from hub.core.errors import StartError
from hub.core.progress import Progress
from hub.core.settings import Settings
from hub.storage import secret
from hub.storage.archives import time_of
from hub.storage.threads import to_end

#: Files that are written before somebody who stops the backup is heard.
_AT_ONCE = 64


class Taken(Struct, frozen=True, kw_only=True):
    """A backup that is done.

    ``file`` is None for one to standard output, which is not read back; ``others`` are tables that stand in
    the same database and are not the hub's; ``removed`` are older backups that were not to be kept.
    """

    file: Path | None
    bytes: int
    seconds: float
    manifest: Manifest
    others: list[str]
    removed: list[Path] = []


class Backup:
    """One backup of one hub."""

    def __init__(self, settings: Settings, dsn: str, progress: Progress) -> None:
        self._settings = settings
        self._dsn = dsn
        self._progress = progress
        self._began = time.monotonic()

    async def to_folder(self, folder: Path, keep: Keep) -> Taken:
        """Write a backup that is named after its time, then remove those that are not to be kept.

        Nothing is removed when something is wrong with this one.

        Raises:
            StartError: it could not be done; the sentence says why.
        """
        with target.partial_in(folder, make=True) as partial:
            taken = await self._to_partial(partial)
            file = await to_end(target.place_in, partial, folder, taken.manifest.created_at)
            removed = [] if taken.manifest.faults else await to_end(_tidy, folder, keep, file)
        return msgspec.structs.replace(taken, file=file, removed=removed, seconds=self._seconds)

    async def to_file(self, file: Path) -> Taken:
        """Write a backup to a file, in place of what stands there once the new one is whole.

        Raises:
            StartError: it could not be done; the sentence says why.
        """
        file = target.require_file(file)
        with target.partial_in(file.parent) as partial:
            taken = await self._to_partial(partial)
            await to_end(target.place, partial, file)
        return msgspec.structs.replace(taken, file=file, seconds=self._seconds)

    async def to_pipe(self, descriptor: int) -> Taken:
        """Write a backup to somebody who reads it as it comes.

        Raises:
            StartError: it could not be done; the sentence says why.
        """
        return await self._write(Pipe(descriptor))

    async def _to_partial(self, partial: Partial) -> Taken:
        taken = await self._write(partial, room=partial.path.parent)
        await asyncio.gather(to_end(partial.sync), self._verify(partial, taken.manifest))
        return taken

    @property
    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 3)

    async def _write(self, sink: Sink, room: Path | None = None) -> Taken:
        created = utc_now()
        writer = Writer(sink, modified=int(created.timestamp()))
        async with session(self._dsn, "companion-hub backup") as connection:
            async with snapshot(connection) as shot:
                if room is not None:
                    target.require_room(room, sum(each.size for each in shot.pictures))
                about = About(
                    format=FORMAT,
                    version=hub.__version__,
                    migration=max(shot.migrations),
                    created_at=created,
                )
                writer.add(ABOUT, msgspec.json.encode(about))
                with self._progress.of("rows", 0) as progress:
                    database = await dump_all(connection, shot, writer.add, progress.add)
            key = self._add_key(writer)
            faults = await self._add_pictures(writer, shot)
            if faults:  # then it matters that the collector was held off to the end
                await connection.execute("SELECT 1")
        whole = _manifest(about, database, key, writer, faults)
        await to_end(writer.end, whole)
        return Taken(file=None, bytes=writer.bytes, seconds=self._seconds, manifest=whole, others=shot.others)

    def _add_key(self, writer: Writer) -> Key:
        """Add the key that the hub has made itself; one that the operator has set is the operator's."""
        key = self._settings.secret_key
        if key is not None:
            return Key(in_archive=False, fingerprint=fingerprint(key))
        key = secret.read_or_make(self._settings.data_dir)
        writer.add(KEY, key.encode())
        return Key(in_archive=True, fingerprint=fingerprint(key))

    async def _add_pictures(self, writer: Writer, shot: Snapshot) -> list[Fault]:
        faults: list[Fault] = []
        packed = pictures.pack(self._settings.data_dir, shot.pictures, modified=writer.modified)

        def add_some() -> int:
            some = list(itertools.islice(packed, _AT_ONCE))
            for each in some:
                writer.add_packed(each)
                faults.extend(pictures.faults_of(each))
            return len(some)

        with self._progress.of("files", len(shot.pictures)) as progress, closing(packed):
            while count := await to_end(add_some):
                progress.add(count)
        return faults

    async def _verify(self, partial: Partial, wanted: Manifest) -> None:
        """Read everything back.

        Raises:
            StartError: it is not what was written.
        """

        def read_back() -> Manifest:
            with partial.path.open("rb") as source:
                return read_through(source, Nowhere())[0]

        if await to_end(read_back) != wanted:
            raise StartError("The backup is not what was written: its disk cannot be relied on.")


def _tidy(folder: Path, keep: Keep, file: Path) -> list[Path]:
    made = time_of(file.name)
    return retention.remove_surplus(folder, keep, made=made) if made else []


def _manifest(about: About, database: Database, key: Key, writer: Writer, faults: list[Fault]) -> Manifest:
    return Manifest(
        **msgspec.structs.asdict(about),
        counts=counts_of(database.tables),
        database=database,
        key=key,
        files=dict(writer.files),
        faults=faults,
    )
