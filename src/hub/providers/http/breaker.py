"""A server that cannot be reached is left alone for a while, so that everybody hears of it at once."""

from __future__ import annotations

import time
from collections.abc import Callable


class ServerDownError(Exception):
    """The call was not made: the server could not be reached just before."""


class Breaker:
    """Knows one server from one process; every call to it asks ``enter`` and tells what came of it.

    After ``threshold`` calls in a row that did not reach the server, over ``span`` seconds or more, it is
    open: ``enter`` raises. So many calls at one moment say only that the server is starting again. Every
    ``pause`` seconds one call is let through, to look; the first that gets a connection closes it. A call
    that tells nothing (cancelled, met with silence) changes nothing, and holds up nobody: the next one that
    looks does not wait for it. ``now`` is a clock in seconds.
    """

    def __init__(
        self,
        *,
        threshold: int = 5,
        span: float = 2.5,
        pause: float = 5.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = threshold
        self._span = span
        self._pause = pause
        self._now = now
        self._missed = 0  # calls in a row
        self._since = 0.0  # when the row began
        self._look_at: float | None = None  # when the next call is let through; None: all are

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for the one that looks."""
        return self._look_at is not None

    def enter(self) -> None:
        """Return if a call may be made; raises ``ServerDownError``."""
        if self._look_at is None:
            return
        now = self._now()
        if now < self._look_at:
            raise ServerDownError
        self._look_at = now + self._pause

    def connected(self) -> None:
        """Take note of a new connection: all may come again, long before a slow server's answer.

        One more call in vain opens it again: something may listen there that only hangs up.
        """
        if self._look_at is not None:
            self._look_at = None
            self._missed = self._threshold - 1

    def answered(self) -> None:
        """Take note of an answer, whatever it says."""
        self._missed = 0
        self._look_at = None

    def missed(self) -> None:
        """Take note of a call that did not reach the server."""
        now = self._now()
        if self._missed == 0:
            self._since = now
        self._missed += 1
        lasts = self._missed >= self._threshold and now - self._since >= self._span
        if lasts and self._look_at is None:
            self._look_at = now + self._pause
