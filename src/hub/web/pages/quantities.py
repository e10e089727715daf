"""Sizes, shares and spans of time as people of each language write them."""

from __future__ import annotations

from datetime import timedelta

from babel.dates import format_timedelta
from babel.numbers import format_percent
from babel.units import format_unit

_UNITS = ("kilobyte", "megabyte", "gigabyte", "terabyte")
_STEP = 1000
_TEN = 10


def size(count: int, language: str) -> str:
    """Say a number of bytes: 3.4 MB."""
    value, unit = count / _STEP, 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    shown = round(value, 1) if 0 < value < _TEN else round(value)
    return str(format_unit(shown, f"digital-{_UNITS[unit]}", "short", locale=language))


def share(part: float, language: str) -> str:
    """Say a part of one: 83 %."""
    return str(format_percent(part, locale=language))


def span(seconds: float, language: str) -> str:
    """Say how long something took, roughly: 3 minutes."""
    return str(format_timedelta(timedelta(seconds=seconds), locale=language))
