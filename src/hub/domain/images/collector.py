"""The collector: removes the files of pictures that are gone, and whatever else nobody needs any more.

A file goes only while its companion's row is locked, and every writer makes sure of its file under the same
lock before it commits: so no row is ever without its file, however short the grace. While a backup is under
way none goes.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from msgspec import Struct

from hub.core.logging import get_logger
from hub.db.engine import ENGINE, IDLE_LIMIT
from hub.domain.images import holding, removals
from hub.domain.images.removals import Waiting
from hub.storage import layout, removal
from hub.storage.errors import NoRoomError, StorageFailedError, disk_errors
from hub.storage.layout import Family
from hub.storage.removal import Freed, Removal
from hub.storage.threads import to_end
from hub.storage.walk import Part, walk

logger = get_logger(__name__)

#: Families that go in one transaction, while nobody can store a picture of their companion.
BATCH = 100
#: Seconds after which nobody is still writing a temporary file that is not locked either.
TEMPORARY_LIFE = 3600.0
#: Seconds for which a file without a row is left alone.
STRAY_LIFE = 24 * 3600.0
#: Strays of that age that crashes leave behind, even where there are hardly any pictures.
FEW_STRAYS = 10


_DISK = (StorageFailedError, NoRoomError)

T = TypeVar("T")


class Tally(Struct):
    """What a collector has done: removals seen to, and what it removed or put back."""

    removals: int = 0
    pictures: Freed = Freed()
    temporary: Freed = Freed()
    strays: Freed = Freed()
    put_back: int = 0


def _never() -> bool:
    return False


class Collector:
    """Removes files below one data folder; any number may run at once, in any process.

    ``is_stopping`` is asked now and then: work ends early once it is true.
    """

    def __init__(self, data_dir: Path, *, is_stopping: Callable[[], bool] = _never) -> None:
        self.tally = Tally()
        self._data_dir = data_dir
        self._is_stopping = is_stopping

    async def collect(self, limit: int, *, grace: float) -> int:
        """Remove the files of up to ``limit`` removals of at least ``grace`` seconds ago.

        Returns:
            How many were seen to; those whose files are in use, by a backup too, wait for the next time.
        """
        if await holding.is_held():
            return 0
        handled, last = 0, None
        while handled < limit and not self._is_stopping():
            found = await removals.due(limit=limit - handled, grace=grace, after=last)
            if not found:
                break
            last = found[-1]
            handled += await self._collect(found)
        return handled

    async def _collect(self, found: Sequence[Waiting]) -> int:
        by_companion = defaultdict[UUID, list[Waiting]](list)
        for each in found:
            by_companion[each.companion_id].append(each)
        handled = 0
        for companion_id, waiting in by_companion.items():
            for batch in _batches(waiting):
                if self._is_stopping():
                    return handled
                done = await self._try(companion_id, {each.family for each in batch}, batch)
                handled += sum(each.family in done for each in batch)
        self.tally.removals += handled
        return handled

    async def _try(
        self, companion_id: UUID, families: Collection[Family], waiting: Sequence[Waiting] = ()
    ) -> set[Family]:
        try:
            done, freed = await self.remove_unreferenced(companion_id, families, waiting)
        except _DISK:
            logger.warning("files not removed", companion_id=str(companion_id))
            return set()
        if waiting:
            self.tally.pictures += freed
        else:
            self.tally.strays += freed
        return done

    async def remove_unreferenced(
        self, companion_id: UUID, families: Collection[Family], waiting: Sequence[Waiting] = ()
    ) -> tuple[set[Family], Freed]:
        """Remove those of a companion's files that no row refers to.

        Args:
            companion_id: the companion, which may be gone.
            families: the files.
            waiting: their removals, which are forgotten; files that others wait for stay.

        Returns:
            The families that are seen to, and what was removed; nothing while a backup is under way.

        Raises:
            NoRoomError, StorageFailedError: the disk refuses; every file is where it was.
        """
        hidden = Removal(self._data_dir)
        try:
            async with ENGINE.transaction():
                await removals.lock_companion(companion_id)
                until = time.monotonic() + IDLE_LIMIT / 2
                kept = await removals.wanted(companion_id, families, besides=[each.id for each in waiting])
                if await holding.is_held():  # after the rows, see there
                    return set(), Freed()
                with disk_errors():
                    taken = await to_end(hidden.take, set(families) - kept, until=until)
                done = kept | taken
                await removals.forget([each.id for each in waiting if each.family in done])
        except BaseException:
            await to_end(hidden.put_back)
            raise
        return done, await to_end(hidden.drop)

    # Temporary files

    async def sweep_temporary(self, *, grace: float) -> int:
        """Remove temporary files that nobody holds; settle what a collector that was killed had in hand.

        Returns:
            How many files went or were put back.

        Raises:
            StorageFailedError: the folder cannot be read.
        """
        with disk_errors():
            names = await to_end(_names, layout.temporary_folder(self._data_dir))
        before = self.tally.temporary.files + self.tally.put_back
        for name in names:
            if self._is_stopping():
                break
            try:
                await self._sweep(name, age=min(grace, TEMPORARY_LIFE))
            except _DISK:
                logger.warning("temporary file not removed", name=name)
        return self.tally.temporary.files + self.tally.put_back - before

    async def _sweep(self, name: str, *, age: float) -> None:
        leftover = removal.read_leftover(name)
        if leftover is not None:
            family, own = leftover
            async with ENGINE.transaction():
                await removals.lock_companion(family.companion_id)
                if await removals.is_referenced(family) and await self._put_back(name, family, own):
                    return
            age = 0
        with disk_errors():
            self.tally.temporary += await to_end(removal.remove_temporary, self._data_dir, name, age=age)

    async def _put_back(self, name: str, family: Family, own: str) -> bool:
        place = family.folder(self._data_dir) / own
        with disk_errors():
            if not await to_end(removal.settle, self._data_dir, name, place):
                return False
        self.tally.put_back += 1
        logger.warning("a file that was about to be removed is put back", path=str(place))
        return True

    # Strays

    async def knows_its_files(self) -> bool:
        """Tell whether rows refer to at least as many pictures on the disk as there are strays, beyond a few.

        If not, database and folder hardly belong together: one of them was made anew, or is another hub's.
        """
        known = lost = 0
        with closing(walk(self._data_dir)) as parts:
            while not self._is_stopping() and (part := await _next(parts)) is not None:
                wanted, old = await self._compare(part, STRAY_LIFE)
                known += len(wanted)
                lost += len(old)
        is_likely = lost <= max(known, FEW_STRAYS)
        if not is_likely:
            logger.error(
                "files without rows are left alone, there are too many: is this the right database?"
                " 'hub images gc --grace 86400' removes them",
                with_row=known,
                without_row=lost,
            )
        return is_likely

    async def sweep_strays(self, limit: int, *, grace: float = STRAY_LIFE) -> int:
        """Remove up to about ``limit`` files that no row refers to and that are older than ``grace`` seconds.

        Whatever is below the companions' folder and was not put there by the hub goes too.

        Returns:
            How many went.

        Raises:
            StorageFailedError: the folder cannot be read.
        """
        before = self.tally.strays.files
        with closing(walk(self._data_dir)) as parts:
            while (part := await _next(parts)) is not None:
                await self._sweep_part(part, grace)
                if self._is_stopping() or self.tally.strays.files - before >= limit:
                    break
        return self.tally.strays.files - before

    async def _compare(self, part: Part, age: float) -> tuple[set[Family], list[Family]]:
        """Return the pictures of a folder that rows refer to, and the others if they are old enough."""
        families = {entry.family for entry in part.entries if entry.family is not None}
        if not families:
            return set(), []
        wanted = await removals.wanted(next(iter(families)).companion_id, families)
        return wanted, await to_end(removal.old_ones, self._data_dir, families - wanted, age=age)

    async def _sweep_part(self, part: Part, grace: float) -> None:
        _, old = await self._compare(part, grace)
        for batch in _batches(sorted(old, key=lambda family: family.sha256)):
            await self._try(batch[0].companion_id, batch)
        for name in (entry.name for entry in part.entries if entry.family is None):
            try:
                with disk_errors():
                    self.tally.strays += await to_end(
                        removal.remove_stray, self._data_dir, part.folder, name, age=grace
                    )
            except _DISK:
                logger.warning("stray file not removed", name=name)
        if part.is_last and part.folder:
            await to_end(
                removal.remove_empty, layout.companions_folder(self._data_dir).joinpath(*part.folder)
            )


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


async def _next(parts: Iterator[Part]) -> Part | None:
    with disk_errors():
        return await to_end(next, parts, None)


def _names(folder: Path) -> list[str]:
    try:
        return [each.name for each in folder.iterdir()]
    except FileNotFoundError:
        return []
