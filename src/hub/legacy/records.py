"""Rows of the original, as far as they are brought over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

#: Stands for a time that no calendar has, or that is before computers.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

PictureKind = Literal["header", "picture"]
ROLES = ("user", "assistant")


class Totals(Struct, frozen=True, kw_only=True):
    """How much there is."""

    users: int
    companions: int
    messages: int
    pictures: int


class SourceUser(Struct, frozen=True, kw_only=True):
    """A row of "User"; ``name`` is what companions call the person."""

    id: str
    email: str
    username: str
    name: str
    password_hash: str
    created_at: datetime


class SourceCompanion(Struct, frozen=True, kw_only=True):
    """A row of "Companion"; ``outfit``, ``location`` and ``action`` are its scene."""

    id: str
    user_id: str
    name: str
    description: str
    appearance: str
    user_appearance: str
    default_outfit: str
    outfit: str
    location: str
    action: str
    created_at: datetime
    updated_at: datetime


class SourceMessage(Struct, frozen=True, kw_only=True):
    """A row of "Message"."""

    id: str
    role: str
    content: str
    created_at: datetime

    @property
    def was_said(self) -> bool:
        """Whether somebody said it; nothing else has a place here."""
        return self.role in ROLES


class Written(Struct, frozen=True):
    """One place where a picture is written down: its column, its length, and how it begins."""

    column: str
    length: int
    start: str


class SourcePicture(Struct, frozen=True, kw_only=True):
    """A picture of a companion (``header``) or of a message (``picture``); ``id`` is that of its row.

    ``written`` are the places where it stands, the best first.
    """

    kind: PictureKind
    id: str
    companion_id: str
    role: str
    created_at: datetime
    written: tuple[Written, ...]
