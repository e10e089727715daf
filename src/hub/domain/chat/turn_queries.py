"""Reading and writing of the rows of a turn, for :mod:`hub.domain.chat.turns`: its claim, and its ends.

What ends one is within a transaction of the caller.
"""

from __future__ import annotations

from uuid import UUID

import msgspec
from asyncpg import Record

from hub.core.clock import utc_now
from hub.db.engine import ENGINE
from hub.domain.chat import message_changes
from hub.domain.chat.prompt import Persona
from hub.domain.chat.turn_schemas import Turn
from hub.domain.scenes import queries as scenes
from hub.domain.scenes.schemas import Scene
from hub.jobs import store
from hub.jobs.contracts import Claim
from hub.providers.llm.protocol import ChatMessage, Usage

#: Messages read for the prompt; more would not fit any context that a chat needs.
HISTORY_LIMIT = 200

# One statement, so that there is one commit before the model is asked. Its snapshot is the claim's: when no
# job is ahead in the lane, the replies of those that were are seen.
#
# The talk ends with the message to answer, or with the one to continue. Of what stands behind it, only
# replies to messages before it belong to its talk: people may send several messages before the first reply.
# Two simple arms, since an OR would scan whole tables.
_CLAIM = f"""
WITH claimed AS ({store.CLAIM}), begun AS (
    UPDATE responses SET status = 'in_progress', attempt = claimed.attempt,
        output_text = CASE WHEN responses.kind = 'continue' THEN messages.content ELSE '' END
    FROM claimed, messages, conversations, companions, users, {scenes.SETTING}
    WHERE responses.id = claimed.subject_id AND responses.status IN ('queued', 'in_progress')
    AND responses.attempt <= claimed.attempt AND messages.id =
        CASE WHEN responses.kind = 'continue' THEN target_message_id ELSE request_message_id END
    AND conversations.id = responses.conversation_id AND companions.id = companion_id
    AND users.id = conversations.user_id
    RETURNING responses.conversation_id, companion_id, responses.created_at AS asked_at,
        companions.updated_at AS companion_updated_at,
        messages.position AS end_position, generate_image, responses.kind AS response_kind,
        target_message_id, output_text AS prefix,
        users.display_name, companions.name, description, appearance, user_appearance, setting.*
)
SELECT claimed.*, begun.*, talk.* FROM claimed LEFT JOIN begun ON true LEFT JOIN LATERAL (
    SELECT array_agg(position) AS positions, array_agg(role) AS roles, array_agg(content) AS contents FROM (
        (SELECT position, role, content FROM messages
        WHERE conversation_id = begun.conversation_id AND position <= end_position
        ORDER BY position DESC LIMIT $6)
        UNION ALL
        (SELECT late.position, late.role, late.content FROM messages AS late
        JOIN responses ON responses.id = late.response_id
        JOIN messages AS request ON request.id = request_message_id
        WHERE late.conversation_id = begun.conversation_id AND late.position > end_position
        AND request.position < end_position AND late.id IS DISTINCT FROM begun.target_message_id
        ORDER BY late.position DESC LIMIT $6)
    ) AS newest
) AS talk ON true
"""  # noqa: S608 - a constant


async def claim(job_id: UUID, *, worker: str, cap: int | None) -> Record | None:
    """Claim a job, begin its response and read what the turn needs; None when the job cannot be had.

    Where the response is gone or has ended, the row has only the claim.
    """
    return await store.claim(_CLAIM, job_id, HISTORY_LIMIT, worker=worker, cap=cap)


def turn_of(held: Claim, row: Record, scene: Scene) -> Turn:
    """Make the turn that a row of :func:`claim` is about."""
    return Turn(
        claim=held,
        response_id=held.subject_id,
        conversation_id=row["conversation_id"],
        companion_id=row["companion_id"],
        companion_updated_at=row["companion_updated_at"],
        asked_at=row["asked_at"],
        waited=utc_now() - held.created_at,
        persona=Persona.of(row, scene),
        talk=_talk(row),
        first_position=min(row["positions"]),
        generate_image=row["generate_image"],
        kind=row["response_kind"],
        target_message_id=row["target_message_id"],
        prefix=row["prefix"],
    )


def _talk(row: Record) -> list[ChatMessage]:
    """Put the talk in order, the message at its end last wherever it stands."""
    messages = sorted(
        zip(row["positions"], row["roles"], row["contents"], strict=True),
        key=lambda each: (each[0] == row["end_position"], each[0]),
    )
    return [ChatMessage(role=role, content=content) for _, role, content in messages]


_STORE_REPLY = f"""
WITH job AS ({store.completion()}), conversation AS (
    UPDATE conversations SET last_position = last_position + 1, updated_at = now()
    FROM job WHERE id = $3 RETURNING id, last_position, conversations.user_id
), response AS (
    UPDATE responses SET status = 'completed', output_text = $6, message_id = $5, usage = $7,
        completed_at = now()
    FROM job WHERE id = $4 AND attempt = $2 AND status = 'in_progress' RETURNING id
)
INSERT INTO messages (id, conversation_id, user_id, position, role, content, response_id)
SELECT $5, conversation.id, user_id, last_position, 'assistant', $6, response.id FROM conversation, response
"""  # noqa: S608 - a constant


async def store_reply(turn: Turn, message_id: UUID, text: str, usage: Usage | None) -> bool:
    """End job and response, and add the message; False when the turn is lost, and then to be rolled back."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            _STORE_REPLY,
            turn.claim.job_id,
            turn.claim.attempt,
            turn.conversation_id,
            turn.response_id,
            message_id,
            text,
            msgspec.json.encode(usage).decode() if usage else None,
        )
    return bool(status == "INSERT 0 1")


async def store_rewritten(turn: Turn, message_id: UUID, text: str, usage: Usage | None) -> bool:
    """End job and response, and let the message say this; False when the turn is lost, as above.

    The conversation is locked before the response and the message, as by everybody else.
    """
    if not await store.complete(turn.claim):
        return False
    revision = await message_changes.next_revision(turn.conversation_id)
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "UPDATE responses SET status = 'completed', output_text = $3, message_id = $4, usage = $5,"
            " revision = $6, completed_at = now() WHERE id = $1 AND attempt = $2 AND status = 'in_progress'",
            turn.response_id,
            turn.claim.attempt,
            text,
            message_id,
            msgspec.json.encode(usage).decode() if usage else None,
            revision,
        )
    rewritten = message_changes.Rewritten(
        message_id=message_id,
        response_id=turn.response_id,
        content=text,
        keeps_image=turn.kind == "continue",
    )
    return bool(status == "UPDATE 1") and await message_changes.rewrite(rewritten, revision=revision)


async def end_response(response_id: UUID, *, code: str, message: str, text: str | None = None) -> UUID | None:
    """Fail a response that has not ended; return its conversation, or None."""
    async with ENGINE.connection() as connection:
        conversation_id: UUID | None = await connection.fetchval(
            "UPDATE responses SET status = 'failed', error_code = $2, error_message = $3,"
            " output_text = COALESCE($4, output_text), completed_at = now()"
            " WHERE id = $1 AND status IN ('queued', 'in_progress')"
            " RETURNING conversation_id",
            response_id,
            code,
            message,
            text,
        )
    return conversation_id


async def requeue_response(response_id: UUID) -> UUID | None:
    """Queue a response that has not ended, without its text; return its conversation, or None."""
    async with ENGINE.connection() as connection:
        conversation_id: UUID | None = await connection.fetchval(
            "UPDATE responses SET status = 'queued', output_text = ''"
            " WHERE id = $1 AND status IN ('queued', 'in_progress') RETURNING conversation_id",
            response_id,
        )
    return conversation_id
