"""Reading and writing of messages that change after they were said, and of their alternatives.

Whoever changes one locks its conversation first, and gives the change the conversation's next revision, by
which subscribers find it.
"""

from __future__ import annotations

from uuid import UUID

from asyncpg import Record
from msgspec import Struct

from hub.core.ids import new_id
from hub.db.engine import ENGINE
from hub.domain.chat import message_queries
from hub.domain.chat.schemas import Alternative, Message
from hub.domain.images import queries as images


async def get(message_id: UUID, *, user_id: UUID) -> Message | None:
    """Return the owner's message, or None."""
    columns = ", ".join(f"messages.{name.strip()}" for name in message_queries.MESSAGE.split(","))
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT {columns} FROM messages JOIN conversations ON conversations.id = conversation_id"  # noqa: S608 - a constant
            " WHERE messages.id = $1 AND conversations.user_id = $2",
            message_id,
            user_id,
        )
    return (await message_queries.messages_of([row]))[0] if row else None


# Writing, each within a transaction of the caller


async def lock_conversation_of(message_id: UUID, *, user_id: UUID) -> UUID | None:
    """Keep everybody else from changing the conversation of the owner's message; return its id, or None."""
    async with ENGINE.connection() as connection:
        conversation_id: UUID | None = await connection.fetchval(
            "SELECT conversations.id FROM messages JOIN conversations ON conversations.id = conversation_id"
            " WHERE messages.id = $1 AND conversations.user_id = $2 FOR NO KEY UPDATE OF conversations",
            message_id,
            user_id,
        )
    return conversation_id


async def next_revision(conversation_id: UUID) -> int:
    """Count one more change in a conversation and return its number."""
    async with ENGINE.connection() as connection:
        revision: int = await connection.fetchval(
            "UPDATE conversations SET revision = revision + 1, updated_at = now() WHERE id = $1"
            " RETURNING revision",
            conversation_id,
        )
    return revision


_EDIT = """
WITH message AS (
    UPDATE messages SET content = $2, revision = $3, edited_at = now() WHERE id = $1
    RETURNING id, alternative
)
UPDATE message_alternatives SET content = $2 FROM message WHERE message_id = message.id
AND number = alternative
"""


async def edit(message_id: UUID, content: str, *, revision: int) -> None:
    """Change what a message says, in the alternative that is shown."""
    async with ENGINE.connection() as connection:
        await connection.execute(_EDIT, message_id, content, revision)


_CHOOSE = """
UPDATE messages SET alternative = number, content = chosen.content, response_id = chosen.response_id,
    image_id = chosen.image_id, revision = $3
FROM message_alternatives AS chosen WHERE messages.id = $1 AND message_id = $1 AND number = $2
"""


async def choose(message_id: UUID, number: int, *, revision: int) -> None:
    """Show another one of the alternatives."""
    async with ENGINE.connection() as connection:
        await connection.execute(_CHOOSE, message_id, number, revision)


class Rewritten(Struct, frozen=True, kw_only=True):
    """What a response made of a message; ``keeps_image``: the picture still goes with it."""

    message_id: UUID
    response_id: UUID
    content: str
    keeps_image: bool


_KEEP_FIRST = """
INSERT INTO message_alternatives (id, message_id, number, content, response_id, image_id, created_at)
SELECT $2, id, 1, content, response_id, image_id, created_at FROM messages WHERE id = $1
ON CONFLICT (message_id, number) DO NOTHING
"""
_ADD = """
WITH message AS (
    UPDATE messages SET content = $4, response_id = $3, image_id = CASE WHEN $5 THEN image_id END,
        alternatives = alternatives + 1, alternative = alternatives + 1, revision = $6
    WHERE id = $1 RETURNING id, alternative, image_id
)
INSERT INTO message_alternatives (id, message_id, number, content, response_id, image_id)
SELECT $2, id, alternative, $4, $3, image_id FROM message
"""


async def rewrite(rewritten: Rewritten, *, revision: int) -> bool:
    """Show a new text of a message, and keep those before as alternatives; False when it is gone."""
    message_id = rewritten.message_id
    async with ENGINE.connection() as connection:
        await connection.execute(_KEEP_FIRST, message_id, new_id())
        status = await connection.execute(
            _ADD,
            message_id,
            new_id(),
            rewritten.response_id,
            rewritten.content,
            rewritten.keeps_image,
            revision,
        )
    return bool(status == "INSERT 0 1")


_SET_IMAGE = """
WITH conversation AS (
    UPDATE conversations SET revision = revision + 1, updated_at = now()
    WHERE id = $1 AND EXISTS (SELECT FROM messages WHERE response_id = $2) RETURNING revision
), message AS (
    UPDATE messages SET image_id = $3, revision = conversation.revision FROM conversation
    WHERE response_id = $2
)
UPDATE message_alternatives SET image_id = $3 WHERE response_id = $2
"""


async def set_image(conversation_id: UUID, response_id: UUID, image_id: UUID) -> None:
    """Let a picture go with the text that a response became, whether its message shows that just now or not.

    The conversation is locked by a statement of its own: what was changed before is seen by the next one.
    """
    async with ENGINE.connection() as connection:
        await connection.execute("SELECT FROM conversations WHERE id = $1 FOR NO KEY UPDATE", conversation_id)
        await connection.execute(_SET_IMAGE, conversation_id, response_id, image_id)


# Alternatives

_ALTERNATIVES = """
SELECT number, message_alternatives.content, message_alternatives.response_id, message_alternatives.image_id,
    message_alternatives.created_at, number = alternative AS chosen
FROM message_alternatives JOIN messages ON messages.id = message_id
WHERE message_id = $1 AND number > $2 ORDER BY number LIMIT $3
"""


async def alternatives(message_id: UUID, *, after: int, limit: int) -> list[Alternative]:
    """Return up to ``limit`` of the alternatives that a message has rows of, behind a number."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_ALTERNATIVES, message_id, after, limit)
    ids = {row["image_id"] for row in rows if row["image_id"]}
    pictures = await images.by_ids(ids) if ids else {}

    def made(row: Record) -> Alternative:
        picture = pictures.get(row["image_id"])
        values = {name: row[name] for name in ("number", "content", "response_id", "created_at", "chosen")}
        return Alternative(image=picture, **values)

    return [made(row) for row in rows]
