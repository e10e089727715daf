"""How long somebody has to wait is said in the unit that people would use."""

from __future__ import annotations

import pytest

from hub.domain.limits.errors import TooManyRequestsError
from hub.domain.limits.service import try_again
from hub.web.pages.problems import explain
from hub.web.pages.words import words_in


@pytest.mark.parametrize(
    ("seconds", "told", "shown"),
    [
        (1, "1 s", "1 Sekunden"),
        (119, "119 s", "119 Sekunden"),
        (120, "2 min", "2 Minuten"),
        (7200, "120 min", "120 Minuten"),
        (7201, "3 hours", "3 Stunden"),
        (86_400, "24 hours", "24 Stunden"),
    ],
)
def test_a_wait_is_told_in_seconds_minutes_or_hours(seconds: int, told: str, shown: str) -> None:
    assert try_again(seconds) == f"Try again in {told}."
    error = TooManyRequestsError("Too often.", retry_after=seconds)
    assert f" in {shown} noch einmal." in explain(error, words_in("de"))
