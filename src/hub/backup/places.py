"""Which entries an archive may have, and how large each may be. Nothing else is ever unpacked."""

from __future__ import annotations

import re

from hub.backup.errors import DamagedArchiveError
from hub.backup.manifest import ABOUT, KEY, MANIFEST
from hub.storage import layout

_PART = re.compile(r"database/([a-z_][a-z0-9_]{0,62})/([0-9]{6})\.copy")
_COMPANIONS = f"{layout.UPLOADS}/companions/"

_MB = 1_000_000
#: The most bytes that entries by these names may have.
_LIMITS = {ABOUT: 65_536, MANIFEST: 512 * _MB, KEY: 4096}
_PART_LIMIT = 2000 * _MB
_PICTURE_LIMIT = 200 * _MB


def part_of(table: str, number: int) -> str:
    """Return the name of one part of a table's rows; parts count from 1."""
    return f"database/{table}/{number:06}.copy"


def table_of(name: str) -> tuple[str, int] | None:
    """Return the table and the number of a part of its rows; None for other entries."""
    match = _PART.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def limit_of(name: str) -> int:
    """Return how many bytes an entry may have at the most.

    Raises:
        DamagedArchiveError: nothing by this name may be in an archive.
    """
    if name in _LIMITS:
        return _LIMITS[name]
    if _PART.fullmatch(name):
        return _PART_LIMIT
    if is_picture(name):
        return _PICTURE_LIMIT
    raise DamagedArchiveError(name, "does not belong into a backup")


def is_picture(name: str) -> bool:
    """Tell whether an entry is one of the files of a picture."""
    if not name.startswith(_COMPANIONS):
        return False
    *folder, file = name.removeprefix(_COMPANIONS).split("/")
    return layout.family_of(tuple(folder), file) is not None
