"""What samples are made of, and how they are asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hub.domain.companions.schemas import CreateCompanion
from hub.domain.scenes.schemas import Scene

Language = Literal["en", "de"]


class AddSamples(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for the sample companions; what they are and say is in this language."""

    language: Language = "en"


class Painting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the built-in painter is told; its words are English."""

    seed: int
    words: tuple[str, ...]


class Moment(Painting, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture of the scene, which goes with the talk's message of this position."""

    message: int


class Said(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message of a talk."""

    role: Literal["user", "assistant"]
    content: Annotated[str, Meta(min_length=1, max_length=2000)]


class Talk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A conversation that shows what one may be like."""

    title: Annotated[str, Meta(min_length=1, max_length=200)]
    messages: tuple[Said, ...]


class Sample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A companion that the hub brings along.

    ``key`` names it in every language; ``scene`` is the one after the talk.
    """

    key: Annotated[str, Meta(min_length=1, max_length=40)]
    companion: CreateCompanion
    scene: Scene
    portrait: Painting
    conversation: Talk
    picture: Moment


class Standing(Struct, frozen=True, kw_only=True):
    """What goes with a user's samples: how many there are, and what the user has said to them."""

    companions: int
    messages: int
