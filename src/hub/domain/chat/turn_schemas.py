"""One attempt at a turn: what its worker knows, and what it leaves besides the text."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from hub.domain.chat.prompt import Persona
from hub.domain.chat.schemas import ResponseKind
from hub.domain.painting.queries import NewRequest
from hub.domain.scenes.analysis import Findings
from hub.jobs.contracts import Claim, NewJob
from hub.providers.llm.protocol import ChatMessage


class Turn(Struct, frozen=True, kw_only=True):
    """What a worker needs to know to write a reply.

    ``asked_at`` is when the response was created. ``talk`` ends with the message to answer, or to continue,
    and begins with the one at ``first_position``. ``target_message_id`` is what is written anew or continued,
    and ``prefix`` the text that is continued: all that is stored of the response begins with it.
    """

    claim: Claim
    response_id: UUID
    conversation_id: UUID
    companion_id: UUID
    companion_updated_at: datetime
    asked_at: datetime
    waited: timedelta
    persona: Persona
    talk: list[ChatMessage]
    first_position: int
    generate_image: bool
    kind: ResponseKind = "reply"
    target_message_id: UUID | None = None
    prefix: str = ""


class After(Struct, frozen=True, kw_only=True):
    """What a reply brings with it, to be stored together with it.

    ``findings`` is what was read of the scene before it, None where scenes are not read at all;
    ``scene_job`` reads it after it, ``image`` paints it.
    """

    findings: Findings | None = None
    scene_job: NewJob | None = None
    image: NewRequest | None = None
