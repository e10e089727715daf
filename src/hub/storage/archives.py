"""The folder of backups: what an archive in it is called, and which there are."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

_NAME = re.compile(r"hub-([0-9]{8}T[0-9]{6}Z)\.tar\.zst")
_TIME = "%Y%m%dT%H%M%SZ"


def name_of(time: datetime) -> str:
    """Return the name of a backup of this time."""
    return f"hub-{time.astimezone(UTC).strftime(_TIME)}.tar.zst"


def time_of(name: str) -> datetime | None:
    """Return the time in the name of a backup; None for other names, which are none of our business."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def times_in(folder: Path) -> list[datetime]:
    """Return when the backups in a folder were made; raises OSError if it cannot be read."""
    return [time for each in folder.iterdir() if (time := time_of(each.name)) is not None]
