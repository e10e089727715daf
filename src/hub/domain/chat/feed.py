"""Feeds: what happens, as one subscriber should see it.

A feed takes live events from the bus and repairs whatever they lack by reading rows: after a gap, after a
silence, after a reconnect. It holds a cursor a response and a bounded number of events, never a text, so a
subscriber who does not keep up costs nothing but a later read.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from hub.domain.chat import queries
from hub.domain.chat.cursor import Fit, ResponseCursor
from hub.domain.chat.frames import Frame, ItemAdded, Resync, Subscribed
from hub.domain.chat.schemas import Message, Response
from hub.domain.chat.state import read_state
from hub.live.bus import DELTA_LIMIT
from hub.live.events import Begun, Changed, ConversationEvent, Delta, Said

#: Live events kept for a subscriber, which all of a conversation's share; beyond it they are dropped and the
#: row is read.
PENDING_LIMIT = 64
#: Missing messages that a subscription sends itself; beyond it the client reads them with GET.
REPLAY_LIMIT = 200
#: Ended responses remembered, so that a late event does not tell of their end again.
ENDED_LIMIT = 64

#: Seconds until the row is read again: after a gap, after a silence in a reply, and when all is quiet.
GAP_PAUSE = 0.1
#: Seconds that the end of a cancelled reply waits for the text that was told and is not stored yet.
LAST_WORDS = 1.5
SILENCE = 2.0
QUIET = 15.0


#: An end that was told of: the attempt, and when it ended.
_End = tuple[int, datetime | None]


class Feed(ABC):
    """Common part of both feeds. ``wake`` is called whenever :meth:`next_frames` has something to do."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._pending: list[Delta | Said | Begun] = []
        self._stale = True
        self._behind = False
        self._overflowed = False
        self._asked: set[UUID] = set()
        self._looked_at = 0.0
        self._cancels: dict[UUID, float] = {}

    def on_event(self, event: ConversationEvent) -> None:
        """Take a live event."""
        if isinstance(event, Changed):
            self._stale = True
            if event.response_id is not None:
                self._asked.add(event.response_id)
        elif self._overflowed:
            return  # hundreds of subscribers who do not read must not keep those who do waiting
        elif len(self._pending) < PENDING_LIMIT:
            self._pending.append(event)
        else:
            self._pending.clear()
            self._stale = self._overflowed = True
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
            self._stale = self._behind = self._overflowed = False
            self._looked_at = now
            frames += await self._read()
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
        if not cursor.lacks_last_words(response):
            self._cancels.pop(response.id, None)
            return False
        now = asyncio.get_running_loop().time()
        give_up_at = self._cancels.setdefault(response.id, now + LAST_WORDS)
        if now >= give_up_at:  # the worker is dead, and so is what it had not stored
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


class ConversationFeed(Feed):
    """Everything about one conversation, from the message after ``after`` on."""

    def __init__(self, conversation_id: UUID, *, after: int, wake: Callable[[], None]) -> None:
        super().__init__(wake)
        self.conversation_id = conversation_id
        self._position = after
        self._cursors: dict[UUID, ResponseCursor] = {}
        self._ended: dict[UUID, _End] = {}
        self._event_ids: dict[UUID, str] = {}
        self._is_open = False

    async def open(self, *, last_position: int) -> list[Frame]:
        """Return the first frames: where the conversation stands, what is missing, and what is under way."""
        self._stale = False
        self._position = min(self._position, last_position)
        frames: list[Frame] = [Subscribed(conversation_id=self.conversation_id, last_position=last_position)]
        if last_position - self._position > REPLAY_LIMIT:
            frames.append(Resync(conversation_id=self.conversation_id, last_position=last_position))
            self._position = last_position
        frames += await self._read()
        self._is_open = True
        return frames

    def expect(self, message_id: UUID, event_id: str) -> None:
        """Tell of this message with the event id under which this subscriber sent it."""
        self._event_ids[message_id] = event_id

    def expect_no_more(self, message_id: UUID) -> None:
        """Forget a message that was not stored after all."""
        self._event_ids.pop(message_id, None)

    async def _read(self) -> list[Frame]:
        asked, self._asked = self._asked, set()
        try:
            state = await read_state(
                self.conversation_id,
                after=self._position,
                response_ids=list(asked | self._cursors.keys()),
                # Once open, a reply that came and ended unnoticed is told of like any other.
                with_ended=self._is_open,
                limit=REPLAY_LIMIT,
            )
        except BaseException:
            self._asked |= asked
            raise
        self._stale = self._stale or len(state.messages) == REPLAY_LIMIT
        responses = {response.id: response for response in state.responses}
        frames: list[Frame] = []
        for message in state.messages:
            response = responses.pop(message.response_id, None) if message.response_id else None
            frames += self._tell_message(message, response)
        for response in responses.values():
            frames += self._tell_response(response)
        return frames

    def _tell_said(self, said: Said) -> list[Frame]:
        if said.position != self._position + 1:
            self._stale = self._stale or said.position > self._position  # something before it is missing
            return []
        message = Message(
            said.message_id,
            said.conversation_id,
            said.position,
            "user",
            said.content,
            None,
            said.created_at,
        )
        response = queries.queued_response(message, said.response_id)
        if response is None:
            return [self._added(message)]
        cursor = self._cursors.setdefault(response.id, self._new_cursor(response.id))
        return [self._added(message), *cursor.queue(response)]

    def _added(self, message: Message) -> Frame:
        self._position = message.position
        event_id = self._event_ids.pop(message.id, None)
        if event_id is None:
            return ItemAdded(conversation_id=self.conversation_id, item=message)
        return ItemAdded(conversation_id=self.conversation_id, item=message, event_id=event_id)

    def _tell_message(self, message: Message, response: Response | None) -> list[Frame]:
        added = self._added(message)
        if response is None:
            return [added]
        cursor = self._cursors.pop(response.id, None) or self._new_cursor(response.id)
        self._remember_end(response)
        return [*cursor.finish_text(response), added, cursor.completed(response)]

    def _tell_response(self, response: Response) -> list[Frame]:
        if response.has_ended and self._ended.get(response.id) == (response.attempt, response.completed_at):
            return []
        cursor = self._cursors.get(response.id)
        if cursor is not None and self._waits_for_last_words(cursor, response):
            return []
        if response.has_ended:
            self._cursors.pop(response.id, None)
            self._remember_end(response)
            if cursor is None and response.status == "completed":  # its message was there before this feed
                return []
            return (cursor or self._new_cursor(response.id)).advance(response)
        self._ended.pop(response.id, None)  # tried again: its next end is news, also one of the same attempt
        if cursor is None:
            cursor = self._cursors[response.id] = self._new_cursor(response.id)
        return cursor.advance(response)

    def _remember_end(self, response: Response) -> None:
        self._ended[response.id] = (response.attempt, response.completed_at)
        if len(self._ended) > ENDED_LIMIT:
            del self._ended[next(iter(self._ended))]

    def _new_cursor(self, response_id: UUID) -> ResponseCursor:
        return ResponseCursor(self.conversation_id, response_id)

    def _cursor_of(self, event: Delta | Begun) -> ResponseCursor | None:
        cursor = self._cursors.get(event.response_id)
        if cursor is None:
            ended = self._ended.get(event.response_id)
            # The reply began, or began anew, and this feed was not told: look, and find the text in the row.
            self._stale = self._stale or ended is None or event.attempt > ended[0]
        return cursor

    def _is_active(self) -> bool:
        return bool(self._cursors)


class ResponseFeed(Feed):
    """One response until it ends, for Server-Sent Events; ``offset`` is where the client's text ends."""

    def __init__(self, response: Response, *, offset: int, wake: Callable[[], None]) -> None:
        super().__init__(wake)
        self.conversation_id = response.conversation_id
        self.has_ended = False
        self._response_id = response.id
        self._offset = offset
        self._give_up_at: float | None = None
        self._cursor = ResponseCursor(response.conversation_id, response.id)

    async def _read(self) -> list[Frame]:
        response = await queries.read_response(self._response_id)
        if response is None:
            self.has_ended = True
            return []
        if self._offset and response.status in ("in_progress", "completed"):
            return self._resume(response)
        if self._offset and response.has_ended:
            self._cursor.assume(self._offset)
        if self._waits_for_last_words(self._cursor, response):
            return []
        self.has_ended = response.has_ended
        return self._cursor.advance(response)

    def _resume(self, response: Response) -> list[Frame]:
        """Go on behind the client's text, once the row, which may be behind what was streamed, has it too."""
        now = asyncio.get_running_loop().time()
        if len(response.output_text) < self._offset and response.status == "in_progress":
            self._give_up_at = self._give_up_at or now + SILENCE
            if now < self._give_up_at:
                self._behind = True
                return []
        offset, self._offset = self._offset, 0
        self.has_ended = response.has_ended
        return self._cursor.resume(response, offset=offset)

    def _tell_said(self, said: Said) -> list[Frame]:  # noqa: ARG002 - other feeds have use for it
        return []

    def _cursor_of(self, event: Delta | Begun) -> ResponseCursor | None:
        if event.response_id != self._response_id:
            return None
        if self._offset and isinstance(event, Begun):
            self._stale = True  # whether the client's text is of this attempt, the row knows
            return None
        return self._cursor

    def _is_active(self) -> bool:
        return True
