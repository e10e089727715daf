"""Which backups are kept: the last of each of so many days, weeks and months that have one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from hub.storage.archives import time_of


class Keep(Struct, frozen=True, kw_only=True):
    """How many days, weeks and months; all of them 0: every backup is kept."""

    daily: int
    weekly: int
    monthly: int

    @property
    def is_all(self) -> bool:
        """Whether nothing ever goes."""
        return not (self.daily or self.weekly or self.monthly)


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
