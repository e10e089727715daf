"""Searching one's own messages: by words, or by parts of words where there are no words to find.

By words, the index gives only what is the owner's and has the words. By parts there is no index: the owner's
messages are read from the newest on, so many a call and no more.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

from msgspec import Struct

from hub.core.errors import FieldError
from hub.core.pages import Page, TimeCursor
from hub.domain.archive import search_queries as queries
from hub.domain.archive.schemas import Hit
from hub.domain.archive.search_queries import Place, Scope, Wish
from hub.domain.archive.words import Question, parse, snippet
from hub.domain.chat.message_queries import messages_by_id

#: Searches that a process runs at once; each holds a connection of the pool, which others need.
AT_ONCE = 4

_WORDS, _PARTS = "w", "p"


class Asked(Struct, frozen=True, kw_only=True):
    """A search as it comes in."""

    text: str
    user_id: UUID
    companion_id: UUID | None
    conversation_id: UUID | None
    limit: int
    cursor: str | None


class Search:
    """Searches of all users of a process."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def page(self, asked: Asked) -> Page[Hit]:
        """Return one page of the owner's messages that fit, the newest first.

        A page may have fewer entries than asked for, or none, and yet be followed by another.

        Raises:
            FieldError: the cursor is not one of this list.
        """
        mode, after = _read_cursor(asked.cursor)
        question = parse(asked.text)
        if not question.alternatives:
            return Page(items=[], next_cursor=None)
        scope = Scope(asked.user_id, asked.companion_id, asked.conversation_id, after, asked.limit)
        async with self._slots:
            if mode == _WORDS or not (mode == _PARTS or question.is_unspaced):
                found = await _by_words(asked.text, scope)
                if found.places or found.next or mode == _WORDS or not question.always_wants:
                    return await _page(found, question, asked.user_id, mode=_WORDS)
            found = await queries.by_parts(question, scope)
            return await _page(found, question, asked.user_id, mode=_PARTS)


async def _by_words(text: str, scope: Scope) -> queries.Found:
    wish = Wish(await queries.read_words(text))
    if not wish.words:
        return queries.Found([], None)
    return await queries.by_words(wish, scope)


async def _page(found: queries.Found, question: Question, user_id: UUID, *, mode: str) -> Page[Hit]:
    messages = await messages_by_id([place.id for place in found.places])
    talks = await queries.talks_of({each.conversation_id for each in messages.values()}, user_id=user_id)
    items = []
    for place in found.places:
        message = messages.get(place.id)
        if message is None or message.conversation_id not in talks:  # deleted since
            continue
        talk, shown = talks[message.conversation_id], snippet(message.content, question, parts=mode == _PARTS)
        items.append(
            Hit(
                message=message,
                companion_id=talk.companion_id,
                conversation_title=talk.title,
                snippet=shown.text,
                highlights=shown.highlights,
            )
        )
    return Page(items=items, next_cursor=_write_cursor(mode, found.next))


def _write_cursor(mode: str, place: Place | None) -> str | None:
    return mode + TimeCursor(place.created_at, place.id).encode() if place is not None else None


def _read_cursor(cursor: str | None) -> tuple[str | None, TimeCursor | None]:
    if cursor is None:
        return None, None
    if not cursor.startswith((_WORDS, _PARTS)):
        raise FieldError("/cursor", "This cursor is not one that a search gave out. Start again without one.")
    return cursor[0], TimeCursor.decode(cursor[1:])
