"""What pictures look like from outside."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from hub.domain.scenes.schemas import Scene
from hub.storage.images import MediaType
from hub.storage.layout import Kind

Size = Literal["full", "thumb"]


class Recipe(Struct, frozen=True, kw_only=True):
    """How a picture was made; ``seed`` is the one really used."""

    prompt: str
    negative_prompt: str
    seed: int
    provider: str
    model: str
    sampler: str
    steps: int
    width: int
    height: int
    scene: Scene


class Image(Struct, frozen=True, kw_only=True):
    """A stored picture. ``bytes`` and ``sha256`` are those of the stored main file."""

    id: UUID
    url: str
    kind: Kind
    width: int
    height: int
    bytes: int
    original_bytes: int
    media_type: MediaType
    sha256: str
    created_at: datetime
    recipe: Recipe | None


class ImageLink(Struct, frozen=True, kw_only=True):
    """An address that shows a picture to whoever has it, for a few minutes."""

    url: str
    expires_at: datetime


class StorageStats(Struct, frozen=True, kw_only=True):
    """What the pictures take. ``saved_share`` is the part of the original bytes that was saved, 0 to 1."""

    total_images: int
    total_bytes: int
    thumbnail_bytes: int
    original_bytes: int
    saved_share: float
    companion_count: int


class CompanionStats(Struct, frozen=True, kw_only=True):
    """The same of one companion."""

    companion_id: UUID
    total_images: int
    total_bytes: int
    thumbnail_bytes: int
    original_bytes: int
    saved_share: float
