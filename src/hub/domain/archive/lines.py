"""The hub's own form of a conversation: one JSON value a line, the last one with the count of messages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from hub.core.text import NO_NUL, NOT_BLANK
from hub.domain.archive.entries import MOST_ALTERNATIVES
from hub.domain.chat.schemas import Content, Title
from hub.domain.images.schemas import Recipe

#: The media type of such a file.
NDJSON = "application/x-ndjson"

Hash = Annotated[str, Meta(min_length=64, max_length=64, pattern=NO_NUL)]
Moment = Annotated[datetime, Meta(tz=True)]
Text = Annotated[str, Meta(max_length=8000, pattern=NO_NUL)]


class Character(Struct, frozen=True, kw_only=True):
    """Who the conversation was with; told to readers, an import does not look at it."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=NOT_BLANK)]
    description: Text = ""
    appearance: Text = ""
    user_appearance: Text = ""
    default_outfit: Text = ""
    greeting: Text = ""


class FirstLine(Struct, frozen=True, kw_only=True, tag_field="type", tag="conversation"):
    """What the file is."""

    format: Literal["companion-hub.conversation"]
    version: Literal[1]
    title: Title
    companion: Character
    created_at: Moment


class Picture(Struct, frozen=True, kw_only=True):
    """Of the picture that went with a message: its hash, where it was, how it was made."""

    sha256: Hash
    url: Annotated[str, Meta(max_length=2000)]
    recipe: Recipe | None = None


class AlternativeLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of several texts of a message; ``chosen`` is the one that is shown, the message's own."""

    content: Content
    created_at: Moment
    chosen: bool = False
    image: Picture | None = None


class MessageLine(Struct, frozen=True, kw_only=True, tag_field="type", tag="message", omit_defaults=True):
    """What was said; positions count from 1 on, with gaps where messages were deleted."""

    position: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    role: Literal["user", "assistant"]
    content: Content
    created_at: Moment
    image: Picture | None = None
    edited_at: Moment | None = None
    alternatives: Annotated[list[AlternativeLine], Meta(max_length=MOST_ALTERNATIVES)] = []


class LastLine(Struct, frozen=True, kw_only=True, tag_field="type", tag="end"):
    """The end, without which a file is not whole."""

    messages: Annotated[int, Meta(ge=0)]


Line = FirstLine | MessageLine | LastLine
