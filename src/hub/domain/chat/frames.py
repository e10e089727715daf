"""What subscribers are told, as it stands on the wire: ``type`` names the frame."""

from __future__ import annotations

from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from hub.domain.chat.schemas import Message, Response, ResponseError
from hub.domain.images.schemas import Image
from hub.domain.scenes.schemas import Scene


class Frame(Struct, frozen=True, kw_only=True, tag_field="type"):
    """One event of a conversation."""

    conversation_id: UUID


class Subscribed(Frame, frozen=True, kw_only=True, tag="conversation.subscribed"):
    """The subscription stands; what is missing follows.

    ``revision`` says from which change of earlier messages on the client is told: what it has to remember to
    be told of them should it go away, until a frame with a later one comes.
    """

    last_position: int
    revision: int = 0


class Resync(Frame, frozen=True, kw_only=True, tag="companion_hub.resync"):
    """Too much is missing to be sent here, or messages were taken out: read the messages with GET."""

    last_position: int
    revision: int = 0


class ItemAdded(Frame, frozen=True, kw_only=True, tag="conversation.item.added"):
    """A message was stored; ``event_id`` is that of the frame that sent it, for its sender."""

    item: Message
    event_id: str | UnsetType = UNSET


class ItemUpdated(Frame, frozen=True, kw_only=True, tag="companion_hub.item.updated"):
    """A message is another one now: edited, written anew, continued, or another alternative was chosen.

    ``revision`` is the conversation's with this change.
    """

    item: Message
    revision: int


class ResponseQueued(Frame, frozen=True, kw_only=True, tag="response.queued"):
    """A response waits for its turn; ``event_id`` is that of the frame that asked for it, for its sender."""

    response: Response
    event_id: str | UnsetType = UNSET


class ResponseInProgress(Frame, frozen=True, kw_only=True, tag="response.in_progress"):
    """An attempt begins or is joined; ``output_text`` replaces whatever partial text was shown."""

    response: Response


class OutputTextDelta(Frame, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """Text to append; ``offset`` is how many code points came before it."""

    response_id: UUID
    offset: int
    delta: str


class OutputTextDone(Frame, frozen=True, kw_only=True, tag="response.output_text.done"):
    """The whole text, now that it is complete."""

    response_id: UUID
    text: str


class ResponseCompleted(Frame, frozen=True, kw_only=True, tag="response.completed"):
    """The reply is stored."""

    response: Response


class ResponseFailed(Frame, frozen=True, kw_only=True, tag="response.failed"):
    """No reply came; the error says why."""

    response: Response


class ResponseCancelled(Frame, frozen=True, kw_only=True, tag="response.cancelled"):
    """Somebody stopped the reply; what was said until then stays on the response."""

    response: Response


class SceneChanged(Frame, frozen=True, kw_only=True, tag="companion_hub.scene"):
    """The companion's scene is another one now."""

    scene: Scene


class ImageInProgress(Frame, frozen=True, kw_only=True, tag="response.image_generation_call.in_progress"):
    """A picture is on its way: ``progress`` is 0 to 1, ``position`` how many are before it while it waits."""

    response_id: UUID
    job_id: UUID
    progress: float
    position: int | None


class ImageCompleted(Frame, frozen=True, kw_only=True, tag="response.image_generation_call.completed"):
    """The picture is there, and goes with the message that the response became."""

    response_id: UUID
    image: Image


class ImageFailed(Frame, frozen=True, kw_only=True, tag="response.image_generation_call.failed"):
    """There will be no picture; the message stays."""

    response_id: UUID
    error: ResponseError
