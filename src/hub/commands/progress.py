"""How far a command is, on standard error: one line that renews itself on a terminal, else a few."""

from __future__ import annotations

import sys
import time

_TERMINAL_EVERY = 0.2
_PLAIN_EVERY = 5.0


class Progress:
    """Tells how much of ``total`` is done, how fast, and how long the rest will take."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._began = self._told = time.monotonic()
        self._live = sys.stderr.isatty()

    def tell(self, done: int, more: str = "") -> None:
        """Say it, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._told < (_TERMINAL_EVERY if self._live else _PLAIN_EVERY):
            return
        self._told = now
        rate = done / (now - self._began)
        left = f", {(self._total - done) / rate:,.0f} s left" if 0 < done < self._total else ""
        line = f"{self._what} {done:,}/{max(self._total, done):,}, {rate:,.0f}/s{left}{more}"
        self._write(f"\r\x1b[K{line}" if self._live else f"{line}\n")

    def clear(self) -> None:
        """Make room for other lines on a terminal."""
        if self._live:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
