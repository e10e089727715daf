"""How far a scenario is: one line that renews itself on a terminal, else a line every few seconds."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_TERMINAL_EVERY = 0.5
_PLAIN_EVERY = 5.0


class Progress:
    """Counts what is done of a scenario. ``told`` is where lines go; None is silence."""

    def __init__(self, name: str, *, silent: bool = False) -> None:
        self.name = name
        self.done = 0
        self._total = 0
        self._began = time.monotonic()
        self._silent = silent
        self._more: Callable[[], str] = str
        self._live = sys.stderr.isatty()

    def add(self, count: int = 1) -> None:
        """Note that so much more is done."""
        self.done += count

    @asynccontextmanager
    async def of(self, total: int, what: str, more: Callable[[], str] = str) -> AsyncIterator[None]:
        """Count from 0 to ``total`` and show it for as long as the context lasts.

        Args:
            total: how much there is to do.
            what: of what, in the plural.
            more: what else to show, like the kills so far.
        """
        self.done, self._total, self._more, self._began = 0, total, more, time.monotonic()
        ticker = None if self._silent else asyncio.create_task(self._tell_forever(what))
        try:
            yield
        finally:
            if ticker is not None:
                ticker.cancel()
                await asyncio.gather(ticker, return_exceptions=True)
                self._tell(what)
                if self._live:
                    sys.stderr.write("\n")

    async def _tell_forever(self, what: str) -> None:
        while True:
            await asyncio.sleep(_TERMINAL_EVERY if self._live else _PLAIN_EVERY)
            self._tell(what)

    def _tell(self, what: str) -> None:
        passed = time.monotonic() - self._began
        rate = self.done / passed if passed else 0.0
        left = f", {(self._total - self.done) / rate:.0f} s left" if rate else ""
        parts = f"{self.name}: {self.done:,}/{self._total:,} {what}, {rate:.1f}/s, {passed:.0f} s{left}"
        more = self._more()
        line = f"{parts}, {more}" if more else parts
        sys.stderr.write(f"\r\x1b[K{line}" if self._live else f"{line}\n")
        sys.stderr.flush()
