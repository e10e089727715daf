"""Taking away the files of pictures: out of sight first, for good only when the database has agreed.

Nothing here follows a symbolic link. A file whose lock somebody holds is being put in place this moment.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from msgspec import Struct

from hub.core.logging import get_logger
from hub.storage import layout
from hub.storage.files import claim, folders_of
from hub.storage.layout import FOLDERS, Family, Kind

logger = get_logger(__name__)

_PREFIX = "removed-"
#: How often a file is put back that loses its folder in the very moment.
_TRIES = 100
_LEFTOVER = re.compile(rf"{_PREFIX}([0-9a-f-]{{36}})-({'|'.join(FOLDERS)})-(.+)")


class Freed(Struct, frozen=True):
    """What has been removed for good."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: Freed) -> Freed:
        return Freed(self.files + other.files, self.bytes + other.bytes)


class _Moved(Struct, frozen=True):
    """A file out of sight, locked by its descriptor, and the place it came from."""

    hidden: Path
    place: Path
    descriptor: int


class Removal:
    """Files on their way out: ``take`` hides them, then either ``put_back`` or ``drop`` ends it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._moved: list[_Moved] = []
        self._folders: set[Path] = set()

    def take(self, families: Iterable[Family], *, until: float) -> set[Family]:
        """Hide the files of families, for as long as the monotonic clock is not past ``until``.

        Returns:
            Those of which no file is left in sight; others are in use, or have to wait.

        Raises:
            OSError: the disk refuses.
        """
        layout.temporary_folder(self._data_dir).mkdir(parents=True, exist_ok=True)
        return {family for family in families if self._take(family, until)}

    def put_back(self) -> None:
        """Have everything where it was, unless it was put there anew meanwhile."""
        for moved in self._moved:
            try:
                put_back(moved.hidden, moved.place)
            except FileNotFoundError:
                pass  # it was never moved
            except OSError as error:  # the sweep of temporary files looks after it again
                logger.warning("a file could not be put back", path=str(moved.place), reason=error.strerror)
            os.close(moved.descriptor)
        self._moved.clear()

    def drop(self) -> Freed:
        """Remove everything for good, and folders that are empty now."""
        freed = Freed()
        for moved in self._moved:
            size = os.fstat(moved.descriptor).st_size
            with suppress(OSError):  # the sweep of temporary files removes it
                moved.hidden.unlink()
                freed += Freed(1, size)
            os.close(moved.descriptor)
        self._moved.clear()
        for folder in self._folders:
            remove_empty(folder, folder.parent)
        return freed

    def _take(self, family: Family, until: float) -> bool:
        folder = family.folder(self._data_dir)
        self._folders.add(folder)
        with opened(self._data_dir, (str(family.companion_id), folder.name)) as place:
            if place is None:
                return True
            claimed = _claim_all(place, family)
            if claimed is None:
                return False
            try:
                for name in list(claimed):
                    # A process that was frozen here has lost its transaction, and with it the right to go on.
                    if time.monotonic() > until or not _is_same(place, name, claimed[name]):
                        return False
                    self._hide(family, name, place, claimed.pop(name))
            finally:
                for descriptor in claimed.values():
                    os.close(descriptor)
        return True

    def _hide(self, family: Family, name: str, place: int, descriptor: int) -> None:
        hidden = layout.temporary_folder(self._data_dir) / leftover_name(family, name)
        self._moved.append(_Moved(hidden, family.folder(self._data_dir) / name, descriptor))
        os.rename(name, hidden, src_dir_fd=place)


def _claim_all(place: int, family: Family) -> dict[str, int] | None:
    """Lock every file of a family; None when one is in use."""
    claimed: dict[str, int] = {}
    for name in family.names():
        if not _is_file(name, place):
            continue
        descriptor = claim(name, folder=place)
        if descriptor is None:
            for each in claimed.values():
                os.close(each)
            return None
        claimed[name] = descriptor
    return claimed


def _is_file(name: str, place: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _is_same(place: int, name: str, descriptor: int) -> bool:
    """Tell whether a name still stands for the file that was locked."""
    try:
        return os.path.samestat(os.stat(name, dir_fd=place, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def put_back(hidden: Path, place: Path) -> None:
    """Move a hidden file to its place, unless there is one.

    Raises:
        OSError: the disk refuses; the file stays hidden.
    """
    for left in reversed(range(_TRIES)):
        try:
            with suppress(FileExistsError), folders_of(place):
                os.link(hidden, place, follow_symlinks=False)
            break
        except FileNotFoundError:  # another collector took the folder away, or there is no such file
            if not left or not hidden.exists():
                raise
    hidden.unlink()


# What a collector leaves behind that is killed


def leftover_name(family: Family, name: str) -> str:
    """Return the name of a hidden file, which tells where it came from."""
    return f"{_PREFIX}{family.companion_id}-{family.kind}-{name}"


def read_leftover(name: str) -> tuple[Family, str] | None:
    """Return what a hidden file belongs to and was called; None for other names."""
    match = _LEFTOVER.fullmatch(name)
    if match is None:
        return None
    companion_id, kind, own = match.groups()
    family = layout.family_of((companion_id, FOLDERS[cast("Kind", kind)]), own)
    return (family, own) if family is not None else None


def settle(data_dir: Path, name: str, place: Path) -> bool:
    """Put a hidden file back to its place if nobody has it in hand and there is none; False otherwise.

    Raises:
        OSError: the disk refuses.
    """
    hidden = layout.temporary_folder(data_dir) / name
    descriptor = claim(hidden)
    if descriptor is None:
        return False
    try:
        if os.path.lexists(place):
            return False
        put_back(hidden, place)
    finally:
        os.close(descriptor)
    return True


# Strays


def old_ones(data_dir: Path, families: Iterable[Family], *, age: float) -> list[Family]:
    """Return the families of which every file was written at least ``age`` seconds ago."""
    oldest = time.time() - age
    return [each for each in families if _newest(each.folder(data_dir), each) <= oldest]


def _newest(folder: Path, family: Family) -> float:
    newest = 0.0
    for name in family.names():
        with suppress(OSError):
            newest = max(newest, (folder / name).lstat().st_mtime)
    return newest


def remove_stray(data_dir: Path, folder: tuple[str, ...], name: str, *, age: float) -> Freed:
    """Remove what does not belong below the companions' folder, if it is old enough and not in use.

    Args:
        data_dir: the data folder.
        folder: the names of the folders below that of the companions.
        name: of the file there; a symbolic link goes as such.
        age: seconds since it was written last.

    Raises:
        OSError: the disk refuses.
    """
    with opened(data_dir, folder) as place:
        return _remove_old(place, name, age=age) if place is not None else Freed()


def remove_temporary(data_dir: Path, name: str, *, age: float) -> Freed:
    """Remove a temporary file that nobody holds and that is old enough.

    Raises:
        OSError: the disk refuses.
    """
    folder = layout.temporary_folder(data_dir)
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _remove_old(place, name, age=age)
    finally:
        os.close(place)


def _remove_old(place: int, name: str, *, age: float) -> Freed:
    try:
        status = os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return Freed()
    if stat.S_ISDIR(status.st_mode) or status.st_mtime > time.time() - age:
        return Freed()
    if not stat.S_ISREG(status.st_mode):
        os.unlink(name, dir_fd=place)
        return Freed(1, 0)
    descriptor = claim(name, folder=place)
    if descriptor is None:
        return Freed()
    try:
        os.unlink(name, dir_fd=place)
    except FileNotFoundError:
        return Freed()
    finally:
        os.close(descriptor)
    return Freed(1, status.st_size)


def remove_empty(*folders: Path) -> None:
    """Remove folders that are empty, up to the first that is not; a writer that needs one makes it again."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


@contextmanager
def opened(data_dir: Path, folder: tuple[str, ...]) -> Iterator[int | None]:
    """Open a folder below that of the companions, not by way of any link; None when there is none."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        current = os.open(layout.companions_folder(data_dir), flags & ~os.O_NOFOLLOW)
    except FileNotFoundError:
        yield None
        return
    try:
        for name in folder:
            below = os.open(name, flags, dir_fd=current)
            os.close(current)
            current = below
    except (FileNotFoundError, NotADirectoryError):
        os.close(current)
        yield None
        return
    except BaseException:
        os.close(current)
        raise
    try:
        yield current
    finally:
        os.close(current)
