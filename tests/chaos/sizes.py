"""How much a scenario does."""

from __future__ import annotations

from enum import StrEnum


class Size(StrEnum):
    """Short for every test run, full for the figures that are promised."""

    SHORT = "short"
    FULL = "full"

    def of(self, short: int, full: int) -> int:
        """Return the number for this size."""
        return full if self is Size.FULL else short
