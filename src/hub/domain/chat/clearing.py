"""What goes when something is deleted or wiped: rows, the work under way on them, and word to who watches.

Locks are taken in one order everywhere: what is counted, the user, companions, jobs, conversations, and what
hangs on them.
Work that has a job's row is waited for; whoever comes later finds its job cancelled, and writes nothing.
Of one user only one such call runs at a time: each cancels jobs of several kinds, in an order of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct

from hub.core import metrics
from hub.core.etags import ANYTHING, Expected
from hub.core.logging import get_logger
from hub.db.engine import ENGINE
from hub.domain.accounts import administration
from hub.domain.accounts import queries as accounts
from hub.domain.accounts.schemas import UpdateUser
from hub.domain.chat import message_changes, message_removal, queries
from hub.domain.chat.errors import ConversationNotFoundError, MessageNotFoundError
from hub.domain.chat.message_removal import Place
from hub.domain.chat.service import check, lane_of
from hub.domain.companions import queries as companions
from hub.domain.companions.errors import CompanionNotFoundError
from hub.domain.companions.service import check as check_companion
from hub.domain.completions import queries as completions
from hub.domain.images import queries as images
from hub.domain.limits.service import Action, Limits
from hub.domain.painting import queries as painting
from hub.domain.scenes import queries as scenes
from hub.domain.scenes import reading
from hub.jobs import store
from hub.jobs.contracts import TURNS, Cancelled
from hub.jobs.relay import Relay
from hub.live.bus import Bus
from hub.live.events import Changed, JobCancelled

logger = get_logger(__name__)


class Wiped(Struct, frozen=True, kw_only=True):
    """What a wipe removed."""

    messages: int
    memories: int
    images: int
    jobs_cancelled: int


class _CameInBetweenError(Exception):
    """Work was asked for on what is about to go, which is not locked yet."""


class Clearing:
    """Deletes and wipes. Each call checks that what it touches is the user's."""

    def __init__(self, *, relay: Relay, bus: Bus, limits: Limits) -> None:
        self._relay = relay
        self._bus = bus
        self._limits = limits

    async def delete_conversation(
        self, conversation_id: UUID, *, user_id: UUID, expected: Expected = ANYTHING
    ) -> None:
        """Remove a conversation; what is under way in it is cancelled, and its part in the scene goes."""
        conversation = await queries.get_conversation(conversation_id, user_id=user_id)
        if conversation is None:
            raise ConversationNotFoundError
        async with ENGINE.transaction():
            await accounts.lock_user(user_id)
            cancelled = await store.cancel_lanes([lane_of(conversation_id)])
            cancelled += await store.cancel_many(await painting.ids_of(conversation_id=conversation_id))
            await queries.lock_conversations([conversation_id])
            await check(conversation_id, user_id=user_id, expected=expected)
            await scenes.forget_conversation(conversation.companion_id, conversation_id)
            if not await queries.delete_conversation(conversation_id, user_id=user_id):
                raise ConversationNotFoundError
            others = await queries.conversations_of(conversation.companion_id)  # the scene is theirs too
        await self._tell(cancelled, [conversation_id, *others])

    async def delete_message(
        self, message_id: UUID, *, user_id: UUID, following: bool, expected: Expected = ANYTHING
    ) -> None:
        """Remove a message, and with ``following`` all behind it; work under way on what goes is cancelled.

        Positions stay as they are, and none is given out twice.

        Raises:
            MessageNotFoundError: not the user's.
            StaleEditError: the message is not as expected.
        """
        place = await message_removal.place_of(message_id, user_id=user_id)
        if place is None:
            raise MessageNotFoundError
        while True:
            try:
                async with ENGINE.transaction():
                    told = await self._remove(
                        message_id, place, user_id=user_id, following=following, expected=expected
                    )
                break
            except _CameInBetweenError:
                logger.debug("more was asked for meanwhile")
        await self._tell(*told)

    async def _remove(
        self, message_id: UUID, place: Place, *, user_id: UUID, following: bool, expected: Expected
    ) -> tuple[list[Cancelled], list[UUID]]:
        """Return what was cancelled, and the conversations that are to be told."""
        conversation_id = place.conversation_id
        await accounts.lock_user(user_id)
        found = await message_removal.doomed(place, following=following)
        cancelled = await store.cancel_many(found.job_ids)
        await queries.lock_conversations([conversation_id])
        found = await message_removal.doomed(place, following=following)
        if found.job_ids:
            raise _CameInBetweenError
        if not found.message_ids:
            raise MessageNotFoundError
        if expected is not ANYTHING:
            expected.check(await message_changes.get(message_id, user_id=user_id))
        await queries.begin_epoch([conversation_id])
        is_scene_changed = await scenes.forget_messages(place.companion_id, found.message_ids)
        await message_removal.remove(found)
        told = await queries.conversations_of(place.companion_id) if is_scene_changed else [conversation_id]
        return cancelled, told

    async def delete_companion(
        self, companion_id: UUID, *, user_id: UUID, expected: Expected = ANYTHING
    ) -> None:
        """Remove a companion with all that hangs on it; the collector takes its folder.

        Raises:
            CompanionNotFoundError: not the user's.
            StaleEditError: it is not as expected.
            TooManyRequestsError: too many in this hour.
        """
        async with ENGINE.transaction():
            await self._limits.take(Action.DELETE, user_id)
            cancelled, conversations = await self._stop_companion(companion_id, user_id=user_id)
            await queries.lock_conversations(conversations)
            await check_companion(companion_id, user_id=user_id, expected=expected)
            await companions.delete(companion_id, user_id=user_id)
        await self._tell(cancelled, conversations)
        logger.info("companion deleted", companion_id=str(companion_id), jobs_cancelled=len(cancelled))

    async def delete_account(self, user_id: UUID) -> list[UUID]:
        """Remove a user with all they have; what is under way for them is cancelled.

        Returns:
            The ids of the sign-ins that ended.

        Raises:
            LastAdministratorError: nobody could look after the server any more.
        """
        async with ENGINE.transaction():
            await administration.lock_leaver(user_id)
            cancelled = await store.cancel_user(user_id)
            await queries.lock_conversations(await queries.conversations_of_user(user_id))
            await companions.lock_all(user_id)
            ended = await accounts.delete_user(user_id)
        await self._tell(cancelled, [])
        logger.info("account deleted", user_id=str(user_id))
        return ended

    async def change_account(self, user_id: UUID, command: UpdateUser) -> list[UUID]:
        """Do what an administrator says about an account; of one that is disabled all work is cancelled.

        Returns:
            The ids of the tokens that let nobody in any more.

        Raises:
            UserNotFoundError, LastAdministratorError: as they say.
        """
        cancelled: list[Cancelled] = []
        conversations: list[UUID] = []
        async with ENGINE.transaction():
            ended = await administration.change(user_id, command)
            if command.disabled is True:
                cancelled = await store.cancel_user(user_id)
                job_ids = [each.job_id for each in cancelled]
                conversations = await queries.cancel_responses(job_ids)
                await completions.cancel_many(job_ids)
        await self._tell(cancelled, conversations)
        return ended

    async def wipe(self, companion_id: UUID, *, user_id: UUID) -> Wiped:
        """Forget all talks with a companion: messages, pictures, what was asked for, the scene, and work.

        Conversations stay, empty; their positions go on, so that nobody takes a new message for an old one.

        Raises:
            CompanionNotFoundError: not the user's.
            TooManyRequestsError: too many in this hour.
        """
        async with ENGINE.transaction():
            await self._limits.take(Action.WIPE, user_id)
            cancelled, conversations = await self._stop_companion(companion_id, user_id=user_id)
            await queries.begin_epoch(conversations)
            await scenes.forget(companion_id)
            messages = await queries.delete_messages(conversations)
            pictures = await images.delete_generated(companion_id)
            await painting.forget(companion_id)
            await completions.forget(companion_id)
            await companions.reset_scene(companion_id)
        await self._tell(cancelled, conversations)
        wiped = Wiped(messages=messages, memories=0, images=pictures, jobs_cancelled=len(cancelled))
        logger.info("companion wiped", companion_id=str(companion_id), messages=messages, images=pictures)
        return wiped

    async def _stop_companion(
        self, companion_id: UUID, *, user_id: UUID
    ) -> tuple[list[Cancelled], list[UUID]]:
        """Cancel all work on a companion; return it, and the companion's conversations.

        Replies go first: one that just ends may leave a scene to be read, and a picture to be painted.
        """
        await accounts.lock_user(user_id)
        if not await companions.lock(companion_id, user_id=user_id):
            raise CompanionNotFoundError("It may have been deleted, or it belongs to somebody else.")
        conversations = await queries.conversations_of(companion_id)
        cancelled = await store.cancel_lanes([lane_of(each) for each in conversations])
        cancelled += await store.cancel_lanes([reading.lane_of(companion_id)])
        cancelled += await store.cancel_many(await painting.ids_of(companion_id=companion_id))
        cancelled += await store.cancel_many(await completions.ids_of(companion_id))
        return cancelled, conversations

    async def _tell(self, cancelled: Iterable[Cancelled], conversations: Iterable[UUID]) -> None:
        """Stop those who work on what is gone, let others of the same lanes go on, and tell who watches."""
        for conversation_id in conversations:
            self._bus.publish(Changed(conversation_id))
        for each in cancelled:
            self._bus.publish(JobCancelled(each.job_id))
            if each.kind in TURNS:
                metrics.RESPONSES.labels("cancelled").inc()
        for lane, kind in {(each.lane, each.kind) for each in cancelled}:
            await self._relay.ring_next(lane, kind=kind, user_id=None)
