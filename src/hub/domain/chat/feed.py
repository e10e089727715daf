"""Feeds: what happens, as one subscriber should see it.

A feed takes live events from the bus and repairs whatever they lack by reading rows: after a gap, after a
silence, after a reconnect. It holds a cursor a response and a bounded number of events, never a text, so a
subscriber who does not keep up costs nothing but a later read.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from uuid import UUID

from hub.domain.chat.cursor import Fit, ResponseCursor
from hub.domain.chat.frames import Frame
from hub.domain.chat.schemas import Response
from hub.live.bus import DELTA_LIMIT
from hub.live.events import Begun, Changed, ConversationEvent, Delta, Said

#: Live events kept for a subscriber, which all of a conversation's share; beyond it they are dropped and the
#: row is read.
PENDING_LIMIT = 64

#: Seconds until the row is read again: after a gap, after a silence in a reply, and when all is quiet.
GAP_PAUSE = 0.1
SILENCE = 2.0
QUIET = 15.0
#: Seconds that the end of a cancelled reply waits for its worker's word and for text that is not stored yet.
LAST_WORDS = 1.5


class Feed(ABC):
    """Common part of both feeds. ``wake`` is called whenever :meth:`next_frames` has something to do."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._pending: list[Delta | Said | Begun] = []
        self._stale = True
        self._behind = False
        self.is_full = False
        self._asked: set[UUID] = set()
        # Responses that were said to have changed: since the last look, and up to it (of those that wait).
        self._heard: set[UUID] = set()
        self._changed: set[UUID] = set()
        self._looked_at = 0.0
        self._cancels: dict[UUID, float] = {}

    def on_event(self, event: ConversationEvent) -> None:
        """Take a live event."""
        if isinstance(event, Changed):
            self._stale = True
            if event.response_id is not None:
                self._asked.add(event.response_id)
                self._heard.add(event.response_id)
        elif isinstance(event, Begun) and not event.is_plain:
            self._stale = True
            self._asked.add(event.response_id)
        elif len(self._pending) < PENDING_LIMIT:
            self._pending.append(event)
        else:
            self._pending.clear()
            self._stale = self.is_full = True
        self._wake()

    def on_gap(self) -> None:
        """Learn that live events may have been missed."""
        self._stale = True
        self._wake()

    @property
    def look_again_in(self) -> float:
        """Seconds after which to call :meth:`next_frames` though nothing woke it."""
        if self._stale:
            return 0.0
        quiet = SILENCE if self._is_active() else QUIET
        pause = GAP_PAUSE if self._behind else quiet
        return max(0.0, self._looked_at + pause - asyncio.get_running_loop().time())

    async def next_frames(self) -> list[Frame]:
        """Return what is to be told now, possibly nothing."""
        now = asyncio.get_running_loop().time()
        frames: list[Frame] = []
        if self.look_again_in <= 0:
            self._stale = self._behind = self.is_full = False
            self._looked_at = now
            self._changed |= self._heard
            self._heard.clear()
            frames += await self._read()
            self._changed &= self._cancels.keys()
        frames += self._take_pending()
        return frames

    def _take_pending(self) -> list[Frame]:
        frames: list[Frame] = []
        kept: list[Delta | Said | Begun] = []
        pending, self._pending = self._pending, []
        for event in _joined(pending):
            if isinstance(event, Said):
                frames += self._tell_said(event)
                continue
            cursor = self._cursor_of(event)
            if cursor is None:
                continue
            told = None if kept else _tell(cursor, event)
            if told is None:
                kept.append(event)
            elif told:
                frames += told
                self._looked_at = asyncio.get_running_loop().time()
        if kept:
            self._behind = True
            self._pending = kept + self._pending
        return frames

    def _waits_for_last_words(self, cursor: ResponseCursor, response: Response) -> bool:
        """Tell whether a cancel is not to be told yet, and look again soon if so."""
        if not cursor.lacks_last_words(response, is_heard=response.id in self._changed):
            self._cancels.pop(response.id, None)
            return False
        now = asyncio.get_running_loop().time()
        give_up_at = self._cancels.setdefault(response.id, now + LAST_WORDS)
        if now >= give_up_at:  # the worker is dead, or its word was lost, and so is what it had not stored
            del self._cancels[response.id]
            return False
        self._behind = True
        return True

    @abstractmethod
    async def _read(self) -> list[Frame]:
        """Read the rows and return what they say beyond what was told."""

    @abstractmethod
    def _tell_said(self, said: Said) -> list[Frame]:
        """Return what a user's message tells that is new."""

    @abstractmethod
    def _cursor_of(self, event: Delta | Begun) -> ResponseCursor | None:
        """Return the cursor that an event belongs to; None drops it."""

    @abstractmethod
    def _is_active(self) -> bool:
        """Tell whether a reply is under way."""


def _joined(events: list[Delta | Said | Begun]) -> list[Delta | Said | Begun]:
    """Put text that belongs together into one event: as late as here, since most subscribers read in time."""
    joined: list[Delta | Said | Begun] = []
    for event in events:
        last = joined[-1] if joined else None
        if (
            isinstance(last, Delta)
            and isinstance(event, Delta)
            and last.is_continued_by(event, limit=DELTA_LIMIT)
        ):
            joined[-1] = last.joined_with(event)
        else:
            joined.append(event)
    return joined


def _tell(cursor: ResponseCursor, event: Delta | Begun) -> list[Frame] | None:
    """Return what an event tells that is new, or None when something before it is missing."""
    if isinstance(event, Begun):
        return cursor.begin(event)
    fit = cursor.fit(event)
    if fit is Fit.AHEAD:
        return None
    return [cursor.take(event)] if fit is Fit.NEXT else []
