"""What asking for a picture looks like from outside."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from hub.core.text import NO_NUL
from hub.domain.images.schemas import Image

#: Pixels of a side.
SIDE_LEAST, SIDE_MOST, SIDE_STEP = 64, 2048, 8
#: Seeds are below it: what every image server takes.
SEED_LIMIT = 2**32

PictureText = Annotated[str, Meta(max_length=2000, pattern=NO_NUL)]
Seed = Annotated[int, Meta(ge=-1, lt=SEED_LIMIT)]
Side = Annotated[int, Meta(ge=SIDE_LEAST, le=SIDE_MOST)]

JobStatus = Literal["queued", "in_progress", "completed", "failed", "cancelled"]


class CreateImage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a picture of a companion; what is left out follows from the companion and its scene.

    ``seed`` -1 takes any. Sides are rounded down to multiples of 8.
    """

    prompt: PictureText | None = None
    negative_prompt: PictureText | None = None
    seed: Seed | None = None
    width: Side | None = None
    height: Side | None = None


class RepeatImage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make a picture again from its recipe; another ``seed`` gives another picture of the same kind."""

    seed: Seed | UnsetType = UNSET


class JobError(Struct, frozen=True, kw_only=True):
    """Why a job failed."""

    code: str
    message: str


class Job(Struct, frozen=True, kw_only=True):
    """Work under way. ``position`` is how many are before it, null when it does not wait.

    ``result`` of an image job is the picture, null if it has been deleted since.
    """

    id: UUID
    kind: Literal["image"]
    status: JobStatus
    progress: float
    position: int | None
    result: Image | None
    error: JobError | None
    created_at: datetime
    completed_at: datetime | None
