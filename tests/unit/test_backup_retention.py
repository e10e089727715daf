"""Which backups stay: by table, and by what must hold for any."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.backup.retention import Keep, remove_surplus, surplus
from hub.storage.archives import name_of, time_of

NIGHTLY = [datetime(2026, 11, 23, 2, tzinfo=UTC) - timedelta(days=day) for day in range(400)]


def days(*texts: str) -> list[datetime]:
    return [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in texts]


@pytest.mark.parametrize(
    ("keep", "made", "stays"),
    [
        (Keep(daily=0, weekly=0, monthly=0), ["2026-01-01", "2020-01-01"], ["2026-01-01", "2020-01-01"]),
        (Keep(daily=1, weekly=0, monthly=0), ["2026-01-02T03:00", "2026-01-02T02:00"], ["2026-01-02T03:00"]),
        (
            Keep(daily=2, weekly=0, monthly=0),
            ["2026-01-09", "2026-01-03", "2026-01-01"],
            ["2026-01-09", "2026-01-03"],
        ),
        # 2026-11-22 is a Sunday: it and the Monday after it are of two weeks.
        (
            Keep(daily=0, weekly=2, monthly=0),
            ["2026-11-24", "2026-11-23", "2026-11-22", "2026-11-16", "2026-11-15"],
            ["2026-11-24", "2026-11-22"],
        ),
        # The last days of 2024 are in the first week of 2025.
        (Keep(daily=0, weekly=1, monthly=0), ["2025-01-01", "2024-12-30", "2024-12-29"], ["2025-01-01"]),
        (
            Keep(daily=0, weekly=0, monthly=2),
            ["2026-03-01", "2026-02-28", "2026-02-01", "2026-01-31"],
            ["2026-03-01", "2026-02-28"],
        ),
        (Keep(daily=0, weekly=0, monthly=1), ["2026-01-05", "2025-01-31"], ["2026-01-05"]),
        (Keep(daily=7, weekly=4, monthly=12), [], []),
    ],
)
def test_what_stays(keep: Keep, made: list[str], stays: list[str]) -> None:
    gone = surplus(days(*made), keep)
    assert sorted(set(days(*made)) - set(gone)) == sorted(days(*stays))
    assert gone == sorted(gone)


def test_a_year_of_nights_leaves_days_weeks_and_months() -> None:
    left: list[datetime] = []
    for night in reversed(NIGHTLY):  # as the timer does it: what went once cannot come back
        left.append(night)
        gone = surplus(left, Keep(daily=7, weekly=4, monthly=12))
        left = [each for each in left if each not in gone]
    assert [each.date().isoformat() for each in sorted(left)] == [
        *("2025-12-31", "2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30"),
        *("2026-07-31", "2026-08-31", "2026-09-30", "2026-10-31"),
        *("2026-11-08", "2026-11-15"),
        *(f"2026-11-{day}" for day in range(17, 24)),
    ]  # fmt: skip


def test_the_newest_always_stays_and_order_does_not_matter() -> None:
    chance = random.Random(1)
    for _ in range(50):
        keep = Keep(daily=chance.randrange(3), weekly=chance.randrange(3), monthly=chance.randrange(3))
        some = chance.sample(NIGHTLY, 12)
        assert max(some) not in surplus(some, keep)
        assert surplus(some, keep) == surplus(sorted(some), keep)


def test_only_backups_are_removed(tmp_path: Path) -> None:
    times = NIGHTLY[:3]
    for time in times:
        (tmp_path / name_of(time)).touch()
    others = [
        "hub-20200101T000000Z.tar.zst.old",
        "hub-20209901T000000Z.tar.zst",
        "my.tar.zst",
        ".hub-backup-1",
    ]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / "hub-20200101T000000Z.tar.zst").mkdir()
    removed = remove_surplus(tmp_path, Keep(daily=1, weekly=0, monthly=0), made=times[0])
    assert removed == [tmp_path / name_of(time) for time in times[:0:-1]]
    left = {name_of(times[0]), "hub-20200101T000000Z.tar.zst", *others}
    assert {each.name for each in tmp_path.iterdir()} == left
    assert time_of(name_of(times[0])) == times[0]


def test_a_clock_that_was_wrong_costs_no_backup(tmp_path: Path) -> None:
    ahead = [datetime(2099, 1, day, tzinfo=UTC) for day in range(1, 30)]
    for time in [*ahead, *NIGHTLY[:4]]:
        (tmp_path / name_of(time)).touch()
    keep = Keep(daily=2, weekly=0, monthly=0)
    # Those of a time that has not come neither go nor take the place of others.
    assert remove_surplus(tmp_path, keep, made=NIGHTLY[0]) == [
        tmp_path / name_of(time) for time in (NIGHTLY[3], NIGHTLY[2])
    ]
    back = datetime(1970, 1, 1, tzinfo=UTC)
    (tmp_path / name_of(back)).touch()
    assert remove_surplus(tmp_path, keep, made=back) == []
    assert len(list(tmp_path.iterdir())) == len(ahead) + 3
