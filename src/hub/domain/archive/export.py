"""Conversations as files, written as they are read: however long one is, only some of it is in memory."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from datetime import datetime
from itertools import groupby
from urllib.parse import quote
from uuid import UUID

import msgspec
from asyncpg import Record
from msgspec import Struct

from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS, ENGINE
from hub.domain.archive.lines import AlternativeLine, Character, FirstLine, LastLine, MessageLine, Picture
from hub.domain.chat.errors import ConversationNotFoundError
from hub.domain.images import queries as images

logger = get_logger(__name__)

#: Messages that are read at once, and bytes of text at which no more are added to them.
BATCH = 500
BATCH_BYTES = 1_000_000

_NAME_LENGTH = 80
_NOT_IN_NAMES = re.compile(r"[^\w .,-]+")

_encoder = msgspec.json.Encoder()


class Talk(Struct, frozen=True, kw_only=True):
    """A conversation as it stands when its export begins."""

    id: UUID
    last_position: int
    epoch: int
    title: str
    created_at: datetime
    companion: Character

    @property
    def name(self) -> str:
        """What to call the file, without its ending."""
        name = f"{self.companion.name} - {self.title}" if self.title else self.companion.name
        return " ".join(_NOT_IN_NAMES.sub(" ", name).split())[:_NAME_LENGTH].strip(" .") or "conversation"


_TALK = """
SELECT conversations.id, last_position, epoch, title, conversations.created_at, name, description, appearance,
    user_appearance, default_outfit, greeting
FROM conversations JOIN companions ON companions.id = companion_id
WHERE conversations.id = $1 AND conversations.user_id = $2
"""

# As many messages as are not too long together, at least one; octet_length() does not unpack what is packed.
# Nothing once messages were taken out: those that are left may not fit what was read before.
_BATCH = """
SELECT id, position, role, content, created_at, image_id, edited_at, alternative, alternatives FROM (
    SELECT *, sum(octet_length(content)) OVER (ORDER BY position) - octet_length(content) AS before FROM (
        SELECT messages.* FROM messages
        JOIN conversations ON conversations.id = conversation_id AND epoch = $4
        WHERE conversation_id = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $5
    ) AS next
) AS counted WHERE before < $6 ORDER BY position
"""

_TEXTS = """
SELECT message_id, number, content, created_at, image_id FROM message_alternatives
WHERE message_id = ANY($1) ORDER BY message_id, number
"""


async def find(conversation_id: UUID, *, user_id: UUID) -> Talk:
    """Return the owner's conversation.

    Raises:
        ConversationNotFoundError: there is none.
    """
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_TALK, conversation_id, user_id)
    if row is None:
        raise ConversationNotFoundError
    talk = {name: row[name] for name in Talk.__struct_fields__ if name != "companion"}
    companion = Character(**{name: row[name] for name in Character.__struct_fields__})
    return Talk(**talk, companion=companion)


async def write(talk: Talk) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a conversation, up to the message that was the last when the export began.

    No connection is held while the reader takes its time. Should messages be deleted meanwhile, or the
    database go away, the file ends without its last line, so that it is seen not to be whole.
    """
    try:
        async for lines in _lines(talk):
            yield lines
    except DATABASE_ERRORS as error:
        logger.warning("export broken off", conversation_id=str(talk.id), reason=type(error).__name__)


async def _lines(talk: Talk) -> AsyncIterator[bytes]:
    yield _line(
        FirstLine(
            format="companion-hub.conversation",
            version=1,
            title=talk.title,
            companion=talk.companion,
            created_at=talk.created_at,
        )
    )
    position, count = 0, 0
    while lines := await _batch(talk, after=position):
        yield b"".join(map(_line, lines))
        position, count = lines[-1].position, count + len(lines)
    if await _has_changed(talk):
        logger.warning("conversation changed while it was exported", conversation_id=str(talk.id))
        return
    logger.info("conversation exported", conversation_id=str(talk.id), messages=count)
    yield _line(LastLine(messages=count))


async def _batch(talk: Talk, *, after: int) -> list[MessageLine]:
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            _BATCH, talk.id, after, talk.last_position, talk.epoch, BATCH, BATCH_BYTES
        )
        texts = await connection.fetch(_TEXTS, [row["id"] for row in rows if row["alternatives"] > 1])
    pictures = await _pictures({row["image_id"] for row in (*rows, *texts) if row["image_id"]})
    by_message = {key: list(group) for key, group in groupby(texts, key=lambda text: text["message_id"])}
    return [
        MessageLine(
            position=row["position"],
            role=row["role"],
            content=row["content"],
            created_at=row["created_at"],
            image=pictures.get(row["image_id"]),
            edited_at=row["edited_at"],
            alternatives=_alternatives(row, by_message.get(row["id"], []), pictures),
        )
        for row in rows
    ]


def _alternatives(
    message: Record, texts: list[Record], pictures: Mapping[UUID, Picture]
) -> list[AlternativeLine]:
    """Tell all texts of a message; if another one was chosen since it was read, that has its own text."""
    shown = message["alternative"]
    if shown not in {text["number"] for text in texts}:
        return []
    return [
        AlternativeLine(
            content=message["content"] if text["number"] == shown else text["content"],
            created_at=text["created_at"],
            chosen=text["number"] == shown,
            image=pictures.get(text["image_id"]),
        )
        for text in texts
    ]


async def _pictures(image_ids: set[UUID]) -> dict[UUID, Picture]:
    if not image_ids:
        return {}
    found = await images.by_ids(image_ids)
    return {
        image_id: Picture(sha256=image.sha256, url=image.url, recipe=image.recipe)
        for image_id, image in found.items()
    }


async def _has_changed(talk: Talk) -> bool:
    async with ENGINE.connection() as connection:
        epoch = await connection.fetchval("SELECT epoch FROM conversations WHERE id = $1", talk.id)
    return bool(epoch != talk.epoch)


def _line(value: object) -> bytes:
    return _encoder.encode(value) + b"\n"


def disposition(name: str) -> str:
    """Return a Content-Disposition that has browsers save a file under a name, whatever is in it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip() or "conversation"
    return f"attachment; filename=\"{plain}.jsonl\"; filename*=UTF-8''{quote(name, safe='')}.jsonl"
