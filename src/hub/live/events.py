"""What one process tells the others while things happen. Each of these may get lost."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct


class Delta(Struct, frozen=True, array_like=True, tag="d"):
    """Text that a model has just said: ``text`` begins ``offset`` code points into the attempt's text."""

    conversation_id: UUID
    response_id: UUID
    attempt: int
    offset: int
    text: str

    def is_continued_by(self, other: Delta, *, limit: int) -> bool:
        """Whether the other follows without a gap, and both together have up to ``limit`` code points."""
        return (
            self.response_id == other.response_id
            and self.attempt == other.attempt
            and self.offset + len(self.text) == other.offset
            and len(self.text) + len(other.text) <= limit
        )

    def joined_with(self, other: Delta) -> Delta:
        """Return this and the one that continues it as one."""
        return Delta(
            self.conversation_id, self.response_id, self.attempt, self.offset, self.text + other.text
        )


class Said(Struct, frozen=True, array_like=True, tag="s"):
    """A user's message was stored; ``response_id`` names the response that was queued to it, if any."""

    conversation_id: UUID
    response_id: UUID | None
    message_id: UUID
    position: int
    content: str
    created_at: datetime


class Begun(Struct, frozen=True, array_like=True, tag="b"):
    """An attempt at a response that was created then has begun.

    Unless ``is_plain``, it is no plain reply without a text so far: what it begins with, its row says.
    """

    conversation_id: UUID
    response_id: UUID
    attempt: int
    created_at: datetime
    is_plain: bool = True


class Changed(Struct, frozen=True, array_like=True, tag="c"):
    """Something in a conversation's rows has changed: look. ``response_id`` names a response if it is one."""

    conversation_id: UUID
    response_id: UUID | None = None


class JobCancelled(Struct, frozen=True, array_like=True, tag="x"):
    """A job was cancelled: whoever runs it should stop."""

    job_id: UUID


class UserSignedOut(Struct, frozen=True, array_like=True, tag="o"):
    """A sign-in has ended: sockets that came in by this token close."""

    token_id: UUID


#: What subscribers of a conversation take.
ConversationEvent = Delta | Said | Begun | Changed
Event = Delta | Said | Begun | Changed | JobCancelled | UserSignedOut

encoder = msgspec.json.Encoder()
decoder: msgspec.json.Decoder[list[Event]] = msgspec.json.Decoder(list[Event])
