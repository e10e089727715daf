"""The folder within the data folder where a restore gathers everything before it counts.

Until the rows are committed the hub takes no notice of it. What a killed restore has left is cleared away by
the next one, also files that it had moved to their places already: ``placing`` says so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hub.backup import places
from hub.backup.errors import disk_sentences
from hub.backup.manifest import KEY
from hub.core.errors import StartError
from hub.storage import layout
from hub.storage.files import claim, create, sync_folder

_LOCK, _CONTENT = "lock", "content"
#: Bytes of the disk that stay free whatever an archive says.
_FLOOR = 64_000_000


class Room:
    """What an archive may take of a disk; ``folder`` need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        self._left = shutil.disk_usage(self._folder).free - _FLOOR

    def take(self, name: str, size: int) -> None:
        """Set aside room for one entry: rows take about three times as much again once they are loaded.

        Raises:
            StartError: there is not enough.
        """
        self._left -= size if places.is_picture(name) else 4 * size
        if self._left < 0:
            raise StartError(
                f"The archive needs more room than the disk of {self._folder} has. Make room, or choose"
                " another data folder; nothing was changed."
            )


class Check:
    """Takes the entries of an archive and looks only whether there would be room."""

    def __init__(self, folder: Path) -> None:
        self._room = Room(folder)

    def begin(self, name: str, size: int) -> Callable[[bytes], object]:
        """Return what takes an entry's content."""
        self._room.take(name, size)
        return len


class Staging:
    """What an archive holds, on its way into one data folder; made by :func:`staging_in`."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.folder = data_dir / layout.RESTORING
        self._content = self.folder / _CONTENT
        self._room: Room | None = None
        self._file: BinaryIO | None = None

    @property
    def left_over(self) -> str:
        """The token of an earlier restore that was about to put its files in place; empty if none was."""
        with suppress(FileNotFoundError):
            return (self.folder / layout.PLACING).read_text()
        return ""

    def clear(self, *, placed: bool = False) -> None:
        """Take away everything that an earlier restore has left.

        Args:
            placed: also what it had moved to its place, of which it is known that no rows refer to it.
        """
        if placed:
            _remove(layout.companions_folder(self.data_dir))
            sync_folder(self.data_dir / layout.UPLOADS)
        (self.folder / layout.PLACING).unlink(missing_ok=True)
        _remove(self._content)
        self._content.mkdir(mode=0o700)
        self._room = Room(self.data_dir)

    def begin(self, name: str, size: int) -> Callable[[bytes], object]:
        """Return what writes an entry of the archive, whose name has been looked at.

        Raises:
            StartError: there is no room for it.
        """
        assert self._room is not None, "clear() comes first"  # noqa: S101 - for mypy
        self._room.take(name, size)
        self.close()
        path = self._content / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.fdopen(os.open(path, flags, 0o600), "wb")
        return self._file.write

    def close(self) -> None:
        """Close the file that is being written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def parts(self, table: str, count: int) -> list[Path]:
        """Return the files with a table's rows."""
        return [self._content / places.part_of(table, number + 1) for number in range(count)]

    def place(self, token: str) -> None:
        """Move pictures and key to their places; only a commit is missing then.

        Args:
            token: by which the next restore knows what this one was about to do, and in which database.

        Raises:
            StartError: the disk refuses.
        """
        with disk_sentences("The restore", self.data_dir):
            self._place(token)

    def _place(self, token: str) -> None:
        marker = create(self.folder, f"{layout.PLACING}.new")
        os.write(marker.descriptor, token.encode())
        os.close(marker.descriptor)
        layout.prepare(self.data_dir)
        os.sync()  # all files, in one go
        marker.path.rename(self.folder / layout.PLACING)
        sync_folder(self.folder)
        companions = self._content / layout.UPLOADS / "companions"
        if companions.exists():
            companions.rename(layout.companions_folder(self.data_dir))
        if (self._content / KEY).exists():
            self._place_key(self._content / KEY, self.data_dir / KEY)
        for folder in (self.data_dir / layout.UPLOADS, self.data_dir):
            sync_folder(folder)

    @staticmethod
    def _place_key(new: Path, key: Path) -> None:
        """Another key that is there may be the only one of its hub: it is kept beside."""
        if key.exists() and key.read_bytes() != new.read_bytes():
            with suppress(FileExistsError):
                os.link(key, key.with_name(f"{KEY}.before-restore"))
        new.rename(key)

    def finish(self) -> None:
        """Leave nothing of the restore but what it restored."""
        shutil.rmtree(self.folder)
        sync_folder(self.data_dir)


@contextmanager
def staging_in(data_dir: Path) -> Iterator[Staging]:
    """Lend a data folder's staging folder, which nobody else uses meanwhile; failures leave nothing there.

    Raises:
        StartError: the disk refuses, or another restore is under way.
    """
    is_new = not data_dir.exists()
    with disk_sentences("The restore", data_dir):
        staging = Staging(data_dir)
        staging.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(staging.folder / _LOCK)
        try:
            yield staging
        except BaseException:
            staging.close()
            if not staging.left_over:  # else the next restore has to look what became of it
                _remove(staging.folder)
            if is_new:
                with suppress(OSError):
                    data_dir.rmdir()
            raise
        finally:
            os.close(lock)


def _lock(path: Path) -> int:
    with suppress(FileExistsError):
        return create(path.parent, path.name).descriptor
    descriptor = claim(path)
    if descriptor is None:
        raise StartError(f"Another restore into {path.parent.parent} is under way. Wait until it is done.")
    return descriptor


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def holds_pictures(data_dir: Path) -> bool:
    """Tell whether there is anything in the place of the pictures."""
    folder = layout.companions_folder(data_dir)
    return folder.exists() and any(folder.iterdir())
