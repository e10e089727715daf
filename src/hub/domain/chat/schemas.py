"""What conversations, messages and responses look like from outside."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from hub.core.text import NO_NUL, NOT_BLANK
from hub.domain.images.schemas import Image

#: The longest message that any setting allows; how many really are allowed is a setting below it.
MESSAGE_CEILING = 100_000

Title = Annotated[str, Meta(max_length=200, pattern=NO_NUL)]
Content = Annotated[str, Meta(min_length=1, max_length=MESSAGE_CEILING, pattern=NOT_BLANK)]

#: What a response does: answers, writes the companion's last message anew, or goes on with it.
ResponseKind = Literal["reply", "regenerate", "continue"]
ResponseStatus = Literal["queued", "in_progress", "completed", "failed", "cancelled"]


class Conversation(Struct, frozen=True, kw_only=True):
    """A talk with one companion; ``last_position`` is 0 while nothing has been said.

    ``revision`` counts what was changed of messages that stood there already.
    """

    id: UUID
    companion_id: UUID
    title: str
    last_position: int
    created_at: datetime
    updated_at: datetime
    revision: int = 0


class Message(Struct, frozen=True):
    """What was said. ``response_id`` names the response that wrote it, null for the user's own.

    ``alternative`` is the number of the text that is shown, of ``alternatives``; ``edited_at`` is when
    somebody changed it by hand last.
    """

    id: UUID
    conversation_id: UUID
    position: int
    role: Literal["user", "assistant"]
    content: str
    response_id: UUID | None
    created_at: datetime
    image: Image | None = None
    alternative: int = 1
    alternatives: int = 1
    edited_at: datetime | None = None


class Alternative(Struct, frozen=True, kw_only=True):
    """One of the texts of a message, with what goes with it; ``chosen`` is the one that is shown."""

    number: int
    content: str
    response_id: UUID | None
    image: Image | None
    created_at: datetime
    chosen: bool


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens that the model's server counted for a reply."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ResponseError(Struct, frozen=True, kw_only=True):
    """Why a response failed."""

    code: str
    message: str


class Response(Struct, frozen=True, kw_only=True):
    """A reply on its way, or how it ended. ``attempt`` counts how often the model was asked, from 1.

    ``image_job_id`` names the job that paints the picture which was asked for with the message, once the
    reply is there. ``kind`` is what it does: it answers, or it changes the companion's last message.
    """

    id: UUID
    conversation_id: UUID
    status: ResponseStatus
    output_text: str
    message_id: UUID | None
    attempt: int
    error: ResponseError | None
    usage: Usage | None
    created_at: datetime
    completed_at: datetime | None
    image_job_id: UUID | None = None
    kind: ResponseKind = "reply"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status not in ("queued", "in_progress")

    def as_queued(self) -> Response:
        """Return it as it was when it was asked for."""
        return Response(
            id=self.id,
            conversation_id=self.conversation_id,
            status="queued",
            output_text="",
            message_id=None,
            attempt=1,
            error=None,
            usage=None,
            created_at=self.created_at,
            completed_at=None,
            kind=self.kind,
        )


class Sent(Struct, frozen=True, kw_only=True):
    """A stored message and, if one was asked for, the response to it."""

    message: Message
    response: Response | None


class CreateConversation(Struct, kw_only=True, forbid_unknown_fields=True):
    """Begin to talk with a companion."""

    companion_id: UUID
    title: Title = ""


class UpdateConversation(Struct, kw_only=True, forbid_unknown_fields=True):
    """Rename a conversation; what is left out stays."""

    title: Title | UnsetType = UNSET


class SendMessage(Struct, kw_only=True, forbid_unknown_fields=True):
    """Say something to a companion."""

    content: Content
    generate_image: bool = False


class AskResponse(Struct, kw_only=True, forbid_unknown_fields=True):
    """Have the companion answer, say its last message differently, or go on with it."""

    kind: ResponseKind
    generate_image: bool = False


class EditMessage(Struct, kw_only=True, forbid_unknown_fields=True):
    """Change what a message says."""

    content: Content
