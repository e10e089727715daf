"""Walking through what lies below the companions' folder, part by part; links are named, not followed."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

from msgspec import Struct

from hub.core.logging import get_logger
from hub.storage import layout
from hub.storage.layout import Family
from hub.storage.removal import opened

logger = get_logger(__name__)

#: Entries of one folder that are given at a time.
PART = 500
#: Folders within folders that are looked into; the hub itself makes two.
_DEEPEST = 50


class Entry(Struct, frozen=True):
    """Something that is no folder; ``family`` is None for what the hub has not put there."""

    name: str
    family: Family | None


class Part(Struct, frozen=True):
    """Some entries of one folder, which is named by the folders on the way to it from the companions'.

    ``is_last`` when the folder has no more, nor do the folders in it.
    """

    folder: tuple[str, ...]
    entries: list[Entry]
    is_last: bool

    def path(self, data_dir: Path, entry: Entry) -> Path:
        """Return where an entry lies."""
        return layout.companions_folder(data_dir).joinpath(*self.folder, entry.name)


def walk(data_dir: Path, folder: tuple[str, ...] = ()) -> Generator[Part, None, None]:
    """Yield what a folder and the folders in it hold; those inside come first.

    A folder below it that cannot be read is named in the log and left out.

    Raises:
        OSError: the first folder cannot be read.
    """
    with opened(data_dir, folder) as place:
        if place is None:
            return
        entries: list[Entry] = []
        with os.scandir(place) as found:
            for each in found:
                if each.is_dir(follow_symlinks=False):
                    if len(folder) < _DEEPEST:
                        yield from _walk_below(data_dir, (*folder, each.name))
                    continue
                is_file = each.is_file(follow_symlinks=False)
                family = layout.family_of(folder, each.name) if is_file else None
                entries.append(Entry(each.name, family))
                if len(entries) == PART:
                    yield Part(folder, entries, is_last=False)
                    entries = []
        yield Part(folder, entries, is_last=True)


def _walk_below(data_dir: Path, folder: tuple[str, ...]) -> Generator[Part, None, None]:
    try:
        yield from walk(data_dir, folder)
    except PermissionError as error:
        logger.warning("a folder cannot be read", folder=ascii("/".join(folder)), reason=error.strerror)
