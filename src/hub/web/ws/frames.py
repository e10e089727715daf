"""Frames of ``/api/ws`` beyond those that tell of a conversation: what clients send, and plain answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from hub.core.text import NO_NUL
from hub.domain.chat.schemas import AskResponse, Content

EventId = Annotated[str, Meta(min_length=1, max_length=200, pattern=NO_NUL)]
Position = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class ClientFrame(Struct, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """What a client asks for; ``event_id``, where given, comes back in an error about it."""


class ConversationSubscribe(ClientFrame, kw_only=True, tag="conversation.subscribe"):
    """Follow a conversation; ``after`` is the position of the last message that the client has.

    With ``revision``, the last that it knows of, it is also told what was changed of those since then.
    """

    conversation_id: UUID
    after: Position = 0
    revision: Position | UnsetType = UNSET
    event_id: EventId | UnsetType = UNSET


class ConversationUnsubscribe(ClientFrame, kw_only=True, tag="conversation.unsubscribe"):
    """Stop following a conversation."""

    conversation_id: UUID
    event_id: EventId | UnsetType = UNSET


class NewItem(Struct, kw_only=True, forbid_unknown_fields=True):
    """A message to be stored."""

    type: Literal["message"]
    role: Literal["user"]
    content: Content


class ResponseOptions(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the reply should bring."""

    generate_image: bool = False


class ConversationItemCreate(ClientFrame, kw_only=True, tag="conversation.item.create"):
    """Say something. The same ``event_id`` again changes nothing; ``response`` null asks for no reply."""

    event_id: EventId
    conversation_id: UUID
    item: NewItem
    response: ResponseOptions | UnsetType | None = UNSET


class ResponseCreate(ClientFrame, kw_only=True, tag="response.create"):
    """Ask for a response without a message. The same ``event_id`` again changes nothing."""

    event_id: EventId
    conversation_id: UUID
    response: AskResponse


class ResponseCancel(ClientFrame, kw_only=True, tag="response.cancel"):
    """Stop a response."""

    response_id: UUID
    event_id: EventId | UnsetType = UNSET


AnyClientFrame = (
    ConversationSubscribe | ConversationUnsubscribe | ConversationItemCreate | ResponseCreate | ResponseCancel
)

#: One of these a personal access token needs to open a socket at all.
CONNECT_SCOPES = ("read", "chat")
#: And one of these for each verb; what is not listed is for sign-ins only.
VERB_SCOPES: Mapping[type[ClientFrame], tuple[str, ...]] = {
    ConversationSubscribe: ("read", "chat"),
    ConversationUnsubscribe: ("read", "chat"),
    ConversationItemCreate: ("chat",),
    ResponseCreate: ("chat",),
    ResponseCancel: ("chat",),
}


class SessionInfo(Struct, frozen=True, kw_only=True):
    """The session that a socket stands for."""

    id: UUID
    user_id: UUID


class SessionCreated(Struct, frozen=True, kw_only=True, tag_field="type", tag="session.created"):
    """The first frame of all."""

    session: SessionInfo


class ErrorInfo(Struct, frozen=True, kw_only=True):
    """Why a frame was refused; ``retry_after`` is in seconds, where it was one too many."""

    code: str
    message: str
    event_id: str | UnsetType = UNSET
    retry_after: int | UnsetType = UNSET


class Error(Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """A frame was refused; the socket stays open."""

    error: ErrorInfo
