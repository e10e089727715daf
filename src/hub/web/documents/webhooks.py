"""The webhooks of the OpenAPI document: what receivers get, and how they may answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from hub.domain.webhooks.schemas import (
    ImageCompleted,
    Payload,
    ResponseCompleted,
    ResponseFailed,
    WebhookTest,
)
from hub.web.documents.examples import Examples
from hub.web.documents.values import MOMENT

Part = dict[str, Any]

#: The types of the bodies that are sent.
PAYLOADS: dict[str, Any] = {
    ResponseCompleted.TYPE: Payload[ResponseCompleted],
    ResponseFailed.TYPE: Payload[ResponseFailed],
    ImageCompleted.TYPE: Payload[ImageCompleted],
    WebhookTest.TYPE: Payload[WebhookTest],
}

_ANSWERS: Part = {
    "2XX": {"description": "Taken. Answer within 15 seconds, and do the work afterwards."},
    "410": {"description": "Gone: the webhook is disabled."},
    "default": {"description": "Sent again later, under the same `webhook-id`."},
}
# Standard Webhooks 1.0.0, "Webhook headers".
_HEADERS = {
    "webhook-id": "The event's id, the same at each attempt: pass over what you had.",
    "webhook-timestamp": "When this attempt was sent, in seconds since 1970.",
    "webhook-signature": "`v1,` and the Base64 of the HMAC-SHA256 of `{id}.{timestamp}.{body}`; "
    "two, with a blank between, while the secret is being replaced.",
}


def webhooks(references: Mapping[Any, Part], examples: Examples) -> Part:
    """Return the section: one path item for each event.

    Args:
        references: leads from the types of ``PAYLOADS`` to their schemas.
        examples: makes the bodies' examples.
    """
    return {event: {"post": _told(event, kind, references, examples)} for event, kind in PAYLOADS.items()}


def _told(event: str, kind: Any, references: Mapping[Any, Part], examples: Examples) -> Part:
    (data,) = get_args(kind)
    example = {"type": event, "timestamp": MOMENT, "data": examples.of(data)}
    return {
        "operationId": data.__name__[0].lower() + data.__name__[1:],
        "summary": event,
        "description": data.__doc__,
        "tags": ["Webhooks"],
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "schema": {"type": "string"},
                "description": told,
            }
            for name, told in _HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": references[kind], "example": example}},
        },
        "responses": _ANSWERS,
    }


def _header(name: str, about: str) -> Part:
    schema = {"type": "string"}
    return {"name": name, "in": "header", "required": True, "schema": schema, "description": about}
