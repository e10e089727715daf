"""Comparing rows and files, beside a running server: what looks wrong is looked at again after a moment."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Literal
from uuid import UUID

from msgspec import Struct

from hub.db.engine import ENGINE
from hub.domain.images import removals
from hub.storage.files import claim
from hub.storage.images import MediaType
from hub.storage.layout import Family, Kind
from hub.storage.threads import to_end
from hub.storage.walk import Entry, Part, walk

#: Rows that are read at once, and files that are read at the same time.
BATCH = 500
READERS = 4
#: Seconds until what looked wrong is looked at again: a file may just be on its way.
MOMENT = 0.5

FaultKind = Literal["row without file", "wrong hash", "unreadable file", "file without row"]


class Fault(Struct, frozen=True, kw_only=True):
    """Something that does not fit. ``image_id`` and ``companion_id`` are None where no row tells them."""

    fault: FaultKind
    path: Path
    image_id: UUID | None = None
    companion_id: UUID | None = None


class Count(Struct):
    """How far a comparison is: rows and entries of folders that have been looked at, bytes that were read."""

    rows: int = 0
    files: int = 0
    bytes: int = 0


class _Row(Struct, frozen=True):
    id: UUID
    companion_id: UUID
    kind: Kind
    sha256: str
    media_type: MediaType
    thumb_sha256: str

    @property
    def family(self) -> Family:
        return Family(self.companion_id, self.kind, self.sha256)


class Reconciler:
    """Compares the rows of pictures with the files below one data folder."""

    def __init__(self, data_dir: Path, *, on_progress: Callable[[Count], None] = lambda _: None) -> None:
        self.count = Count()
        self._data_dir = data_dir
        self._on_progress = on_progress
        self._reading = asyncio.Semaphore(READERS)

    async def faults(self) -> AsyncIterator[Fault]:
        """Yield everything that is wrong and stays so.

        Raises:
            OSError: a folder cannot be read.
        """
        async for fault in self._rows():
            yield fault
        async for fault in self._files():
            yield fault

    # Rows: each has its files, with the right bytes

    async def _rows(self) -> AsyncIterator[Fault]:
        last = UUID(int=0)
        while rows := await rows_after(last):
            last = rows[-1].id
            suspects = [row for row, faults in await self._look_at(rows) if faults]
            if suspects:
                await asyncio.sleep(MOMENT)
                for fault in await self._lasting(suspects):
                    yield fault
            self.count.rows += len(rows)
            self._on_progress(self.count)

    async def _lasting(self, suspects: list[_Row]) -> list[Fault]:
        """Look again at rows that are still there, and leave out those that went while we looked."""
        found = await self._look_at(await _rows_of([row.id for row in suspects]))
        wrong = [fault for _, faults in found for fault in faults]
        left = {row.id for row in await _rows_of([fault.image_id for fault in wrong if fault.image_id])}
        return [fault for fault in wrong if fault.image_id in left]

    async def _look_at(self, rows: Iterable[_Row]) -> list[tuple[_Row, list[Fault]]]:
        rows = list(rows)
        return list(zip(rows, await asyncio.gather(*map(self._faults_of, rows)), strict=True))

    async def _faults_of(self, row: _Row) -> list[Fault]:
        faults = []
        for wanted, is_thumb in ((row.sha256, False), (row.thumb_sha256, True)):
            path = row.family.file(self._data_dir, row.media_type, thumb=is_thumb)
            async with self._reading:
                kind = await self._compare(path, wanted)
            if kind is not None:
                faults.append(Fault(fault=kind, path=path, image_id=row.id, companion_id=row.companion_id))
        return faults

    async def _compare(self, path: Path, wanted: str) -> FaultKind | None:
        try:
            size, found = await to_end(_hash, path)
        except FileNotFoundError:
            return "row without file"
        except OSError:
            return "unreadable file"
        self.count.bytes += size
        return None if found == wanted else "wrong hash"

    # Files: each has its row

    async def _files(self) -> AsyncIterator[Fault]:
        with closing(walk(self._data_dir)) as parts:
            while (part := await to_end(next, parts, None)) is not None:
                suspects = await _without_row(part.entries)
                if suspects:
                    await asyncio.sleep(MOMENT)
                    for entry in await _without_row(suspects):
                        fault = await self._still_there(part, entry)
                        if fault is not None:
                            yield fault
                self.count.files += len(part.entries)
                self._on_progress(self.count)

    async def _still_there(self, part: Part, entry: Entry) -> Fault | None:
        path = part.path(self._data_dir, entry)
        if await to_end(_is_gone_or_in_use, path):
            return None
        # Its row may have come before we saw the lock released; or both may have gone by now.
        if not await _without_row([entry]) or not await to_end(os.path.lexists, path):
            return None
        companion_id = entry.family.companion_id if entry.family else None
        return Fault(fault="file without row", path=path, companion_id=companion_id)


async def _without_row(entries: Iterable[Entry]) -> list[Entry]:
    """Return those of a folder's entries that no row refers to and that no removal waits for."""
    entries = list(entries)
    families = {entry.family for entry in entries if entry.family is not None}
    wanted = await removals.wanted(next(iter(families)).companion_id, families) if families else set[Family]()
    return [entry for entry in entries if entry.family is None or entry.family not in wanted]


_ROW = "SELECT id, companion_id, kind, sha256, media_type, thumb_sha256 FROM images"


async def rows_after(last: UUID) -> list[_Row]:
    """Return the next pictures to be compared with their files, by id."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(f"{_ROW} WHERE id > $1 ORDER BY id LIMIT {BATCH}", last)
    return [_Row(**row) for row in rows]


async def _rows_of(ids: list[UUID]) -> list[_Row]:
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(f"{_ROW} WHERE id = ANY($1) ORDER BY id", ids)
    return [_Row(**row) for row in rows]


async def count_rows() -> int:
    """Return how many pictures there are."""
    async with ENGINE.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM images")
    return count


def _hash(path: Path) -> tuple[int, str]:
    """Return a file's size and its hash in hexadecimal; a link is an error."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        digest = hashlib.file_digest(file, "sha256")
        return file.tell(), digest.hexdigest()


def _is_gone_or_in_use(path: Path) -> bool:
    """Tell whether a file is no more, or held by someone who is about to store its row."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return True
    descriptor = claim(path, shared=True)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False
