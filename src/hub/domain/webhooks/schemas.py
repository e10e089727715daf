"""What webhooks look like from outside, and what they are told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Generic, Literal, TypeVar
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from hub.core.text import NO_NUL

#: Characters that an address may have.
URL_LIMIT = 2048

Url = Annotated[str, Meta(min_length=1, max_length=URL_LIMIT, pattern=NO_NUL)]
Description = Annotated[str, Meta(max_length=200, pattern=NO_NUL)]
EventType = Literal["response.completed", "response.failed", "image.completed"]
Events = Annotated[list[EventType], Meta(min_length=1, max_length=3)]
DeliveryStatus = Literal["queued", "in_progress", "completed", "failed", "cancelled"]


class CreateWebhook(Struct, kw_only=True, forbid_unknown_fields=True):
    """Have events of yours told to an address, which has to be https on the public internet."""

    url: Url
    events: Events
    description: Description = ""


class UpdateWebhook(Struct, kw_only=True, forbid_unknown_fields=True):
    """Change a webhook; what is left out stays. ``disabled`` false lets one that was disabled go on."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


class Webhook(Struct, frozen=True, kw_only=True):
    """An address that is told of events.

    ``disabled_reason``: ``user`` disabled it, its server answered 410 and is ``gone``, or it had been
    ``failing`` for days. ``failing_since`` is null unless the last attempt failed.
    """

    id: UUID
    url: str
    events: list[EventType]
    description: str
    disabled: bool
    disabled_reason: Literal["user", "gone", "failing"] | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime


class NewWebhook(Webhook, frozen=True, kw_only=True):
    """A webhook that was just made, with the secret that is shown only now."""

    secret: str

    def without_secret(self) -> Webhook:
        """Return it as it is shown from now on."""
        return Webhook(**{name: getattr(self, name) for name in Webhook.__struct_fields__})


class NewSecret(Struct, frozen=True, kw_only=True):
    """A webhook's new secret, shown only now; until then the old one signs too."""

    secret: str
    old_secret_until: datetime


class Delivery(Struct, frozen=True, kw_only=True):
    """One event for one webhook. ``event_id`` is what the receiver gets as ``webhook-id``.

    ``attempts`` is how often it was tried; ``status_code`` and ``error`` are of the last time,
    ``next_attempt_at`` is null unless it waits.
    """

    id: UUID
    event_id: UUID
    event: str
    subject_id: UUID
    status: DeliveryStatus
    attempts: int
    status_code: int | None
    error: str | None
    next_attempt_at: datetime | None
    created_at: datetime
    completed_at: datetime | None


# What is told: ids and states. Texts and pictures are fetched by those who may see them.


class ResponseCompleted(Struct, frozen=True, kw_only=True):
    """A reply is there, as a message."""

    TYPE: ClassVar[str] = "response.completed"

    id: UUID
    conversation_id: UUID
    companion_id: UUID
    message_id: UUID
    status: Literal["completed"] = "completed"


class ResponseFailed(Struct, frozen=True, kw_only=True):
    """A reply has failed for good; ``error_code`` says why."""

    TYPE: ClassVar[str] = "response.failed"

    id: UUID
    conversation_id: UUID
    companion_id: UUID
    error_code: str
    status: Literal["failed"] = "failed"


class ImageCompleted(Struct, frozen=True, kw_only=True):
    """A picture has been painted; conversation and response are those of one asked for with a message."""

    TYPE: ClassVar[str] = "image.completed"

    id: UUID
    companion_id: UUID
    job_id: UUID
    conversation_id: UUID | None
    response_id: UUID | None
    status: Literal["completed"] = "completed"


class WebhookTest(Struct, frozen=True, kw_only=True):
    """Somebody wants to see whether a webhook works; ``id`` is its own."""

    TYPE: ClassVar[str] = "webhook.test"

    id: UUID


EventData = ResponseCompleted | ResponseFailed | ImageCompleted | WebhookTest
DataT = TypeVar("DataT", bound=EventData)


class Payload(Struct, Generic[DataT], frozen=True, kw_only=True):
    """The body of what is sent; ``timestamp`` is when it happened."""

    type: str
    timestamp: datetime
    data: DataT
