"""Writing and taking away files so that none is ever torn, lost or left behind unseen.

A temporary file is locked (``flock``) for as long as somebody uses it; one that can be locked belongs to a
process that died.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.storage import layout
from hub.storage.errors import NoRoomError, disk_errors
from hub.storage.threads import to_end

logger = get_logger(__name__)

#: How often a file is put in place that loses its folder in the very moment.
_TRIES = 100


class TempFile(Struct, frozen=True):
    """A file of our own; it goes away with the context that made it."""

    path: Path
    descriptor: int


class FileStore:
    """The files below one data folder; ``floor`` bytes of its disk stay free."""

    def __init__(self, data_dir: Path, *, floor: int = 0) -> None:
        self.data_dir = data_dir
        self._floor = floor

    async def require_room(self, size: int = 0) -> None:
        """Return if so many bytes more may be stored.

        Raises:
            NoRoomError: the disk has no more to give.
            StorageFailedError: the disk cannot be asked.
        """
        with disk_errors():
            free = (await to_end(shutil.disk_usage, self.data_dir)).free
        if free - size < self._floor:
            raise NoRoomError("The server's disk is nearly full. Tell its operator, and try again later.")

    @asynccontextmanager
    async def temporary(self) -> AsyncIterator[TempFile]:
        """Lend an empty file of the same file system, removed at the end unless it has moved away.

        Raises:
            NoRoomError, StorageFailedError: it cannot be made.
        """
        with disk_errors():
            temp = await _create(layout.temporary_folder(self.data_dir))
        try:
            yield temp
        finally:
            await to_end(_remove, temp)

    async def place(self, temp: TempFile, target: Path) -> None:
        """Put a complete file where it belongs, over whatever stands there; the temporary one stays too.

        When this returns, both its bytes and its name survive a loss of power.

        Raises:
            NoRoomError, StorageFailedError: it could not be done; there is no part of it at the target.
        """
        with disk_errors():
            await to_end(_place, temp, target)

    async def exists(self, path: Path) -> bool:
        """Tell whether there is such a file."""
        with disk_errors():
            return await to_end(path.is_file)


async def _create(folder: Path) -> TempFile:
    made: list[TempFile] = []
    try:
        await to_end(lambda: made.append(create(folder)))
    except asyncio.CancelledError:  # nobody else knows of it
        for temp in made:
            _remove(temp)
        raise
    return made[0]


def _remove(temp: TempFile) -> None:
    try:
        temp.path.unlink(missing_ok=True)
    except OSError as error:  # what was done with the file counts; the collector comes for it
        logger.warning("temporary file not removed", reason=error.strerror)
    finally:
        os.close(temp.descriptor)


def create(folder: Path, name: str | None = None) -> TempFile:
    """Make an empty file that nobody else has, and lock it.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        path = folder / (name or new_id().hex)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return TempFile(path, descriptor)
        os.close(descriptor)  # the collector was between us and the lock


def claim(path: Path | str, *, folder: int | None = None, shared: bool = False) -> int | None:
    """Lock a file that may have been abandoned; None when it is in use or gone.

    Args:
        path: of the file, as seen from ``folder``, an open one.
        folder: the working folder if none.
        shared: only look whether somebody uses it; others may look at the same time.

    Returns:
        Its descriptor, to be closed by the caller.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        return None
    return descriptor


def _place(temp: TempFile, target: Path) -> None:
    os.fsync(temp.descriptor)
    second = temp.path.with_name(f"{temp.path.name}.placing")
    try:
        for _ in range(_TRIES):
            # The collector may take folders away that are empty, or the very file.
            with suppress(FileNotFoundError):
                _move_second(temp, second, target)
                return
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target))
    finally:
        second.unlink(missing_ok=True)


def _move_second(temp: TempFile, second: Path, target: Path) -> None:
    with suppress(FileExistsError):
        os.link(temp.path, second)
    with folders_of(target):
        second.rename(target)


@contextmanager
def folders_of(target: Path) -> Iterator[None]:
    """Have a companion's folders for a file that is moved there meanwhile; then have all names survive.

    Raises:
        FileNotFoundError: a folder was taken away again before there was something in it.
    """
    missing = [each for each in (target.parent, target.parent.parent) if not each.is_dir()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
    yield
    for folder in (target.parent, *(each.parent for each in missing)):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Have a folder's names survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
