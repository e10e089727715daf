"""Where a talk ends: what a response that is asked for without a message answers or changes.

Everything here is within a transaction of the caller that has the conversation locked.
"""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from hub.db.engine import ENGINE
from hub.domain.chat.schemas import ResponseKind
from hub.jobs import store
from hub.jobs.contracts import NewJob


async def lock(conversation_id: UUID, *, user_id: UUID) -> UUID | None:
    """Keep everybody else from adding to the owner's conversation; return its companion's id, or None."""
    async with ENGINE.connection() as connection:
        companion_id: UUID | None = await connection.fetchval(
            "SELECT companion_id FROM conversations WHERE id = $1 AND user_id = $2 FOR NO KEY UPDATE",
            conversation_id,
            user_id,
        )
    return companion_id


async def has_response_under_way(conversation_id: UUID) -> bool:
    """Tell whether a response is queued or being written."""
    async with ENGINE.connection() as connection:
        return bool(
            await connection.fetchval(
                "SELECT EXISTS (SELECT FROM responses WHERE conversation_id = $1"
                " AND status IN ('queued', 'in_progress'))",
                conversation_id,
            )
        )


# An answer is a completed response, or, in a talk that comes from elsewhere, a message of the companion
# behind it that no response wrote.
_LAST_SAID = """
SELECT said.id, EXISTS (SELECT FROM responses WHERE request_message_id = said.id AND status = 'completed')
    OR EXISTS (SELECT FROM messages AS answer WHERE answer.conversation_id = $1
        AND answer.position > said.position AND role = 'assistant' AND response_id IS NULL) AS is_answered
FROM messages AS said WHERE conversation_id = $1 AND role = 'user' ORDER BY position DESC LIMIT 1
"""


async def unanswered(conversation_id: UUID) -> UUID | None:
    """Return the last message of the user, unless it has been answered."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_LAST_SAID, conversation_id)
    return row["id"] if row is not None and not row["is_answered"] else None


async def failed_reply(message_id: UUID) -> UUID | None:
    """Return the reply to a message that failed or was cancelled, if there is one."""
    async with ENGINE.connection() as connection:
        response_id: UUID | None = await connection.fetchval(
            "SELECT id FROM responses WHERE request_message_id = $1 AND kind = 'reply'"
            " AND status IN ('failed', 'cancelled')",
            message_id,
        )
    return response_id


class End(Struct, frozen=True):
    """The companion's message at the end of a talk, and the user's that it answers, if there is one."""

    message_id: UUID
    request_message_id: UUID | None


# What it answers is what its response answered; where nobody knows, what the user said last before it.
_END = """
SELECT ending.id, COALESCE(
    (SELECT request.id FROM responses JOIN messages AS request ON request.id = request_message_id
        WHERE responses.id = ending.response_id AND request.role = 'user'),
    (SELECT said.id FROM messages AS said WHERE said.conversation_id = $1 AND said.role = 'user'
        AND said.position < ending.position ORDER BY said.position DESC LIMIT 1)) AS request_message_id
FROM (SELECT id, position, role, response_id FROM messages WHERE conversation_id = $1
    ORDER BY position DESC LIMIT 1) AS ending WHERE role = 'assistant'
"""


async def end_of(conversation_id: UUID) -> End | None:
    """Return the end of a talk; None when it does not end with a message of the companion."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_END, conversation_id)
    return End(*row) if row else None


class NewResponse(Struct, frozen=True, kw_only=True):
    """A response to be stored, the subject of ``job``."""

    conversation_id: UUID
    kind: ResponseKind
    request_message_id: UUID
    target_message_id: UUID | None
    generate_image: bool
    job: NewJob


async def insert(new: NewResponse) -> None:
    """Store a queued response with its job."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "INSERT INTO responses"
            " (id, conversation_id, kind, request_message_id, target_message_id, generate_image, job_id)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            new.job.subject_id,
            new.conversation_id,
            new.kind,
            new.request_message_id,
            new.target_message_id,
            new.generate_image,
            new.job.id,
        )
    await store.insert(new.job)


# Whoever ends it just now is not waited for, since they may wait for the conversation.
_REQUEUE = """
UPDATE responses SET status = 'queued', job_id = $2, output_text = '', error_code = NULL,
    error_message = NULL, completed_at = NULL, generate_image = $3
WHERE id IN (SELECT id FROM responses WHERE id = $1 AND status IN ('failed', 'cancelled')
    FOR UPDATE SKIP LOCKED)
RETURNING attempt
"""


async def requeue(response_id: UUID, *, job_id: UUID, generate_image: bool) -> int | None:
    """Queue a reply once more; return its last attempt, or None if somebody else was faster."""
    async with ENGINE.connection() as connection:
        attempt: int | None = await connection.fetchval(_REQUEUE, response_id, job_id, generate_image)
    return attempt
