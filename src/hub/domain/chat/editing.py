"""Changing what was said: a message's text, and which of its alternatives is shown."""

from __future__ import annotations

from uuid import UUID

from hub.core.errors import FieldError
from hub.core.etags import ANYTHING, Expected
from hub.core.logging import get_logger
from hub.core.pages import Page, decode_position, encode_position
from hub.db.engine import ENGINE
from hub.domain.chat import message_changes
from hub.domain.chat.errors import AlternativeNotFoundError, MessageNotFoundError
from hub.domain.chat.schemas import Alternative, EditMessage, Message
from hub.live.bus import Bus
from hub.live.events import Changed

logger = get_logger(__name__)


class Editing:
    """What people change of messages. Each call checks that what it touches is the user's."""

    def __init__(self, *, bus: Bus, message_max_length: int) -> None:
        self._bus = bus
        self._message_max_length = message_max_length

    async def get(self, message_id: UUID, *, user_id: UUID) -> Message:
        """Return the owner's message."""
        message = await message_changes.get(message_id, user_id=user_id)
        if message is None:
            raise MessageNotFoundError
        return message

    async def edit(
        self, message_id: UUID, command: EditMessage, *, user_id: UUID, expected: Expected = ANYTHING
    ) -> Message:
        """Change what a message says, in the alternative that is shown.

        Raises:
            MessageNotFoundError: not the user's.
            FieldError: longer than this server allows, and than it was.
            StaleEditError: it is not what the editor has seen.
        """
        async with ENGINE.transaction():
            conversation_id = await self._lock(message_id, user_id=user_id)
            message = await self.get(message_id, user_id=user_id)
            expected.check(message)
            self._check_length(command.content, before=message.content)
            revision = await message_changes.next_revision(conversation_id)
            await message_changes.edit(message_id, command.content, revision=revision)
            message = await self.get(message_id, user_id=user_id)
        self._bus.publish(Changed(conversation_id))
        logger.info("message edited", conversation_id=str(conversation_id), length=len(command.content))
        return message

    async def alternatives(
        self, message_id: UUID, *, user_id: UUID, limit: int, cursor: str | None
    ) -> Page[Alternative]:
        """Return one page of a message's texts, the first one first."""
        after = decode_position(cursor) if cursor is not None else 0
        message = await self.get(message_id, user_id=user_id)
        items = await message_changes.alternatives(message_id, after=after, limit=limit + 1)
        if not items and after == 0:  # there is one, and it has no row of its own
            items = [_only_one(message)]
        more = len(items) > limit
        next_cursor = encode_position(items[limit - 1].number) if more else None
        return Page(items=items[:limit], next_cursor=next_cursor)

    async def choose(self, message_id: UUID, number: int, *, user_id: UUID) -> Message:
        """Show another alternative of a message, with the picture that goes with it.

        Raises:
            MessageNotFoundError: not the user's.
            AlternativeNotFoundError: it has none of this number.
        """
        async with ENGINE.transaction():
            conversation_id = await self._lock(message_id, user_id=user_id)
            message = await self.get(message_id, user_id=user_id)
            if message.alternative == number:
                return message
            if not 1 <= number <= message.alternatives:
                raise AlternativeNotFoundError
            revision = await message_changes.next_revision(conversation_id)
            await message_changes.choose(message_id, number, revision=revision)
            message = await self.get(message_id, user_id=user_id)
        self._bus.publish(Changed(conversation_id))
        return message

    async def _lock(self, message_id: UUID, *, user_id: UUID) -> UUID:
        conversation_id = await message_changes.lock_conversation_of(message_id, user_id=user_id)
        if conversation_id is None:
            raise MessageNotFoundError
        return conversation_id

    def _check_length(self, content: str, *, before: str) -> None:
        """Replies may be longer than messages: what is too long already may be edited, not grow."""
        allowed = max(self._message_max_length, len(before))
        if len(content) > allowed:
            raise FieldError("/content", f"This message may have up to {allowed} characters. Shorten it.")


def _only_one(message: Message) -> Alternative:
    return Alternative(
        number=1,
        content=message.content,
        response_id=message.response_id,
        image=message.image,
        created_at=message.created_at,
        chosen=True,
    )
