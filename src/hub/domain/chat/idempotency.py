"""Doing once what is asked for twice: the keys of messages and responses, and what they stand for."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from hub.core.clock import utc_now
from hub.core.ids import new_id
from hub.db.cleaning import delete_older
from hub.db.engine import ENGINE
from hub.domain.chat import message_queries, queries
from hub.domain.chat.errors import IdempotencyKeyReusedError, ResponseNotFoundError
from hub.domain.chat.schemas import AskResponse, SendMessage, Sent

#: How long the same send under the same key is recognised.
KEY_LIFE = timedelta(hours=24)


class Sending(Struct, frozen=True, kw_only=True):
    """A message on its way in.

    ``key`` makes the same send again harmless; ``message_id`` lets the caller know it beforehand.
    """

    conversation_id: UUID
    user_id: UUID
    command: SendMessage
    wants_response: bool = True
    key: str | None = None
    message_id: UUID | None = None


class KeyInUseError(Exception):
    """Another send under the same key was faster; this one must leave no trace."""


class Asking(Struct, frozen=True, kw_only=True):
    """A response that is asked for without a message; ``key`` makes the same request again harmless."""

    conversation_id: UUID
    user_id: UUID
    command: AskResponse
    key: str | None = None


class _Found(Struct, frozen=True):
    """What a key stands for; a response that is gone is None, as one that was never asked for."""

    message_id: UUID
    response_id: UUID | None


async def remember(sending: Sending, sent: Sent) -> None:
    """Note under which key a message was sent, in the transaction that stores it.

    Raises:
        KeyInUseError: the key is in use already.
    """
    found = _Found(sent.message.id, sent.response.id if sent.response else None)
    await _remember(sending, _request_hash(sending), found)


async def recall(sending: Sending) -> Sent | None:
    """Return what the same send stored before, as it was then; None for a key that is new.

    Raises:
        IdempotencyKeyReusedError: the key stands for something else.
    """
    found = await _recall(sending, _request_hash(sending))
    message = await message_queries.get_message(found.message_id) if found else None
    if found is None or message is None:  # deleted just now, and the key with it
        return None
    return Sent(message=message, response=queries.queued_response(message, found.response_id))


async def remember_asked(asking: Asking, *, request_message_id: UUID, response_id: UUID) -> None:
    """Note under which key a response was asked for, in the transaction that stores it.

    Raises:
        KeyInUseError: the key is in use already.
    """
    await _remember(asking, _asked_hash(asking), _Found(request_message_id, response_id))


async def recall_asked(asking: Asking) -> UUID | None:
    """Return the id of the response that the same request asked for before; None for a key that is new.

    Raises:
        IdempotencyKeyReusedError: the key stands for something else.
        ResponseNotFoundError: it has been deleted since.
    """
    found = await _recall(asking, _asked_hash(asking))
    if found is None:
        return None
    if found.response_id is None:
        raise ResponseNotFoundError
    return found.response_id


async def _remember(request: Sending | Asking, request_hash: bytes, found: _Found) -> None:
    if request.key is None:
        return
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "INSERT INTO idempotency_keys"
            " (id, user_id, key, request_hash, message_id, response_id, expires_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (user_id, key) DO NOTHING",
            new_id(),
            request.user_id,
            request.key,
            request_hash,
            found.message_id,
            found.response_id,
            utc_now() + KEY_LIFE,
        )
    if status != "INSERT 0 1":
        raise KeyInUseError


async def _recall(request: Sending | Asking, request_hash: bytes) -> _Found | None:
    if request.key is None:
        return None
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT request_hash, message_id, response_id, expires_at < now() AS expired"
            " FROM idempotency_keys WHERE user_id = $1 AND key = $2",
            request.user_id,
            request.key,
        )
        if row is not None and row["expired"]:
            await connection.execute(
                "DELETE FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND expires_at < now()",
                request.user_id,
                request.key,
            )
            return None
    if row is None:
        return None
    if row["request_hash"] != request_hash:
        raise IdempotencyKeyReusedError
    return _Found(row["message_id"], row["response_id"])


async def delete_expired(limit: int) -> int:
    """Forget up to ``limit`` keys whose time is over, which would be new again anyway; return how many."""
    return await delete_older("idempotency_keys", "expires_at", limit=limit)


def _request_hash(sending: Sending) -> bytes:
    parts = (
        str(sending.conversation_id),
        "respond" if sending.wants_response else "store",
        "image" if sending.command.generate_image else "text",
        sending.command.content,
    )
    return _hash(*parts)


def _asked_hash(asking: Asking) -> bytes:
    extra = "image" if asking.command.generate_image else "text"
    return _hash(str(asking.conversation_id), "ask", asking.command.kind, extra)


def _hash(*parts: str) -> bytes:
    return hashlib.sha256("\n".join(parts).encode()).digest()
