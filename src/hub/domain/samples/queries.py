"""Reading and writing of what only samples need."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from hub.core.ids import id_of
from hub.db.engine import ENGINE
from hub.domain.samples.schemas import Standing, Talk

_MESSAGE = ("id", "conversation_id", "user_id", "position", "role", "content", "created_at")


async def keys_of(user_id: UUID) -> dict[str, UUID]:
    """Return the ids of a user's samples by their keys."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "SELECT sample, id FROM companions WHERE user_id = $1 AND sample IS NOT NULL", user_id
        )
    return {row["sample"]: row["id"] for row in rows}


async def insert_talk(talk: Talk, companion_id: UUID, *, user_id: UUID, moments: Sequence[datetime]) -> None:
    """Store a conversation that has taken place; ``moments`` are those of its messages."""
    conversation_id = id_of(moments[0])
    messages = [
        (id_of(moment), conversation_id, user_id, position, said.role, said.content, moment)
        for position, (said, moment) in enumerate(zip(talk.messages, moments, strict=True), start=1)
    ]
    async with ENGINE.connection() as connection:
        await connection.execute(
            "INSERT INTO conversations (id, user_id, companion_id, title, last_position, created_at,"
            " updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            conversation_id,
            user_id,
            companion_id,
            talk.title,
            len(messages),
            moments[0],
            moments[-1],
        )
        await connection.copy_records_to_table("messages", records=messages, columns=_MESSAGE)


class Lacking(Struct, frozen=True):
    """A sample without its portrait, or without the picture of its talk, whose message is ``message_id``."""

    key: str
    companion_id: UUID
    has_portrait: bool
    message_id: UUID | None


_LACKING = """
SELECT sample, companions.id, portraits.id IS NOT NULL AS has_portrait, messages.id AS message_id
FROM unnest($2::text[], $3::int[]) AS wanted (key, position)
JOIN companions ON companions.user_id = $1 AND sample = wanted.key
LEFT JOIN images AS portraits ON portraits.companion_id = companions.id AND portraits.kind = 'header'
LEFT JOIN LATERAL (
    SELECT id FROM conversations WHERE companion_id = companions.id ORDER BY created_at, id LIMIT 1
) AS talk ON true
LEFT JOIN messages ON conversation_id = talk.id AND messages.position = wanted.position
    AND role = 'assistant' AND response_id IS NULL AND image_id IS NULL
WHERE portraits.id IS NULL OR messages.id IS NOT NULL
"""


async def lacking(user_id: UUID, *, keys: Sequence[str], positions: Sequence[int]) -> list[Lacking]:
    """Return those of a user's samples that lack a picture.

    Args:
        user_id: whose.
        keys: the samples.
        positions: those of the messages that have a picture, likewise.
    """
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_LACKING, user_id, list(keys), list(positions))
    return [Lacking(row["sample"], row["id"], row["has_portrait"], row["message_id"]) for row in rows]


async def attach(message_id: UUID, image_id: UUID) -> bool:
    """Have a picture go with a message; False when one does already, or the message is gone."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "UPDATE messages SET image_id = $2 WHERE id = $1 AND image_id IS NULL", message_id, image_id
        )
    return bool(status == "UPDATE 1")


async def standing(user_id: UUID) -> Standing:
    """Return how many samples a user has, and how many messages of their own are in talks with them."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            # What the samples brought along is older than they are.
            "SELECT count(DISTINCT companions.id) AS companions, count(messages.id) AS messages"
            " FROM companions LEFT JOIN conversations ON companion_id = companions.id"
            " LEFT JOIN messages ON conversation_id = conversations.id AND role = 'user'"
            " AND messages.created_at > companions.created_at"
            " WHERE companions.user_id = $1 AND sample IS NOT NULL",
            user_id,
        )
    return Standing(companions=row["companions"], messages=row["messages"])
