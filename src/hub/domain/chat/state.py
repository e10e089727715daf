"""Where a conversation stands, read at one instant: what its subscribers are told from."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from asyncpg import Record
from msgspec import Struct

from hub.db.engine import ENGINE
from hub.domain.chat.queries import response_of
from hub.domain.chat.schemas import Message, Response
from hub.domain.images import queries as images
from hub.domain.images.schemas import Image


class ConversationState(Struct, frozen=True, kw_only=True):
    """Where a conversation stands: messages after a position, and the responses asked about or under way."""

    messages: list[Message]
    responses: list[Response]


# One statement, so that a completed response is never seen without its message or the other way round.
# Which responses is asked in three arms, each with an index of its own.
_STATE = """
WITH news AS (
    SELECT id, conversation_id, position, role, content, response_id, created_at, image_id
    FROM messages WHERE conversation_id = $1 AND position > $2 ORDER BY position LIMIT $4
), told AS (
    SELECT id FROM responses
    WHERE conversation_id = $1 AND (status IN ('queued', 'in_progress') OR id = ANY($3))
    UNION SELECT response_id FROM news WHERE $5 AND response_id IS NOT NULL
    UNION SELECT responses.id FROM news JOIN responses ON request_message_id = news.id WHERE $5
)
(SELECT true AS is_message, id, conversation_id, position, role, content AS text, response_id AS other_id,
    created_at, NULL AS status, NULL AS attempt, NULL AS error_code, NULL AS error_message, NULL AS usage,
    NULL AS completed_at, image_id
FROM news ORDER BY position)
UNION ALL
(SELECT false, id, conversation_id, NULL, NULL, output_text, message_id,
    created_at, status, attempt, error_code, error_message, usage, completed_at, NULL
FROM responses JOIN told USING (id) ORDER BY created_at, id)
"""


async def read_state(
    conversation_id: UUID, *, after: int, response_ids: list[UUID], with_ended: bool, limit: int
) -> ConversationState:
    """Read what is new for a subscriber.

    Args:
        conversation_id: whose state.
        after: position of the last message that the subscriber has.
        response_ids: responses to return whatever their status.
        with_ended: return the responses of new messages too, also those that have ended.
        limit: most messages returned.
    """
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_STATE, conversation_id, after, response_ids, limit, with_ended)
    pictures = await images.by_ids(ids) if (ids := {row["image_id"] for row in rows} - {None}) else {}
    return ConversationState(
        messages=[_message_of_state(row, pictures) for row in rows if row["is_message"]],
        responses=[_response_of_state(row) for row in rows if not row["is_message"]],
    )


def _message_of_state(row: Record, pictures: Mapping[UUID, Image]) -> Message:
    return Message(
        row["id"],
        row["conversation_id"],
        row["position"],
        row["role"],
        row["text"],
        row["other_id"],
        row["created_at"],
        pictures.get(row["image_id"]),
    )


def _response_of_state(row: Record) -> Response:
    return response_of({**row, "output_text": row["text"], "message_id": row["other_id"]})
