"""What a completion is to those who ask for it and wait for it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from hub.domain.chat.schemas import Response, ResponseError, ResponseStatus, Usage
from hub.providers.llm.protocol import ChatMessage

#: ``chat`` is asked for by a whole talk, ``response`` may go on with the one before it.
Kind = Literal["chat", "response"]


class Sampling(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a text is to be written; None is what the server's settings say."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


class Asked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked: the client's own messages, and what else has to be known later.

    ``streams`` says that text reaches the client at once, and cannot be taken back.
    """

    messages: list[ChatMessage]
    sampling: Sampling = Sampling()
    instructions: str | None = None
    metadata: dict[str, str] = {}
    streams: bool = False
    background: bool = False


class Completion(Struct, frozen=True, kw_only=True):
    """A text on its way, or how it ended. ``finish_reason`` is "stop" or "length" once it is complete."""

    id: UUID
    companion_id: UUID
    kind: Kind
    stored: bool
    previous_id: UUID | None
    asked: Asked
    status: ResponseStatus
    output_text: str
    attempt: int
    finish_reason: str | None
    error: ResponseError | None
    usage: Usage | None
    created_at: datetime
    completed_at: datetime | None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status not in ("queued", "in_progress")

    def as_response(self) -> Response:
        """Return it as feeds know such things: its own id stands for its conversation too."""
        return Response(
            id=self.id,
            conversation_id=self.id,
            status=self.status,
            output_text=self.output_text,
            message_id=None,
            attempt=max(self.attempt, 1),
            error=self.error,
            usage=self.usage,
            created_at=self.created_at,
            completed_at=self.completed_at,
        )


class Model(Struct, frozen=True, kw_only=True):
    """A companion as something to ask."""

    companion_id: UUID
    name: str
    created_at: datetime
