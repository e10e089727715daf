"""The end of a turn that went well, in the rows; within a transaction of the caller."""

from __future__ import annotations

from uuid import UUID

import msgspec

from hub.db.engine import ENGINE
from hub.domain.chat import changes
from hub.domain.chat.turn import Turn
from hub.jobs import store
from hub.providers.llm.protocol import Usage

_STORE_REPLY = f"""
WITH job AS ({store.completion()}), conversation AS (
    UPDATE conversations SET last_position = last_position + 1, updated_at = now()
    FROM job WHERE id = $3 RETURNING id, last_position
), response AS (
    UPDATE responses SET status = 'completed', output_text = $6, message_id = $5, usage = $7,
        completed_at = now()
    FROM job WHERE id = $4 AND attempt = $2 AND status = 'in_progress' RETURNING id
)
INSERT INTO messages (id, conversation_id, position, role, content, response_id)
SELECT $5, conversation.id, last_position, 'assistant', $6, response.id FROM conversation, response
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
    revision = await changes.next_revision(turn.conversation_id)
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
    rewritten = changes.Rewritten(
        message_id=message_id,
        response_id=turn.response_id,
        content=text,
        keeps_image=turn.kind == "continue",
    )
    return bool(status == "UPDATE 1") and await changes.rewrite(rewritten, revision=revision)
