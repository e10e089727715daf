"""How far an import is: one line that renews itself on a terminal, else a line every few seconds."""

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
    """Counts what is done of each part, and tells it to ``stream``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._what = ""
        self._total = self._done = 0
        self._began = self._told = 0.0
        self._samples: deque[tuple[float, int]] = deque()

    @contextmanager
    def of(self, what: str, total: int) -> Iterator[Progress]:
        """Count so many of something for as long as the context lasts."""
        self._what, self._total, self._done = what, total, 0
        self._began = self._told = time.monotonic()
        self._samples.clear()
        self._samples.append((self._began, 0))
        try:
            yield self
        finally:
            self._samples = deque([(self._began, 0)])
            self._tell(time.monotonic())
            if self._live:
                self._stream.write("\n")

    def add(self, number: int = 1) -> None:
        """Note that so many more are done."""
        self._done += number
        now = time.monotonic()
        if now - self._told >= (_TERMINAL_EVERY if self._live else _PLAIN_EVERY):
            self._tell(now)

    def _tell(self, now: float) -> None:
        self._told = now
        self._samples.append((now, self._done))
        while now - self._samples[0][0] > _WINDOW and len(self._samples) > 2:  # noqa: PLR2004 - a first and a last
            self._samples.popleft()
        began, before = self._samples[0]
        rate = (self._done - before) / (now - began) if now > began else 0.0
        left = max(self._total - self._done, 0)
        words = f"{self._what} {self._done:,}/{max(self._total, self._done):,}, {rate:,.1f}/s"
        words += f", {left / rate:,.0f} s left" if left and rate else f", {now - self._began:,.1f} s"
        self._stream.write(f"\r\x1b[K{words}" if self._live else f"{words}\n")
        self._stream.flush()
