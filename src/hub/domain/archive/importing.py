"""Taking a conversation over from a file, all of it or nothing."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from uuid import UUID

from hub.core.clock import utc_now
from hub.core.ids import id_of, new_id
from hub.core.logging import get_logger
from hub.db.engine import ENGINE
from hub.domain.archive.entries import Entry
from hub.domain.archive.reading import Entries, Summary, check
from hub.domain.chat import queries as chat
from hub.domain.chat.errors import ConversationNotFoundError
from hub.domain.chat.schemas import Conversation
from hub.domain.companions.errors import CompanionNotFoundError
from hub.storage.threads import to_end

logger = get_logger(__name__)

#: Texts, about, that are stored at once.
BATCH = 1000

_MESSAGE = (
    *("id", "conversation_id", "position", "role", "content", "created_at", "image_id", "edited_at"),
    *("alternative", "alternatives"),
)
_ALTERNATIVE = ("id", "message_id", "number", "content", "created_at", "image_id")

# The user first, as everywhere.
_CONVERSATION = """
WITH owner AS (SELECT id FROM users WHERE id = $2 FOR KEY SHARE)
INSERT INTO conversations (id, user_id, companion_id, title, last_position, created_at, updated_at)
SELECT $1, owner.id, companions.id, $4, $5, $6, now() FROM owner, companions
WHERE companions.id = $3 AND companions.user_id = owner.id FOR KEY SHARE OF companions
"""


class Importing:
    """Imports of all users of a process: one at a time, since each keeps a processor busy."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)

    async def take(self, path: Path, *, companion_id: UUID, user_id: UUID) -> Conversation:
        """Store the conversation that a file holds, with one of the user's companions.

        Raises:
            FieldError: a line is not as it should be; the pointer begins with its number.
            CompanionNotFoundError: the companion is not the user's.
        """
        async with self._turn:
            summary = await to_end(check, path)
            with closing(Entries(path)) as entries:
                return await _store(summary, entries, companion_id=companion_id, user_id=user_id)


async def _store(summary: Summary, entries: Entries, *, companion_id: UUID, user_id: UUID) -> Conversation:
    conversation_id, position = new_id(), 0
    async with ENGINE.transaction():
        await _insert(conversation_id, summary, companion_id=companion_id, user_id=user_id)
        pictures = await _pictures(summary, companion_id=companion_id)
        while batch := await to_end(entries.take, BATCH):
            await _insert_messages(conversation_id, batch, after=position, pictures=pictures)
            position += len(batch)
        conversation = await chat.get_conversation(conversation_id, user_id=user_id)
    if conversation is None:
        raise ConversationNotFoundError
    logger.info(
        "conversation imported",
        conversation_id=str(conversation_id),
        messages=position,
        left_out=summary.left_out,
    )
    return conversation


async def _insert(conversation_id: UUID, summary: Summary, *, companion_id: UUID, user_id: UUID) -> None:
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            _CONVERSATION,
            conversation_id,
            user_id,
            companion_id,
            summary.title,
            summary.messages,
            summary.created_at or utc_now(),
        )
    if status != "INSERT 0 1":
        raise CompanionNotFoundError("It may have been deleted, or it belongs to somebody else.")


async def _pictures(summary: Summary, *, companion_id: UUID) -> dict[str, UUID]:
    """Find those of the pictures that the companion still has; others are not fetched from anywhere."""
    if not summary.pictures:
        return {}
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "SELECT sha256, id FROM images WHERE companion_id = $1 AND sha256 = ANY($2)"
            " ORDER BY id FOR KEY SHARE",
            companion_id,
            list(summary.pictures),
        )
    return {row["sha256"]: row["id"] for row in rows}


async def _insert_messages(
    conversation_id: UUID, batch: list[Entry], *, after: int, pictures: dict[str, UUID]
) -> None:
    ids = [id_of(each.created_at) for each in batch]
    messages = [
        (
            ids[place],
            conversation_id,
            after + place + 1,
            each.role,
            each.content,
            each.created_at,
            pictures.get(each.picture or ""),
            each.edited_at,
            each.chosen,
            max(len(each.alternatives), 1),
        )
        for place, each in enumerate(batch)
    ]
    alternatives = [
        (new_id(), ids[place], number, text.content, text.created_at, pictures.get(text.picture or ""))
        for place, each in enumerate(batch)
        for number, text in enumerate(each.alternatives, start=1)
    ]
    async with ENGINE.connection() as connection:
        await connection.copy_records_to_table("messages", records=messages, columns=_MESSAGE)
        if alternatives:
            await connection.copy_records_to_table(
                "message_alternatives", records=alternatives, columns=_ALTERNATIVE
            )
