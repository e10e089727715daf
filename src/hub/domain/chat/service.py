"""Conversations and what people do in them: talk, read, cancel, try again."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct
from structlog.contextvars import bound_contextvars, get_contextvars

from hub.core import metrics
from hub.core.errors import FieldError, HubError
from hub.core.etags import ANYTHING, Expected
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.core.pages import LAST_POSITION, Page, TimeCursor, by_time, decode_position, encode_position
from hub.db.engine import ENGINE
from hub.domain.chat import message_queries, queries, state
from hub.domain.chat.errors import (
    ConversationNotFoundError,
    ResponseNotFoundError,
    ResponseNotRetryableError,
    ResponseOutdatedError,
)
from hub.domain.chat.idempotency import KeyInUseError, Sending, recall, remember
from hub.domain.chat.schemas import (
    Conversation,
    CreateConversation,
    Message,
    Response,
    Sent,
    UpdateConversation,
)
from hub.domain.chat.state import Standing
from hub.domain.companions.errors import CompanionNotFoundError
from hub.domain.limits.errors import TooManyRequestsError
from hub.domain.limits.service import Action, Limits
from hub.jobs import store
from hub.jobs.contracts import JobKind, JobStatus, NewJob
from hub.jobs.relay import Relay
from hub.live.bus import DELTA_LIMIT, Bus
from hub.live.events import Changed, ConversationEvent, JobCancelled, Said

logger = get_logger(__name__)

#: Seconds that a cancel waits for the worker's last words; one that is dead keeps what it had stored.
WORKER_STOPS_WITHIN = 1.0


class Accepted(Struct, frozen=True, kw_only=True):
    """What a send stored, or what the same send stored before (``replayed``)."""

    sent: Sent
    replayed: bool


class _Watch:
    """Waits for news of one response; text is none."""

    is_full = True

    def __init__(self, response_id: UUID) -> None:
        self._response_id = response_id
        self.changed = asyncio.Event()

    def on_event(self, event: ConversationEvent) -> None:
        if isinstance(event, Changed) and event.response_id == self._response_id:
            self.changed.set()

    def on_gap(self) -> None:
        self.changed.set()


class ChatService:
    """What people do in conversations. Each call checks that what it touches is the user's."""

    def __init__(self, *, relay: Relay, bus: Bus, limits: Limits, message_max_length: int) -> None:
        self._relay = relay
        self._bus = bus
        self._limits = limits
        self._message_max_length = message_max_length

    # Conversations

    async def create(self, command: CreateConversation, *, user_id: UUID) -> Conversation:
        """Begin a conversation; a companion with a greeting speaks first."""
        conversation_id = new_id()
        async with ENGINE.transaction():
            stored = await queries.insert_conversation(
                conversation_id, user_id=user_id, companion_id=command.companion_id, title=command.title
            )
            if not stored:
                raise CompanionNotFoundError("It may have been deleted, or it belongs to somebody else.")
            await queries.insert_greeting(new_id(), conversation_id)
            return await self.get(conversation_id, user_id=user_id)

    async def get(self, conversation_id: UUID, *, user_id: UUID) -> Conversation:
        """Return the owner's conversation."""
        conversation = await queries.get_conversation(conversation_id, user_id=user_id)
        if conversation is None:
            raise ConversationNotFoundError
        return conversation

    async def standing(self, conversation_id: UUID, *, user_id: UUID) -> Standing:
        """Return how far the owner's conversation is."""
        standing = await state.standing(conversation_id, user_id=user_id)
        if standing is None:
            raise ConversationNotFoundError
        return standing

    async def page(
        self, *, user_id: UUID, companion_id: UUID | None, limit: int, cursor: str | None
    ) -> Page[Conversation]:
        """Return one page of the owner's conversations, the newest first."""
        after = TimeCursor.decode(cursor) if cursor is not None else None
        items = await queries.conversation_page(
            user_id=user_id, companion_id=companion_id, limit=limit + 1, after=after
        )
        return by_time(items, limit=limit)

    async def tell_scene(self, companion_id: UUID) -> None:
        """Have those who follow conversations with a companion look at its scene."""
        for conversation_id in await queries.conversations_of(companion_id):
            self._bus.publish(Changed(conversation_id))

    async def rename(
        self,
        conversation_id: UUID,
        command: UpdateConversation,
        *,
        user_id: UUID,
        expected: Expected = ANYTHING,
    ) -> Conversation:
        """Change a conversation's title, if a new one is given."""
        async with ENGINE.transaction():
            if expected is not ANYTHING:
                await queries.lock_conversations([conversation_id])
                await check(conversation_id, user_id=user_id, expected=expected)
            if command.title is UNSET:
                return await self.get(conversation_id, user_id=user_id)
            conversation = await queries.rename_conversation(
                conversation_id, user_id=user_id, title=command.title
            )
        if conversation is None:
            raise ConversationNotFoundError
        return conversation

    # Messages

    async def messages(
        self,
        conversation_id: UUID,
        *,
        user_id: UUID,
        limit: int,
        cursor: str | None = None,
        before: int | None = None,
    ) -> Page[Message]:
        """Return one page of a conversation's messages, the newest first.

        Args:
            conversation_id: whose messages.
            user_id: who asks.
            limit: how many at most.
            cursor: of the page before this one.
            before: without a cursor, only messages with a smaller position.
        """
        below = decode_position(cursor) if cursor is not None else before or LAST_POSITION
        await self.get(conversation_id, user_id=user_id)
        items = await message_queries.history(conversation_id, before=below, limit=limit + 1)
        more = len(items) > limit
        return Page(
            items=items[:limit], next_cursor=encode_position(items[limit - 1].position) if more else None
        )

    async def send(self, sending: Sending) -> Accepted:
        """Store a message and queue the response to it, both or neither.

        The same send under the same key returns what the first one stored.

        Raises:
            ConversationNotFoundError: not the user's.
            FieldError: longer than this server allows.
            IdempotencyKeyReusedError: the key stands for something else.
            TooManyRequestsError: too many replies in this minute, or pictures in this hour.
        """
        self._check_length(sending.command.content)
        if (before := await recall(sending)) is not None:
            return Accepted(sent=before, replayed=True)
        started = time.perf_counter()
        job = reply_job(sending.conversation_id, user_id=sending.user_id) if sending.wants_response else None
        try:
            sent, companion_id = await self._store(sending, job)
        except KeyInUseError:
            return await self.send(sending)
        except TooManyRequestsError:
            if (before := await recall(sending)) is None:
                raise
            return Accepted(sent=before, replayed=True)  # the same send was faster, and took the last
        ids = {"conversation_id": str(sending.conversation_id), "companion_id": str(companion_id)}
        with bound_contextvars(**ids):
            if job is not None:
                self._relay.ring(job.id, job.kind)  # first, since the reply's time is what people wait for
            self._bus.publish(_said(sent))
            logger.info(
                "message received",
                job_id=str(job.id) if job else None,
                length=len(sending.command.content),
                duration_ms=round((time.perf_counter() - started) * 1000, 1),
            )
        return Accepted(sent=sent, replayed=False)

    async def _store(self, sending: Sending, job: NewJob | None) -> tuple[Sent, UUID]:
        new = queries.NewMessage(
            id=sending.message_id or new_id(),
            conversation_id=sending.conversation_id,
            user_id=sending.user_id,
            content=sending.command.content,
            job=job,
            generate_image=sending.command.generate_image,
            limit=self._limits.taking(Action.CHAT, sending.user_id) if job is not None else None,
        )
        paints = job is not None and new.generate_image
        if sending.key is None and not paints:
            return _found(await queries.store_message(new))
        async with ENGINE.transaction():
            if paints:  # first of all, as where a picture is asked for without a message
                await self._limits.take(Action.IMAGES, sending.user_id)
            stored = _found(await queries.store_message(new))
            await remember(sending, stored[0])
        return stored

    def _check_length(self, content: str) -> None:
        if len(content) > self._message_max_length:
            raise FieldError(
                "/content", f"A message may have up to {self._message_max_length} characters. Shorten it."
            )

    # Responses

    async def response(self, response_id: UUID, *, user_id: UUID) -> Response:
        """Return the owner's response."""
        response = await queries.get_response(response_id, user_id=user_id)
        if response is None:
            raise ResponseNotFoundError
        return response

    async def cancel(self, response_id: UUID, *, user_id: UUID) -> Response:
        """Stop a response; one that has ended is returned as it is."""
        response = await self.response(response_id, user_id=user_id)
        if response.has_ended:
            return response
        job_id = await queries.job_of(response_id)
        if job_id is None:
            raise ResponseNotFoundError
        async with ENGINE.transaction():
            status_before = await store.cancel(job_id)
            if status_before is not None:
                await queries.cancel_response(response_id)
        if status_before is not None:
            metrics.RESPONSES.labels("cancelled").inc()
        if status_before == JobStatus.IN_PROGRESS:
            await self._stop_worker(job_id, response)
        else:
            self._bus.publish(Changed(response.conversation_id, response_id))
        await self._relay.ring_next(lane_of(response.conversation_id), kind=JobKind.REPLY, user_id=user_id)
        return await self.response(response_id, user_id=user_id)

    async def retry(self, response_id: UUID, *, user_id: UUID) -> Response:
        """Queue a response that failed or was cancelled once more, under the same id.

        Raises:
            ResponseNotFoundError, ResponseNotRetryableError: as they say.
            ResponseOutdatedError: it was to change a message that the talk has gone on from.
            TooManyRequestsError: too many replies in this minute.
        """
        response = await self.response(response_id, user_id=user_id)
        job = reply_job(response.conversation_id, user_id=user_id, response_id=response_id)
        async with ENGINE.transaction():
            await self._limits.take(Action.CHAT, user_id)
            attempt = await queries.requeue_response(response_id, job_id=job.id)
            if attempt is None:
                raise await self._why_not(response_id, user_id=user_id)
            await store.insert(msgspec.structs.replace(job, attempt=attempt))
        self._relay.ring(job.id, job.kind)
        self._bus.publish(Changed(response.conversation_id, response_id))
        return await self.response(response_id, user_id=user_id)

    async def _why_not(self, response_id: UUID, *, user_id: UUID) -> HubError:
        status = (await self.response(response_id, user_id=user_id)).status
        return ResponseOutdatedError() if status in ("failed", "cancelled") else ResponseNotRetryableError()

    async def _stop_worker(self, job_id: UUID, response: Response) -> None:
        """Wait until the worker has stored what it had said beyond the last save, and told so."""
        watch = _Watch(response.id)
        self._bus.subscribe(response.conversation_id, watch)
        try:
            self._bus.publish(JobCancelled(job_id))
            async with asyncio.timeout(WORKER_STOPS_WITHIN):
                await watch.changed.wait()
        except TimeoutError:
            self._bus.publish(Changed(response.conversation_id, response.id))
        finally:
            self._bus.unsubscribe(response.conversation_id, watch)


async def check(conversation_id: UUID, *, user_id: UUID, expected: Expected) -> None:
    """Return if the owner's conversation is as an editor expects; for a transaction that has its row locked.

    Raises:
        ConversationNotFoundError: there is none.
        StaleEditError: it is not.
    """
    if expected is not ANYTHING:
        conversation = await queries.get_conversation(conversation_id, user_id=user_id)
        if conversation is None:
            raise ConversationNotFoundError
        expected.check(conversation)


def lane_of(conversation_id: UUID) -> str:
    """Return the lane that the replies of a conversation run in, one after the other."""
    return f"conversation:{conversation_id}"


def _said(sent: Sent) -> Said | Changed:
    """Make the event of a stored message; a long one is to be looked up instead."""
    message = sent.message
    response_id = sent.response.id if sent.response else None
    if len(message.content) > DELTA_LIMIT:
        return Changed(message.conversation_id, response_id)
    return Said(
        message.conversation_id,
        response_id,
        message.id,
        message.position,
        message.content,
        message.created_at,
    )


def reply_job(conversation_id: UUID, *, user_id: UUID, response_id: UUID | None = None) -> NewJob:
    """Make the job that writes a response, a new one unless it is named."""
    return NewJob(
        id=new_id(),
        kind=JobKind.REPLY,
        lane=lane_of(conversation_id),
        user_id=user_id,
        subject_id=response_id or new_id(),
        request_id=str(get_contextvars().get("request_id", "")),
    )


def _found(stored: tuple[Sent, UUID] | None) -> tuple[Sent, UUID]:
    if stored is None:
        raise ConversationNotFoundError
    return stored
