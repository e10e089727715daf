"""Which files the collector may take: rows of removals, and what still refers to a picture's files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from hub.db.engine import ENGINE
from hub.storage.layout import Family, Kind


class Waiting(Struct, frozen=True):
    """Files whose row went; ``id`` is that of the removal."""

    id: UUID
    companion_id: UUID
    kind: Kind
    sha256: str
    removed_at: datetime

    @property
    def family(self) -> Family:
        """The files."""
        return Family(self.companion_id, self.kind, self.sha256)


_DUE = """
SELECT id, companion_id, kind, sha256, removed_at FROM image_removals
WHERE removed_at <= now() - $2 * interval '1 second' AND ($3::uuid IS NULL OR (removed_at, id) > ($4, $3))
ORDER BY removed_at, id LIMIT $1
"""


async def due(*, limit: int, grace: float, after: Waiting | None) -> list[Waiting]:
    """Return removals of at least ``grace`` seconds ago, the oldest first, from behind ``after`` on."""
    values = (after.id, after.removed_at) if after else (None, None)
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_DUE, limit, grace, *values)
    return [Waiting(**row) for row in rows]


async def count() -> int:
    """Return how many removals wait."""
    async with ENGINE.connection() as connection:
        waiting: int = await connection.fetchval("SELECT count(*) FROM image_removals")
    return waiting


async def forget(ids: Collection[UUID]) -> None:
    """Forget removals that have been seen to."""
    async with ENGINE.connection() as connection:
        await connection.execute("DELETE FROM image_removals WHERE id = ANY($1)", sorted(ids))


async def lock_companion(companion_id: UUID) -> None:
    """Keep writers from storing a row of this companion's pictures until the transaction ends."""
    async with ENGINE.connection() as connection:
        await connection.execute("SELECT FROM companions WHERE id = $1 FOR NO KEY UPDATE", companion_id)


_WANTED = """
SELECT kind, sha256 FROM images WHERE companion_id = $1 AND sha256 = ANY($2)
UNION
SELECT kind, sha256 FROM image_removals
WHERE companion_id = $1 AND sha256 = ANY($2) AND NOT id = ANY($3)
"""


async def wanted(
    companion_id: UUID, families: Collection[Family], *, besides: Sequence[UUID] = ()
) -> set[Family]:
    """Return those of a companion's files that a row refers to, or whose removal waits for its time.

    Args:
        companion_id: the companion.
        families: the files in question.
        besides: removals whose time has come.
    """
    hashes = sorted({family.sha256 for family in families})
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_WANTED, companion_id, hashes, list(besides))
    return {Family(companion_id, row["kind"], row["sha256"]) for row in rows}.intersection(families)


async def is_referenced(family: Family) -> bool:
    """Tell whether a row refers to these files."""
    async with ENGINE.connection() as connection:
        found: bool = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM images WHERE companion_id = $1 AND kind = $2 AND sha256 = $3)",
            family.companion_id,
            family.kind,
            family.sha256,
        )
    return found
