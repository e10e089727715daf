"""Chance that is the same each time: what a seed leaves open is drawn from here."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """Numbers that follow from some words and from nothing else, on every machine and Python."""

    def __init__(self, *words: object) -> None:
        source = "\x1f".join(str(word).encode("utf-8", "replace").decode() for word in words)
        self._random = random.Random(source)  # noqa: S311 - for pictures, and it has to repeat

    def between(self, low: float, high: float) -> float:
        """Return a number from ``low`` to ``high``."""
        return low + (high - low) * self._random.random()

    def one_of(self, things: Sequence[T]) -> T:
        """Return one of the things."""
        return things[int(self._random.random() * len(things))]

    def happens(self, share: float) -> bool:
        """Return true in so many cases, 0 to 1."""
        return self._random.random() < share
