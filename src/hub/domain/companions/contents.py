"""What hangs on a companion, for those who are about to remove it."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from hub.db.engine import ENGINE


class Contents(Struct, frozen=True, kw_only=True):
    """How many conversations, messages and painted pictures there are."""

    conversations: int
    messages: int
    pictures: int


_COUNT = """
SELECT count(*) AS conversations,
    (SELECT count(*) FROM messages JOIN conversations ON conversations.id = conversation_id
        WHERE conversations.companion_id = $1 AND conversations.user_id = $2) AS messages,
    (SELECT count(*) FROM images WHERE companion_id = $1 AND user_id = $2 AND kind = 'generated') AS pictures
FROM conversations WHERE companion_id = $1 AND user_id = $2
"""


async def count(companion_id: UUID, *, user_id: UUID) -> Contents:
    """Count what hangs on the owner's companion; nothing where it is somebody else's."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_COUNT, companion_id, user_id)
    return Contents(**row)
