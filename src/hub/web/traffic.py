"""How many sockets a user has open in this process, and how many frames come over them."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from uuid import UUID

from hub.core import metrics
from hub.core.settings import Settings

#: Seconds for which frames are counted together, from the first of them.
WINDOW = 60.0
#: Windows that are kept before those that are over are looked for.
_KEPT = 1000


class _Window:
    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.frames = 0


class Traffic:
    """Counts for this process alone: what is guarded are its own memory and time.

    Args:
        settings: the checked settings; where limits are off, nothing is counted.
        clock: seconds that only grow.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._are_on = settings.limits
        self._most_sockets = settings.sockets_per_user
        self._most_frames = settings.frames_per_minute
        self._clock = clock
        self._sockets: Counter[UUID] = Counter()
        self._windows: dict[UUID, _Window] = {}

    def enter(self, user_id: UUID) -> bool:
        """Take a place for one more socket, which has to :meth:`leave`; False if all are taken."""
        if self._are_on and self._sockets[user_id] >= self._most_sockets:
            metrics.REFUSALS.labels("sockets").inc()
            return False
        self._sockets[user_id] += 1
        metrics.WEBSOCKETS.inc()
        return True

    def leave(self, user_id: UUID) -> None:
        """Give a socket's place back."""
        self._sockets[user_id] -= 1
        metrics.WEBSOCKETS.dec()
        if not self._sockets[user_id]:
            del self._sockets[user_id]

    def count_frame(self, user_id: UUID) -> int | None:
        """Count a frame; return the seconds to wait where it is one too many, else None."""
        if not self._are_on:
            return None
        now = self._clock()
        window = self._windows.get(user_id)
        if window is None or window.ends <= now:
            window = self._begin(user_id, now)
        window.frames += 1
        if window.frames <= self._most_frames:
            return None
        metrics.REFUSALS.labels("frames").inc()
        return math.ceil(window.ends - now)

    def _begin(self, user_id: UUID, now: float) -> _Window:
        if len(self._windows) >= _KEPT:
            self._windows = {key: each for key, each in self._windows.items() if each.ends > now}
        window = self._windows[user_id] = _Window(now + WINDOW)
        return window
