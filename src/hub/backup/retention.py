"""Which backups are kept: the last of each of so many days, weeks and months that have one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

_NAME = re.compile(r"hub-([0-9]{8}T[0-9]{6}Z)\.tar\.zst")
_TIME = "%Y%m%dT%H%M%SZ"


class Keep(Struct, frozen=True, kw_only=True):
    """How many days, weeks and months; all of them 0: every backup is kept."""

    daily: int
    weekly: int
    monthly: int

    @property
    def is_all(self) -> bool:
        """Whether nothing ever goes."""
        return not (self.daily or self.weekly or self.monthly)


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


def surplus(times: Iterable[datetime], keep: Keep) -> list[datetime]:
    """Return the backups that may go, oldest first. The newest of all always stays.

    Days, weeks (from Monday) and months are those of UTC. One without a backup does not count: after a pause
    as many are kept as before.
    """
    newest_first = sorted(set(times), reverse=True)
    if keep.is_all:
        return []
    kept = set(newest_first[:1])
    periods: tuple[tuple[int, Callable[[datetime], object]], ...] = (
        (keep.daily, lambda time: time.date()),
        (keep.weekly, lambda time: time.isocalendar()[:2]),
        (keep.monthly, lambda time: (time.year, time.month)),
    )
    for number, period in periods:
        last_of = dict[object, datetime]()
        for time in newest_first:
            last_of.setdefault(period(time), time)
        kept.update(list(last_of.values())[:number])
    return sorted(set(newest_first) - kept)


def remove_surplus(folder: Path, keep: Keep, *, made: datetime) -> list[Path]:
    """Remove from a folder the backups that may go; return them.

    Args:
        folder: where they are.
        keep: the rule.
        made: the time of the backup that was made just now. Later ones, of a clock that was wrong, are left
            alone.

    Raises:
        OSError: one cannot be removed.
    """
    times = {each: time for each in folder.iterdir() if (time := time_of(each.name)) and each.is_file()}
    found = {time: each for each, time in times.items() if time <= made}
    removed = [found[time] for time in surplus(found, keep)]
    for each in removed:
        each.unlink(missing_ok=True)
    return removed
