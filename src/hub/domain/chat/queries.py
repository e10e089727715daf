"""Reading and writing of conversations, messages and responses.

The reads and writes of a turn go straight through asyncpg: they are what a reply's time is made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from hub.core import tracing
from hub.core.pages import TimeCursor
from hub.db.engine import ENGINE
from hub.domain.chat.schemas import Conversation, Message, Response, ResponseError, Sent, Usage
from hub.domain.limits import queries as limits
from hub.domain.limits.queries import Count
from hub.domain.limits.service import Taking
from hub.jobs import store
from hub.jobs.contracts import NewJob

_CONVERSATION = "id, companion_id, title, last_position, created_at, updated_at, revision"
_RESPONSE = (
    "responses.id, responses.conversation_id, status, output_text, message_id, attempt, error_code,"
    " error_message, usage, responses.created_at, completed_at, responses.kind,"
    " (SELECT id FROM image_requests WHERE response_id = responses.id LIMIT 1) AS image_job_id"
)


def response_of(row: Mapping[str, Any]) -> Response:
    """Make a response of a row that has its columns."""
    code, usage = row["error_code"], row["usage"]
    return Response(
        id=row["id"],
        conversation_id=row["conversation_id"],
        status=row["status"],
        output_text=row["output_text"],
        message_id=row["message_id"],
        attempt=max(row["attempt"], 1),  # the first is on its way before it has begun
        error=ResponseError(code=code, message=row["error_message"]) if code else None,
        usage=msgspec.json.decode(usage, type=Usage) if usage else None,
        created_at=row["created_at"],
        completed_at=row["completed_at"],
        image_job_id=row["image_job_id"],
        kind=row["kind"],
    )


# Conversations


async def insert_conversation(
    conversation_id: UUID, *, user_id: UUID, companion_id: UUID, title: str
) -> bool:
    """Store a conversation with one of the user's companions; False when the companion is not theirs."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "INSERT INTO conversations (id, user_id, companion_id, title)"
            " SELECT $1, user_id, id, $4 FROM companions WHERE id = $2 AND user_id = $3 FOR KEY SHARE",
            conversation_id,
            companion_id,
            user_id,
            title,
        )
    return bool(status == "INSERT 0 1")


async def insert_greeting(message_id: UUID, conversation_id: UUID) -> None:
    """Let the companion speak first, if it has a greeting."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "WITH greeting AS (UPDATE conversations SET last_position = 1 FROM companions"
            " WHERE conversations.id = $2 AND companions.id = companion_id AND trim(greeting) <> ''"
            " RETURNING greeting)"
            " INSERT INTO messages (id, conversation_id, position, role, content)"
            " SELECT $1, $2, 1, 'assistant', greeting FROM greeting",
            message_id,
            conversation_id,
        )


async def get_conversation(conversation_id: UUID, *, user_id: UUID) -> Conversation | None:
    """Return the owner's conversation, or None."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT {_CONVERSATION} FROM conversations WHERE id = $1 AND user_id = $2",  # noqa: S608 - a constant
            conversation_id,
            user_id,
        )
    return Conversation(**row) if row else None


async def conversation_page(
    *, user_id: UUID, companion_id: UUID | None, limit: int, after: TimeCursor | None
) -> list[Conversation]:
    """Return up to ``limit`` of the owner's conversations, the newest first."""
    conditions, values = ["user_id = $1"], list[UUID | datetime]([user_id])
    if companion_id is not None:
        values.append(companion_id)
        conditions.append(f"companion_id = ${len(values)}")
    if after is not None:
        values += [after.created_at, after.id]
        conditions.append(f"(created_at, id) < (${len(values) - 1}, ${len(values)})")
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            f"SELECT {_CONVERSATION} FROM conversations WHERE {' AND '.join(conditions)}"  # noqa: S608 - constants
            f" ORDER BY created_at DESC, id DESC LIMIT {limit:d}",
            *values,
        )
    return [Conversation(**row) for row in rows]


async def rename_conversation(conversation_id: UUID, *, user_id: UUID, title: str) -> Conversation | None:
    """Change the title of the owner's conversation and return it, or None."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "UPDATE conversations SET title = $3, updated_at = now()"  # noqa: S608 - a constant
            f" WHERE id = $1 AND user_id = $2 RETURNING {_CONVERSATION}",
            conversation_id,
            user_id,
            title,
        )
    return Conversation(**row) if row else None


async def delete_conversation(conversation_id: UUID, *, user_id: UUID) -> bool:
    """Remove the owner's conversation with its messages; False when there is none."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "DELETE FROM conversations WHERE id = $1 AND user_id = $2", conversation_id, user_id
        )
    return bool(status == "DELETE 1")


async def conversations_of(companion_id: UUID) -> list[UUID]:
    """Return the ids of all conversations with a companion."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch("SELECT id FROM conversations WHERE companion_id = $1", companion_id)
    return [row["id"] for row in rows]


async def conversations_of_user(user_id: UUID) -> list[UUID]:
    """Return the ids of all conversations of a user."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch("SELECT id FROM conversations WHERE user_id = $1", user_id)
    return [row["id"] for row in rows]


async def lock_conversations(conversation_ids: list[UUID]) -> None:
    """Keep messages from coming to conversations that are about to go."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "SELECT FROM conversations WHERE id = ANY($1) ORDER BY id FOR UPDATE", conversation_ids
        )


async def begin_epoch(conversation_ids: list[UUID]) -> None:
    """Have everyone read these conversations anew who has seen messages that are about to go."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE conversations SET epoch = epoch + 1, revision = revision + 1,"
            " removed_revision = revision + 1, updated_at = now() WHERE id = ANY($1)",
            conversation_ids,
        )


async def delete_messages(conversation_ids: list[UUID]) -> int:
    """Remove all messages of conversations, with the responses to them; return how many."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "DELETE FROM messages WHERE conversation_id = ANY($1)", conversation_ids
        )
    return int(status.removeprefix("DELETE "))


# Messages

_MESSAGE_PARTS = """
conversation AS (
    UPDATE conversations SET last_position = last_position + 1, updated_at = now()
    {source} conversations.id = $1 AND user_id = $2 RETURNING id, last_position, companion_id
), message AS (
    INSERT INTO messages (id, conversation_id, user_id, position, role, content)
    SELECT $3, id, $2, last_position, 'user', $4 FROM conversation RETURNING position, created_at
)
"""
_RESPONSE_PARTS = f"""
, response AS (
    INSERT INTO responses (id, conversation_id, request_message_id, generate_image, job_id)
    SELECT $9, id, $3, $16, $5 FROM conversation
), job AS ({store.insertion(first=5, source="FROM conversation")})
"""  # noqa: S608 - constants
_STORED = "SELECT position, created_at, companion_id FROM message, conversation"
# One statement each, so that a message is stored with its response and job in one round trip.
_STORE_MESSAGE = "WITH" + _MESSAGE_PARTS.format(source="WHERE") + _STORED
_STORE_MESSAGE_AND_JOB = "WITH" + _MESSAGE_PARTS.format(source="WHERE") + _RESPONSE_PARTS + _STORED
# What is counted is locked before the conversation, which is left alone if it was too often.
_COUNT_AND_STORE = f"""
WITH counted AS ({limits.taking(first=17, source="FROM conversations WHERE id = $1 AND user_id = $2")}),
{_MESSAGE_PARTS.format(source="FROM counted WHERE counted.used <= $20 AND")}
{_RESPONSE_PARTS}
SELECT position, created_at, companion_id, used, left_over
FROM counted LEFT JOIN (message CROSS JOIN conversation) ON true
"""  # noqa: S608 - constants


class NewMessage(Struct, frozen=True, kw_only=True):
    """A user's message to be stored, and the job that answers it, whose subject is the response.

    ``limit`` is what the response counts against; None counts nothing, as where none is asked for.
    """

    id: UUID
    conversation_id: UUID
    user_id: UUID
    content: str
    job: NewJob | None
    generate_image: bool
    limit: Taking | None = None


async def store_message(new: NewMessage) -> tuple[Sent, UUID] | None:
    """Store a user's message at the next position, with its queued response and job, all or nothing.

    Returns:
        What was stored and the companion's id, or None when the conversation is not the user's.

    Raises:
        TooManyRequestsError: the limit is reached; nothing was stored.
    """
    statement = _STORE_MESSAGE
    values: tuple[object, ...] = (new.conversation_id, new.user_id, new.id, new.content)
    if new.job is not None:
        statement = _STORE_MESSAGE_AND_JOB
        values += (*store.insertion_values(new.job), new.generate_image)
        if new.limit is not None:
            statement = _COUNT_AND_STORE
            values += new.limit.values
    facts: tracing.Facts = {"db.system.name": "postgresql"}
    with tracing.span("store message", kind="client", facts=facts):
        async with ENGINE.connection() as connection:
            row = await connection.fetchrow(statement, *values)
    if row is not None and new.limit is not None and new.job is not None:
        new.limit.weigh(Count(row["used"], row["left_over"]))
    if row is None or row["position"] is None:  # deleted between a look at it and the change
        return None
    message = Message(
        new.id, new.conversation_id, row["position"], "user", new.content, None, row["created_at"]
    )
    sent = Sent(message=message, response=queued_response(message, new.job.subject_id if new.job else None))
    return sent, row["companion_id"]


def queued_response(message: Message, response_id: UUID | None) -> Response | None:
    """Return the response to a user's message as it was when the message was stored."""
    if response_id is None:
        return None
    return Response(
        id=response_id,
        conversation_id=message.conversation_id,
        status="queued",
        output_text="",
        message_id=None,
        attempt=1,
        error=None,
        usage=None,
        created_at=message.created_at,
        completed_at=None,
    )


# Responses


async def get_response(response_id: UUID, *, user_id: UUID) -> Response | None:
    """Return the owner's response, or None."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT {_RESPONSE} FROM responses JOIN conversations"  # noqa: S608 - a constant
            " ON conversations.id = responses.conversation_id WHERE responses.id = $1 AND user_id = $2",
            response_id,
            user_id,
        )
    return response_of(row) if row else None


async def job_of(response_id: UUID) -> UUID | None:
    """Return the id of the job that works on a response, or None when the response is gone."""
    async with ENGINE.connection() as connection:
        job_id: UUID | None = await connection.fetchval(
            "SELECT job_id FROM responses WHERE id = $1", response_id
        )
    return job_id


async def cancel_response(response_id: UUID) -> None:
    """Mark a response cancelled; what it has said so far stays."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE responses SET status = 'cancelled', completed_at = now()"
            " WHERE id = $1 AND status IN ('queued', 'in_progress')",
            response_id,
        )


async def cancel_responses(job_ids: list[UUID]) -> list[UUID]:
    """Do the same for the responses of some jobs; return the conversations that they belong to."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "UPDATE responses SET status = 'cancelled', completed_at = now()"
            " WHERE job_id = ANY($1) AND status IN ('queued', 'in_progress') RETURNING conversation_id",
            job_ids,
        )
    return [row["conversation_id"] for row in rows]


async def requeue_response(response_id: UUID, *, job_id: UUID) -> int | None:
    """Queue a response that failed or was cancelled under a new job.

    Returns:
        Its last attempt, or None when it did neither, or was to change what the talk has gone on from.
    """
    async with ENGINE.connection() as connection:
        attempt: int | None = await connection.fetchval(
            "UPDATE responses SET status = 'queued', job_id = $2, output_text = '', error_code = NULL,"
            " error_message = NULL, completed_at = NULL"
            " WHERE id = $1 AND status IN ('failed', 'cancelled') AND (target_message_id IS NULL"
            " OR NOT EXISTS (SELECT FROM messages JOIN messages AS target ON target.id = target_message_id"
            " WHERE messages.conversation_id = target.conversation_id"
            " AND messages.position > target.position)) RETURNING attempt",
            response_id,
            job_id,
        )
    return attempt


async def read_response(response_id: UUID) -> Response | None:
    """Return a response whose owner was checked before, or None when it is gone."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(f"SELECT {_RESPONSE} FROM responses WHERE id = $1", response_id)  # noqa: S608 - a constant
    return response_of(row) if row else None
