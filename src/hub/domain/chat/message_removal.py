"""Taking single messages out of a conversation: what goes with them, and what stays behind.

What goes: the responses to a message and those that wrote it or change it, their jobs under way (replies,
readings of the scene, pictures to be painted), and its part in the scene. Painted pictures stay in the
gallery. A reply stays when only the message goes that it answers: from then on it answers nobody's.
"""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from hub.db.engine import ENGINE


class Doomed(Struct, frozen=True, kw_only=True):
    """Messages that are to go, with the responses that go along and the jobs of those that are under way."""

    message_ids: list[UUID]
    response_ids: list[UUID]
    job_ids: list[UUID]


class Place(Struct, frozen=True):
    """Where a message stands."""

    conversation_id: UUID
    companion_id: UUID
    position: int


async def place_of(message_id: UUID, *, user_id: UUID) -> Place | None:
    """Return where the owner's message stands, or None."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT conversation_id, companion_id, position FROM messages"
            " JOIN conversations ON conversations.id = conversation_id"
            " WHERE messages.id = $1 AND conversations.user_id = $2",
            message_id,
            user_id,
        )
    return Place(*row) if row else None


# The message that keeps a response though the one that it answers goes.
_STAYS_WITH = "COALESCE(message_id, CASE WHEN kind = 'continue' THEN target_message_id END)"
# A response goes with the message that it became or changes, and, if it became none that stays, with the one
# that it answers. Arms, since each of them has an index.
_DOOMED = f"""
WITH doomed AS (
    SELECT id, response_id FROM messages
    WHERE conversation_id = $1 AND position >= $2 AND ($3 OR position = $2)
), along AS (
    SELECT response_id AS id FROM doomed WHERE response_id IS NOT NULL
    UNION SELECT kept.response_id FROM message_alternatives AS kept JOIN doomed ON message_id = doomed.id
        WHERE kept.response_id IS NOT NULL
    UNION SELECT responses.id FROM responses JOIN doomed ON target_message_id = doomed.id
    UNION SELECT responses.id FROM responses JOIN doomed ON request_message_id = doomed.id
        LEFT JOIN messages AS became ON became.id = {_STAYS_WITH}
        WHERE became.id IS NULL OR became.id IN (SELECT id FROM doomed)
), work AS (
    SELECT jobs.id FROM jobs JOIN along ON subject_id = along.id WHERE status IN ('queued', 'in_progress')
    UNION SELECT jobs.id FROM image_requests JOIN along ON response_id = along.id
        JOIN jobs ON jobs.id = image_requests.id WHERE status IN ('queued', 'in_progress')
)
SELECT (SELECT array_agg(id) FROM doomed) AS message_ids, (SELECT array_agg(id) FROM along) AS response_ids,
    (SELECT array_agg(id) FROM work) AS job_ids
"""  # noqa: S608 - a constant


async def doomed(place: Place, *, following: bool) -> Doomed:
    """Return what goes with a message, and with ``following`` everything behind it."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_DOOMED, place.conversation_id, place.position, following)
    return Doomed(
        message_ids=row["message_ids"] or [],
        response_ids=row["response_ids"] or [],
        job_ids=row["job_ids"] or [],
    )


async def remove(doomed: Doomed) -> None:
    """Remove messages and what goes along, within a transaction of the caller that has them locked."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE idempotency_keys SET response_id = NULL"
            " WHERE message_id IN (SELECT request_message_id FROM responses WHERE id = ANY($1))"
            " AND response_id = ANY($1)",
            doomed.response_ids,
        )
        await connection.execute("DELETE FROM responses WHERE id = ANY($1)", doomed.response_ids)
        await connection.execute(
            f"UPDATE responses SET request_message_id = {_STAYS_WITH}"  # noqa: S608 - a constant
            " WHERE request_message_id = ANY($1)",
            doomed.message_ids,
        )
        await connection.execute("DELETE FROM messages WHERE id = ANY($1)", doomed.message_ids)
