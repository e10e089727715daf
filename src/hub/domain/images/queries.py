"""Reading and writing of pictures' rows; every query for a user names the owner."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from hub.core.ids import new_id
from hub.core.pages import TimeCursor
from hub.db.engine import ENGINE
from hub.domain.images.schemas import CompanionStats, Image, Recipe, StorageStats
from hub.storage.images import Encoded, MediaType
from hub.storage.layout import Family, Kind

#: The columns that :func:`image_of` reads.
COLUMNS = (
    "images.id, images.kind, media_type, sha256, width, height, bytes, original_bytes, recipe,"
    " images.created_at"
)


def image_of(row: Mapping[str, Any]) -> Image:
    """Make a picture of a row that has ``COLUMNS``."""
    recipe = row["recipe"]
    return Image(
        id=row["id"],
        url=f"/api/images/{row['id']}",
        kind=row["kind"],
        width=row["width"],
        height=row["height"],
        bytes=row["bytes"],
        original_bytes=row["original_bytes"],
        media_type=row["media_type"],
        sha256=row["sha256"],
        created_at=row["created_at"],
        recipe=msgspec.json.decode(recipe, type=Recipe) if recipe else None,
    )


class StoredImage(Struct, frozen=True):
    """Where a picture's files lie, and what has to be in them."""

    family: Family
    media_type: MediaType
    thumb_sha256: str


# Storing and removing, each within a transaction of the caller


# The user first, as everywhere.
_LOCK_OWNER = """
WITH owner AS (SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE)
SELECT user_id FROM owner, companions WHERE companions.id = $2 FOR NO KEY UPDATE OF companions
"""


async def lock_owner(companion_id: UUID, *, user_id: UUID) -> bool:
    """Keep others from storing this user's pictures, and the collector from taking this companion's files.

    Returns:
        False when the companion is not the user's.
    """
    async with ENGINE.connection() as connection:
        owner = await connection.fetchval(_LOCK_OWNER, user_id, companion_id)
    return bool(owner == user_id)


async def used_bytes(user_id: UUID) -> int:
    """Return what a user's pictures take, thumbnails included."""
    async with ENGINE.connection() as connection:
        used: int = await connection.fetchval(
            "SELECT coalesce(sum(bytes + thumb_bytes), 0)::bigint FROM images WHERE user_id = $1", user_id
        )
    return used


class NewRow(Struct, frozen=True, kw_only=True):
    """A picture to be inserted."""

    id: UUID
    companion_id: UUID
    user_id: UUID
    kind: Kind
    media_type: MediaType
    encoded: Encoded
    original_bytes: int
    recipe: Recipe | None
    created_at: datetime


_INSERT = f"""
INSERT INTO images (id, user_id, companion_id, kind, media_type, sha256, width, height, bytes, original_bytes,
    thumb_bytes, thumb_sha256, recipe, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING {COLUMNS}
"""  # noqa: S608 - a constant


async def insert(new: NewRow) -> Image:
    """Store a picture's row."""
    encoded = new.encoded
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            _INSERT,
            new.id,
            new.user_id,
            new.companion_id,
            new.kind,
            new.media_type,
            encoded.sha256,
            encoded.width,
            encoded.height,
            encoded.bytes,
            new.original_bytes,
            encoded.thumb_bytes,
            encoded.thumb_sha256,
            msgspec.json.encode(new.recipe).decode() if new.recipe else None,
            new.created_at,
        )
    return image_of(row)


async def delete_header(companion_id: UUID, *, user_id: UUID) -> bool:
    """Remove the header picture's row; False when there is none."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "DELETE FROM images WHERE companion_id = $1 AND user_id = $2 AND kind = 'header'",
            companion_id,
            user_id,
        )
    return bool(status != "DELETE 0")


async def delete_generated(companion_id: UUID) -> int:
    """Remove the rows of all pictures that were painted of a companion; return how many."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "DELETE FROM images WHERE companion_id = $1 AND kind = 'generated'", companion_id
        )
    return int(status.removeprefix("DELETE "))


async def delete(image_id: UUID, *, user_id: UUID) -> bool:
    """Remove a picture's row; False when there is none."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "DELETE FROM images WHERE id = $1 AND user_id = $2", image_id, user_id
        )
    return bool(status != "DELETE 0")


async def note_removal(family: Family) -> None:
    """Leave word for the collector of files that no row may refer to."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "INSERT INTO image_removals (id, companion_id, kind, sha256) VALUES ($1, $2, $3, $4)",
            new_id(),
            family.companion_id,
            family.kind,
            family.sha256,
        )


# Reading


async def by_ids(image_ids: Collection[UUID]) -> dict[UUID, Image]:
    """Return the pictures that exist, by id. The caller knows whose they are."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(f"SELECT {COLUMNS} FROM images WHERE id = ANY($1)", list(image_ids))  # noqa: S608 - a constant
    return {row["id"]: image_of(row) for row in rows}


async def headers_of(companion_ids: Collection[UUID]) -> dict[UUID, Image]:
    """Return the header pictures of companions, by the companions' ids. The caller knows whose they are."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            f"SELECT companion_id, {COLUMNS} FROM images WHERE companion_id = ANY($1) AND kind = 'header'",  # noqa: S608 - a constant
            list(companion_ids),
        )
    return {row["companion_id"]: image_of(row) for row in rows}


async def stored(image_id: UUID, *, user_id: UUID | None) -> StoredImage | None:
    """Return where a picture's files lie, or None; ``user_id`` None is for whoever has a signed link."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT companion_id, kind, sha256, media_type, thumb_sha256 FROM images"
            " WHERE id = $1 AND ($2::uuid IS NULL OR user_id = $2)",
            image_id,
            user_id,
        )
    if row is None:
        return None
    family = Family(row["companion_id"], row["kind"], row["sha256"])
    return StoredImage(family, row["media_type"], row["thumb_sha256"])


class PaintedImage(Struct, frozen=True):
    """Whose picture it is, and how it was made; a header has no recipe."""

    companion_id: UUID
    recipe: Recipe | None


async def painted(image_id: UUID, *, user_id: UUID) -> PaintedImage | None:
    """Return how one of the owner's pictures was made, or None when there is no such picture."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT companion_id, recipe FROM images WHERE id = $1 AND user_id = $2", image_id, user_id
        )
    if row is None:
        return None
    recipe = msgspec.json.decode(row["recipe"], type=Recipe) if row["recipe"] else None
    return PaintedImage(row["companion_id"], recipe)


async def page(
    companion_id: UUID, *, user_id: UUID, kind: Kind | None, limit: int, after: TimeCursor | None
) -> list[Image]:
    """Return up to ``limit`` pictures of the owner's companion, the newest first."""
    conditions, values = ["companion_id = $1", "user_id = $2"], list[object]([companion_id, user_id])
    if kind is not None:
        values.append(kind)
        conditions.append(f"kind = ${len(values)}")
    if after is not None:
        values += [after.created_at, after.id]
        conditions.append(f"(created_at, id) < (${len(values) - 1}, ${len(values)})")
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            f"SELECT {COLUMNS} FROM images WHERE {' AND '.join(conditions)}"  # noqa: S608 - constants
            f" ORDER BY created_at DESC, id DESC LIMIT {limit:d}",
            *values,
        )
    return [image_of(row) for row in rows]


class Hung(Struct, frozen=True, kw_only=True):
    """A picture in its place in the gallery, with the ids of those beside it."""

    image: Image
    companion_id: UUID
    newer_id: UUID | None
    older_id: UUID | None


_BESIDE = """
(SELECT beside.id FROM images AS beside WHERE beside.companion_id = images.companion_id
    AND (beside.created_at, beside.id) {sign} (images.created_at, images.id)
    ORDER BY beside.created_at {order}, beside.id {order} LIMIT 1)
"""
_HUNG = f"""
SELECT {COLUMNS}, companion_id, {_BESIDE.format(sign=">", order="ASC")} AS newer_id,
    {_BESIDE.format(sign="<", order="DESC")} AS older_id
FROM images WHERE id = $1 AND user_id = $2
"""  # noqa: S608 - constants


async def hung(image_id: UUID, *, user_id: UUID) -> Hung | None:
    """Return one of the owner's pictures in its place among its companion's, or None."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_HUNG, image_id, user_id)
    if row is None:
        return None
    return Hung(
        image=image_of(row),
        companion_id=row["companion_id"],
        newer_id=row["newer_id"],
        older_id=row["older_id"],
    )


# Statistics

_SUMS = """
count(*) AS total_images, coalesce(sum(bytes), 0)::bigint AS total_bytes,
coalesce(sum(thumb_bytes), 0)::bigint AS thumbnail_bytes,
coalesce(sum(original_bytes), 0)::bigint AS original_bytes,
coalesce(1 - sum(bytes)::float8 / nullif(sum(original_bytes), 0)::float8, 0) AS saved_share
"""


async def stats() -> StorageStats:
    """Return what all pictures take."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT {_SUMS}, count(DISTINCT companion_id) AS companion_count FROM images"  # noqa: S608 - a constant
        )
    return StorageStats(**row)


async def stats_of_companions(*, limit: int, after: UUID | None) -> list[CompanionStats]:
    """Return what the pictures of each companion take, by the companions' ids."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            f"SELECT companion_id, {_SUMS} FROM images WHERE $2::uuid IS NULL OR companion_id > $2"  # noqa: S608 - a constant
            " GROUP BY companion_id ORDER BY companion_id LIMIT $1",
            limit,
            after,
        )
    return [CompanionStats(**row) for row in rows]
