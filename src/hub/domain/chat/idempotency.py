"""Sending a message once, however often it is sent: keys, and what they stand for."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from hub.core.clock import utc_now
from hub.core.ids import new_id
from hub.db.cleaning import delete_older
from hub.db.engine import ENGINE
from hub.domain.chat import queries
from hub.domain.chat.errors import IdempotencyKeyReusedError
from hub.domain.chat.schemas import SendMessage, Sent

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


async def remember(sending: Sending, sent: Sent) -> None:
    """Note under which key a message was sent, in the transaction that stores it.

    Raises:
        KeyInUseError: the key is in use already.
    """
    if sending.key is None:
        return
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "INSERT INTO idempotency_keys"
            " (id, user_id, key, request_hash, message_id, response_id, expires_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (user_id, key) DO NOTHING",
            new_id(),
            sending.user_id,
            sending.key,
            _request_hash(sending),
            sent.message.id,
            sent.response.id if sent.response else None,
            utc_now() + KEY_LIFE,
        )
    if status != "INSERT 0 1":
        raise KeyInUseError


async def recall(sending: Sending) -> Sent | None:
    """Return what the same send stored before, as it was then; None for a key that is new.

    Raises:
        IdempotencyKeyReusedError: the key stands for something else.
    """
    if sending.key is None:
        return None
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT request_hash, message_id, response_id, expires_at < now() AS expired"
            " FROM idempotency_keys WHERE user_id = $1 AND key = $2",
            sending.user_id,
            sending.key,
        )
        if row is not None and row["expired"]:
            await connection.execute(
                "DELETE FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND expires_at < now()",
                sending.user_id,
                sending.key,
            )
            return None
    if row is None:
        return None
    if row["request_hash"] != _request_hash(sending):
        raise IdempotencyKeyReusedError
    message = await queries.get_message(row["message_id"])
    if message is None:  # deleted just now, and the key with it
        return None
    return Sent(message=message, response=queries.queued_response(message, row["response_id"]))


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
    return hashlib.sha256("\n".join(parts).encode()).digest()
