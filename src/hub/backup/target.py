"""Where a backup goes: a file that appears only when it is whole, or standard output."""

from __future__ import annotations

import errno
import os
import select
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from hub.backup.errors import disk_sentences
from hub.core.errors import StartError
from hub.core.ids import new_id
from hub.storage.archives import name_of
from hub.storage.files import TempFile, claim, create, sync_folder

_PARTIAL = ".hub-backup-"
_DOING = "The backup"
#: What file systems say that have no hard links.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
#: Seconds after which a reader of standard output that takes nothing is given up.
_STALL = 900


class Partial:
    """A backup that is being written, under a name that says so; locked, so that leftovers can be told."""

    def __init__(self, temp: TempFile) -> None:
        self._descriptor = temp.descriptor
        self.path = temp.path

    def write(self, content: bytes) -> None:
        """Write all of it.

        Raises:
            StartError: the disk does not take it.
        """
        rest = memoryview(content)
        with disk_sentences(_DOING, self.path.parent):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def sync(self) -> None:
        """Have it survive a loss of power."""
        with disk_sentences(_DOING, self.path.parent):
            os.fsync(self._descriptor)


@contextmanager
def partial_in(folder: Path, *, make: bool = False) -> Iterator[Partial]:
    """Lend a new file in a folder; unless it is moved away it is gone in the end.

    Args:
        folder: where.
        make: make the folder if it is missing.

    Raises:
        StartError: it cannot be written there.
    """
    with disk_sentences(_DOING, folder):
        if make:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not folder.is_dir():
            raise StartError(f"There is no folder {folder}. Make it, or choose another place.")
        _clear(folder)
        temp = create(folder, f"{_PARTIAL}{new_id().hex}")
        try:
            yield Partial(temp)
        finally:
            temp.path.unlink(missing_ok=True)
            os.close(temp.descriptor)


def _clear(folder: Path) -> None:
    """Remove what backups have left that were killed."""
    for each in folder.glob(f"{_PARTIAL}*"):
        descriptor = claim(each)
        if descriptor is not None:
            each.unlink(missing_ok=True)
            os.close(descriptor)


def require_file(target: Path) -> Path:
    """Return the file that would be replaced, where links lead.

    Raises:
        StartError: there is something else, like a device, that must not be.
    """
    real = Path(os.path.realpath(target))
    if real.exists() and not real.is_file():
        raise StartError(f"{target} is not a file. Name one, or a folder, or use - for standard output.")
    return real


def place(partial: Partial, target: Path) -> None:
    """Give a whole backup its name, in place of what has it."""
    partial.path.replace(target)
    sync_folder(target.parent)


def place_in(partial: Partial, folder: Path, time: datetime) -> Path:
    """Give a whole backup the name of its time, or of the next second that is free; return it."""
    while True:
        target = folder / name_of(time)
        with suppress(FileExistsError):
            _place_new(partial, target)
            sync_folder(folder)
            return target
        time += timedelta(seconds=1)


def _place_new(partial: Partial, target: Path) -> None:
    try:
        os.link(partial.path, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # As on FAT: the name is taken first, then the backup moved there.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        partial.path.replace(target)


def require_room(folder: Path, size: int) -> None:
    """Return if so many bytes seem to fit.

    Raises:
        StartError: they do not.
    """
    with disk_sentences(_DOING, folder):
        free = shutil.disk_usage(folder).free
    if free < size:
        raise StartError(
            f"The backup needs about {size / 1e6:,.0f} MB, and the disk of {folder} has"
            f" {free / 1e6:,.0f} MB free. Make room, or choose another place; nothing was written."
        )


class Pipe:
    """Standard output, or another descriptor; given up when nobody reads it for a quarter of an hour."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._may_stall = not stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def write(self, content: bytes) -> None:
        """Write all of it.

        Raises:
            StartError: nobody takes it, or there is no room.
        """
        rest = memoryview(content)
        with disk_sentences(_DOING, "standard output", left="what was written so far is no backup"):
            while rest:
                rest = rest[self._write_some(rest) :]

    def _write_some(self, rest: memoryview) -> int:
        if not self._may_stall:
            return os.write(self._descriptor, rest)
        if not self._poll.poll(_STALL * 1000):
            raise StartError(f"The backup was given up: nobody has read from it for {_STALL // 60} minutes.")
        # No more than a pipe takes at once: a longer write would block for as long as it is not read.
        return os.write(self._descriptor, rest[: select.PIPE_BUF])
