"""Reading of companions as their owner meets them on a page: with what was said last."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from asyncpg import Record

from hub.core.pages import TimeCursor
from hub.db.engine import ENGINE
from hub.domain.companions import queries
from hub.domain.companions.schemas import Card, LastWords

#: Code points of what was said last.
EXCERPT = 160

# Whom the page shows follows from the owner's companions and conversations alone; only for those the messages
# are looked at. A conversation that has just begun is the newest, and has no words yet.
_CARDS = """
WITH talked AS (
    SELECT companion_id, count(*) AS conversations, max(updated_at) AS talked_at
    FROM conversations WHERE user_id = $1 GROUP BY companion_id
), met AS (
    SELECT id, coalesce(conversations, 0) AS conversations, coalesce(talked_at, created_at) AS met_at
    FROM companions LEFT JOIN talked ON companion_id = id
    WHERE user_id = $1 AND ($2::text IS NULL OR strpos(lower(name), lower($2)) > 0)
), page AS (
    SELECT * FROM met WHERE $3::timestamptz IS NULL OR (met_at, id) < ($3, $4)
    ORDER BY met_at DESC, id DESC LIMIT $5
)
SELECT page.*, newest.id AS conversation_id, said.*
FROM page LEFT JOIN LATERAL (
    SELECT id FROM conversations WHERE companion_id = page.id ORDER BY updated_at DESC, id DESC LIMIT 1
) AS newest ON true LEFT JOIN LATERAL (
    SELECT excerpt, role, said_at FROM (
        SELECT id FROM conversations WHERE companion_id = page.id AND last_position > 0
        ORDER BY updated_at DESC, id DESC LIMIT 1
    ) AS spoken, LATERAL (
        SELECT left(content, $6) AS excerpt, role, created_at AS said_at FROM messages
        WHERE conversation_id = spoken.id ORDER BY position DESC LIMIT 1
    ) AS last
) AS said ON true
ORDER BY met_at DESC, page.id DESC
"""


async def page(
    *, user_id: UUID, name: str | None, limit: int, after: TimeCursor | None
) -> tuple[list[Card], TimeCursor | None]:
    """Return up to ``limit`` of the owner's companions, the last talked with first.

    Args:
        user_id: the owner.
        name: only those whose name has this somewhere, in any case; None for all.
        limit: how many at most.
        after: where the page before ended.

    Returns:
        The cards, and where the next page begins; None on the last one.
    """
    met_at: datetime | None = after.created_at if after else None
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            _CARDS, user_id, name, met_at, after.id if after else None, limit + 1, EXCERPT + 1
        )
    shown = rows[:limit]
    companions = await queries.by_ids([row["id"] for row in shown], user_id=user_id)
    cards = [
        Card(
            companion=companions[row["id"]],
            last_words=_last_words(row),
            conversation_id=row["conversation_id"],
            conversations=row["conversations"],
            met_at=row["met_at"],
        )
        for row in shown
        if row["id"] in companions  # else it was deleted in between
    ]
    following = TimeCursor(shown[-1]["met_at"], shown[-1]["id"]) if len(rows) > limit else None
    return cards, following


async def names(*, user_id: UUID, limit: int) -> list[tuple[UUID, str]]:
    """Return the ids and names of up to ``limit`` of the owner's companions, the newest first."""
    sql = "SELECT id, name FROM companions WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2"
    async with ENGINE.connection() as connection:
        return [(row["id"], row["name"]) for row in await connection.fetch(sql, user_id, limit)]


def _last_words(row: Record) -> LastWords | None:
    if row["excerpt"] is None:
        return None
    excerpt: str = row["excerpt"]
    if len(excerpt) > EXCERPT:
        excerpt = f"{excerpt[:EXCERPT].rstrip()}…"
    return LastWords(content=excerpt, role=row["role"], said_at=row["said_at"])
