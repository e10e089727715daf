"""Reading of messages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from asyncpg import Record
from msgspec import Struct

from hub.db.engine import ENGINE
from hub.domain.chat.schemas import Message
from hub.domain.images import queries as images
from hub.domain.images.schemas import Image

#: The columns of a message, in the order of :class:`Message`, its picture as an id.
MESSAGE = (
    "id, conversation_id, position, role, content, response_id, created_at, image_id, alternative,"
    " alternatives, edited_at"
)
_IMAGE = 7

_HISTORY = f"""
SELECT {MESSAGE} FROM messages WHERE conversation_id = $1 AND position < $2
ORDER BY position DESC LIMIT $3
"""  # noqa: S608 - a constant

# Looks at the first message or two of each, however long they are.
_FIRST_WORDS = """
SELECT asked.id, first.words FROM unnest($1::uuid[]) AS asked (id)
CROSS JOIN LATERAL (
    SELECT left(content, $2) AS words FROM messages
    WHERE conversation_id = asked.id AND role = 'user' ORDER BY position LIMIT 1
) AS first
"""


async def history(conversation_id: UUID, *, before: int, limit: int) -> list[Message]:
    """Return up to ``limit`` messages before a position, the newest first."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_HISTORY, conversation_id, before, limit)
    return await messages_of(rows)


async def messages_of(rows: Sequence[Record]) -> list[Message]:
    """Make messages of rows that have the columns of ``MESSAGE``."""
    if not any(row[_IMAGE] for row in rows):
        return [Message(*row) for row in rows]  # where the picture stands, there is null in all of them
    pictures = await images.by_ids({row[_IMAGE] for row in rows if row[_IMAGE]})
    return [_message(row, pictures) for row in rows]


def _message(row: Record, pictures: Mapping[UUID, Image]) -> Message:
    return Message(
        id=row["id"],
        conversation_id=row["conversation_id"],
        position=row["position"],
        role=row["role"],
        content=row["content"],
        response_id=row["response_id"],
        created_at=row["created_at"],
        image=pictures.get(row["image_id"]),
        alternative=row["alternative"],
        alternatives=row["alternatives"],
        edited_at=row["edited_at"],
    )


async def get_message(message_id: UUID) -> Message | None:
    """Return a message, or None when it is gone."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT {MESSAGE} FROM messages WHERE id = $1",  # noqa: S608 - a constant
            message_id,
        )
    return (await messages_of([row]))[0] if row else None


async def messages_by_id(message_ids: Collection[UUID]) -> dict[UUID, Message]:
    """Return those messages that exist, by id. The caller knows whose they are."""
    if not message_ids:
        return {}
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            f"SELECT {MESSAGE} FROM messages WHERE id = ANY($1)",  # noqa: S608 - a constant
            list(message_ids),
        )
    return {message.id: message for message in await messages_of(rows)}


class Spot(Struct, frozen=True):
    """Where a message stands."""

    conversation_id: UUID
    position: int


_SPOT = """
(SELECT conversation_id, position FROM messages WHERE image_id = $1)
UNION ALL (SELECT conversation_id, position FROM message_alternatives
    JOIN messages ON messages.id = message_id WHERE message_alternatives.image_id = $1)
LIMIT 1
"""


async def spot_of_picture(image_id: UUID) -> Spot | None:
    """Return where the message is that a picture goes with, if any. The caller knows whose it is."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_SPOT, image_id)
    return Spot(**row) if row else None


async def first_words(conversation_ids: Collection[UUID], *, length: int = 80) -> dict[UUID, str]:
    """Return how the user began each conversation in which they said something.

    The caller knows whose they are.

    Args:
        conversation_ids: which.
        length: how many characters at most.
    """
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_FIRST_WORDS, list(conversation_ids), length)
    return {row["id"]: " ".join(row["words"].split()) for row in rows}
