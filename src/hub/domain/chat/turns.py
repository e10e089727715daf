"""A turn from the worker's side: begin an attempt, save what is said, end it. All through the fence.

The fence is the job's attempt: :func:`begin` writes it into the response, and every later write checks it.
A write that finds another attempt, or a response that has ended, changes nothing and says so.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec
from asyncpg import Record
from msgspec import Struct

from hub.core.clock import utc_now
from hub.core.ids import new_id
from hub.db.engine import ENGINE
from hub.domain.chat.prompt import Persona
from hub.domain.companions.schemas import Scene
from hub.jobs import store
from hub.jobs.contracts import Claim, JobKind, JobStatus, Rescued
from hub.providers.llm.protocol import ChatMessage, Usage

#: Messages read for the prompt; more would not fit any context that a chat needs.
HISTORY_LIMIT = 200


class TurnLostError(Exception):
    """The job is another worker's now, or was cancelled, or its conversation is gone: write nothing more."""


class Turn(Struct, frozen=True, kw_only=True):
    """What a worker needs to know to write a reply.

    ``talk`` ends with the message to answer and begins with the one at ``first_position``.
    """

    claim: Claim
    response_id: UUID
    conversation_id: UUID
    companion_id: UUID
    waited: timedelta
    persona: Persona
    talk: list[ChatMessage]
    first_position: int


_BEGIN = """
UPDATE responses SET status = 'in_progress', attempt = $2, output_text = ''
FROM messages, conversations, companions, users
WHERE responses.id = $1 AND responses.status IN ('queued', 'in_progress') AND responses.attempt <= $2
AND messages.id = request_message_id AND conversations.id = responses.conversation_id
AND companions.id = companion_id AND users.id = conversations.user_id
RETURNING responses.conversation_id, companion_id, messages.position, users.display_name, companions.name,
    description, appearance, user_appearance, outfit, location, action, expression
"""

# Of what stands behind the message to answer, only replies to messages before it belong to its talk: people
# may send several messages before the first reply. Two simple arms, since an OR would scan whole tables.
_TALK = """
(SELECT position, role, content FROM messages WHERE conversation_id = $1 AND position <= $2
ORDER BY position DESC LIMIT $3)
UNION ALL
(SELECT late.position, late.role, late.content FROM messages AS late
JOIN responses ON responses.id = late.response_id JOIN messages AS request ON request.id = request_message_id
WHERE late.conversation_id = $1 AND late.position > $2 AND request.position < $2
ORDER BY late.position DESC LIMIT $3)
"""


async def begin(claim: Claim) -> Turn:
    """Begin an attempt: the response is in progress, with an empty text.

    Raises:
        TurnLostError: the response has ended or is gone.
    """
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_BEGIN, claim.subject_id, claim.attempt)
        if row is None:
            raise TurnLostError
        messages = await connection.fetch(_TALK, row["conversation_id"], row["position"], HISTORY_LIMIT)
    return Turn(
        claim=claim,
        response_id=claim.subject_id,
        conversation_id=row["conversation_id"],
        companion_id=row["companion_id"],
        waited=utc_now() - claim.created_at,
        persona=Persona(
            name=row["name"],
            description=row["description"],
            appearance=row["appearance"],
            user_appearance=row["user_appearance"],
            user_name=row["display_name"],
            scene=Scene(
                outfit=row["outfit"],
                location=row["location"],
                action=row["action"],
                expression=row["expression"],
            ),
        ),
        talk=_talk(messages, row["position"]),
        first_position=min(each["position"] for each in messages),
    )


def _talk(messages: list[Record], request_position: int) -> list[ChatMessage]:
    """Put the talk in order, the message to answer last wherever it stands."""
    messages.sort(key=lambda each: (each["position"] == request_position, each["position"]))
    return [ChatMessage(role=each["role"], content=each["content"]) for each in messages]


async def save(turn: Turn, text: str) -> bool:
    """Store the text so far; False when the turn is lost."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "UPDATE responses SET output_text = $3 WHERE id = $1 AND attempt = $2 AND status = 'in_progress'",
            turn.response_id,
            turn.claim.attempt,
            text,
        )
    return bool(status == "UPDATE 1")


async def keep(turn: Turn, text: str) -> None:
    """Store what was said of a cancelled turn beyond its last save; of a turn lost otherwise, nothing."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE responses SET output_text = $3 WHERE id = $1 AND attempt = $2 AND status = 'cancelled'"
            " AND length(output_text) < length($3)",
            turn.response_id,
            turn.claim.attempt,
            text,
        )


_COMPLETE = """
WITH conversation AS (
    UPDATE conversations SET last_position = last_position + 1, updated_at = now()
    WHERE id = $1 RETURNING id, last_position
), response AS (
    UPDATE responses SET status = 'completed', output_text = $5, message_id = $4, usage = $6,
        completed_at = now()
    WHERE id = $2 AND attempt = $3 AND status = 'in_progress' RETURNING id
)
INSERT INTO messages (id, conversation_id, position, role, content, response_id)
SELECT $4, conversation.id, last_position, 'assistant', $5, response.id FROM conversation, response
"""


async def complete(turn: Turn, text: str, usage: Usage | None) -> None:
    """End the turn well: job, response and the companion's message, all or nothing.

    Raises:
        TurnLostError: somebody else ended it first.
    """
    async with ENGINE.transaction():
        if not await store.complete(turn.claim):
            raise TurnLostError
        async with ENGINE.connection() as connection:
            status = await connection.execute(
                _COMPLETE,
                turn.conversation_id,
                turn.response_id,
                turn.claim.attempt,
                new_id(),
                text,
                msgspec.json.encode(usage).decode() if usage else None,
            )
        if status != "INSERT 0 1":
            raise TurnLostError


async def fail(turn: Turn, *, code: str, message: str) -> None:
    """End the turn with an error that its user can read; what was said so far stays.

    Raises:
        TurnLostError: somebody else ended it first.
    """
    async with ENGINE.transaction():
        if not await store.fail(turn.claim, code=code, message=message):
            raise TurnLostError
        await _end_response(turn.response_id, code=code, message=message)


async def retry_later(turn: Turn, *, retry_after: float | None) -> float:
    """Give the turn back for a later attempt; the text of this one is dropped.

    Returns:
        Seconds until it is due.

    Raises:
        TurnLostError: somebody else ended it first.
    """
    async with ENGINE.transaction():
        pause = await store.retry_later(turn.claim, retry_after=retry_after)
        if pause is None:
            raise TurnLostError
        await _requeue_response(turn.response_id)
    return pause


async def release(turn: Turn) -> None:
    """Hand the turn over at shutdown; another worker begins it afresh at once.

    Raises:
        TurnLostError: somebody else ended it first.
    """
    async with ENGINE.transaction():
        if not await store.release(turn.claim):
            raise TurnLostError
        await _requeue_response(turn.response_id)


async def rescue(*, everything: bool = False) -> list[tuple[UUID, UUID]]:
    """Take back turns whose worker fell silent.

    Args:
        everything: take back every running one; only for a start at which no worker can be alive.

    Returns:
        (conversation id, response id) of each, for whoever tells the subscribers.
    """
    async with ENGINE.transaction():
        rescued = [each for each in await store.rescue(everything=everything) if each.kind == JobKind.REPLY]
        return [pair for each in rescued if (pair := await _settle(each))]


async def _settle(rescued: Rescued) -> tuple[UUID, UUID] | None:
    if rescued.status == JobStatus.QUEUED:
        conversation_id = await _requeue_response(rescued.subject_id)
    else:
        conversation_id = await _end_response(
            rescued.subject_id,
            code="worker_lost",
            message="The reply was interrupted several times. Try again.",
        )
    return (conversation_id, rescued.subject_id) if conversation_id else None


async def _end_response(response_id: UUID, *, code: str, message: str) -> UUID | None:
    async with ENGINE.connection() as connection:
        conversation_id: UUID | None = await connection.fetchval(
            "UPDATE responses SET status = 'failed', error_code = $2, error_message = $3,"
            " completed_at = now() WHERE id = $1 AND status IN ('queued', 'in_progress')"
            " RETURNING conversation_id",
            response_id,
            code,
            message,
        )
    return conversation_id


async def _requeue_response(response_id: UUID) -> UUID | None:
    async with ENGINE.connection() as connection:
        conversation_id: UUID | None = await connection.fetchval(
            "UPDATE responses SET status = 'queued', output_text = ''"
            " WHERE id = $1 AND status IN ('queued', 'in_progress') RETURNING conversation_id",
            response_id,
        )
    return conversation_id
