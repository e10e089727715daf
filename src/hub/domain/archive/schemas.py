"""What searching and archives look like from outside."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from hub.domain.chat.schemas import Message


class Hit(Struct, frozen=True, kw_only=True):
    """A message that was searched for. ``snippet`` is plain text in one line, around the first hit.

    ``highlights`` are [start, end) of the hits in the snippet, counted in Unicode code points.
    """

    message: Message
    companion_id: UUID
    conversation_title: str
    snippet: str
    highlights: list[list[int]]
