"""How far a command is: one line that renews itself on a terminal, else a line every few seconds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_TERMINAL_EVERY = 0.2
_PLAIN_EVERY = 5.0
#: Seconds over which the rate is taken, so that what was passed over quickly soon counts no more.
_WINDOW = 20.0


class Progress:
    """Tells ``stream`` how much of each part is done, how fast, and how long the rest will take."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._what = ""
        self._total = self._done = 0
        self._began = self._told = 0.0
        self._samples: deque[tuple[float, int]] = deque()

    def begin(self, what: str, total: int) -> None:
        """Start with a part that has about so many of something."""
        self._what, self._total, self._done = what, total, 0
        self._began = self._told = time.monotonic()
        self._samples = deque([(self._began, 0)])

    @contextmanager
    def of(self, what: str, total: int) -> Iterator[Progress]:
        """Count a part for as long as the context lasts; what it came to stays to be read."""
        self.begin(what, total)
        try:
            yield self
        finally:
            self._samples = deque([(self._began, 0)])
            self._tell(time.monotonic())
            if self._live:
                self._stream.write("\n")

    def add(self, number: int = 1) -> None:
        """Note that so many more are done."""
        self.reach(self._done + number)

    def reach(self, done: int, more: str = "") -> None:
        """Note how many are done, and say it with ``more`` after it, unless that was done a moment ago."""
        self._done = done
        now = time.monotonic()
        if now - self._told >= (_TERMINAL_EVERY if self._live else _PLAIN_EVERY):
            self._tell(now, more)

    def clear(self) -> None:
        """Make room for other lines on a terminal."""
        if self._live:
            self._write("\r\x1b[K")

    def _tell(self, now: float, more: str = "") -> None:
        self._told = now
        self._samples.append((now, self._done))
        while now - self._samples[0][0] > _WINDOW and len(self._samples) > 2:  # noqa: PLR2004 - a first and a last
            self._samples.popleft()
        began, before = self._samples[0]
        rate = (self._done - before) / (now - began) if now > began else 0.0
        left = max(self._total - self._done, 0)
        words = f"{self._what} {self._done:,}/{max(self._total, self._done):,}, {rate:,.1f}/s"
        words += f", {left / rate:,.0f} s left" if left and rate else f", {now - self._began:,.1f} s"
        self._write(f"\r\x1b[K{words}{more}" if self._live else f"{words}{more}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
