"""The times that SillyTavern's chats have had over the years."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.archive.sillytavern import moment_of


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05"),
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05"),
        ("2026-01-02", "2026-01-02T00:00:00"),
        ("2023-6-9 @20h 04m 52s 123ms", "2023-06-09T20:04:52.123"),
        ("2023-6-9@14h 58m 41s", "2023-06-09T14:58:41"),
        ("2025-01-02@03h04m05s006ms", "2025-01-02T03:04:05.006"),
        ("2023-5-10 @15h 2m", "2023-05-10T15:02:00"),
        ("June 19, 2023 2:20pm", "2023-06-19T14:20:00"),
        ("June 19, 2023 12:05am", "2023-06-19T00:05:00"),
        ("Sep 1, 2024 12:05 PM", "2024-09-01T12:05:00"),
        (1_767_323_045_678, "2026-01-02T03:04:05.678"),
        (1_767_323_045, "2026-01-02T03:04:05"),
        ("1767323045678", "2026-01-02T03:04:05.678"),
        (1767323045678.0, "2026-01-02T03:04:05.678"),
    ],
)
def test_every_way_to_write_a_time_is_read(written: str | float, iso: str) -> None:
    assert moment_of(written) == datetime.fromisoformat(iso).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        None,
        "",
        "yesterday",
        "2023-13-40 @99h 99m 99s",
        "Juin 19, 2023 2:20pm",
        "June 31, 2023 2:20pm",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1969-12-31",
        7,
        -1.5,
        1e300,
        float("inf"),
        10**30,
    ],
)
def test_what_is_no_time_of_a_message_is_none(written: str | float | None) -> None:
    assert moment_of(written) is None


@given(st.text(max_size=80) | st.floats() | st.integers())
def test_nothing_that_is_written_breaks_the_reading(written: str | float) -> None:
    moment = moment_of(written)
    assert moment is None or 1970 <= moment.year < 2200
