"""What companions look like from outside."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from hub.core.text import NO_NUL, NOT_BLANK
from hub.domain.images.schemas import Image
from hub.domain.scenes.schemas import Scene

Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=NOT_BLANK)]
Description = Annotated[str, Meta(min_length=10, max_length=8000, pattern=NOT_BLANK)]
Detail = Annotated[str, Meta(max_length=4000, pattern=NO_NUL)]
SceneText = Annotated[str, Meta(max_length=500, pattern=NO_NUL)]
Greeting = Annotated[str, Meta(max_length=4000, pattern=NO_NUL)]

DEFAULT_OUTFIT = "casual clothes"
DEFAULT_LOCATION = "living room"
DEFAULT_ACTION = "looking at viewer"
DEFAULT_EXPRESSION = "neutral"


class Companion(Struct, frozen=True, kw_only=True):
    """A companion and the scene it is in.

    ``sample``: the hub brought it along, and its owner has not changed it.
    """

    id: UUID
    name: str
    description: str
    appearance: str
    user_appearance: str
    default_outfit: str
    greeting: str
    scene: Scene
    header_image: Image | None
    created_at: datetime
    updated_at: datetime
    sample: bool = False


class LastWords(Struct, frozen=True, kw_only=True):
    """What was said last with a companion, cut where it is long; ``role`` is whose words they are."""

    content: str
    role: Literal["user", "assistant"]
    said_at: datetime


class Card(Struct, frozen=True, kw_only=True):
    """A companion as its owner meets it on a page.

    ``conversation_id`` is the conversation in which something happened last, of how many ``conversations``;
    ``met_at`` is when that was, or when the companion was made.
    """

    companion: Companion
    last_words: LastWords | None
    conversation_id: UUID | None
    conversations: int
    met_at: datetime


class CreateCompanion(Struct, kw_only=True, forbid_unknown_fields=True):
    """Make a companion. Companions are adults."""

    name: Name
    description: Description
    appearance: Detail = ""
    user_appearance: Detail = ""
    default_outfit: SceneText = DEFAULT_OUTFIT
    greeting: Greeting = ""


class UpdateScene(Struct, kw_only=True, forbid_unknown_fields=True):
    """Change the scene; what is left out stays, and what is empty goes back to how it was at first."""

    outfit: SceneText | UnsetType = UNSET
    location: SceneText | UnsetType = UNSET
    action: SceneText | UnsetType = UNSET
    expression: SceneText | UnsetType = UNSET


class UpdateCompanion(Struct, kw_only=True, forbid_unknown_fields=True):
    """Change a companion; what is left out stays."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    appearance: Detail | UnsetType = UNSET
    user_appearance: Detail | UnsetType = UNSET
    default_outfit: SceneText | UnsetType = UNSET
    greeting: Greeting | UnsetType = UNSET
    scene: UpdateScene | UnsetType = UNSET
