"""The feed of one response until it ends, for Server-Sent Events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hub.domain.chat import queries
from hub.domain.chat.cursor import ResponseCursor
from hub.domain.chat.feed import SILENCE, Feed
from hub.domain.chat.frames import Frame
from hub.domain.chat.schemas import Response
from hub.live.events import Begun, Delta, Said


class ResponseFeed(Feed):
    """Tells of a response; ``offset`` is where the text ends that the client has from before."""

    def __init__(self, response: Response, *, offset: int, wake: Callable[[], None]) -> None:
        super().__init__(wake)
        self.conversation_id = response.conversation_id
        self.has_ended = False
        self._response_id = response.id
        self._offset = offset
        self._give_up_at: float | None = None
        self._cursor = ResponseCursor(response.conversation_id, response.id)

    async def _read(self) -> list[Frame]:
        response = await self._load()
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

    async def _load(self) -> Response | None:
        return await queries.read_response(self._response_id)

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
        if event.response_id != self._response_id or self.has_ended:  # the row was quicker than the event
            return None
        if self._offset and isinstance(event, Begun):
            self._stale = True  # whether the client's text is of this attempt, the row knows
            return None
        return self._cursor

    def _is_active(self) -> bool:
        return True
