"""Asking for a response without a new message: an answer that is missing, another one, or more of it."""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec import Struct

from hub.core.logging import get_logger
from hub.db.engine import ENGINE
from hub.domain.chat import asking_queries, queries
from hub.domain.chat.errors import (
    ConversationNotFoundError,
    NothingToAnswerError,
    NothingToContinueError,
    NothingToRegenerateError,
    ResponseNotFoundError,
    ResponseUnderWayError,
)
from hub.domain.chat.idempotency import Asking, KeyInUseError, recall_asked, remember_asked
from hub.domain.chat.schemas import Response
from hub.domain.chat.service import reply_job
from hub.domain.limits.errors import TooManyRequestsError
from hub.domain.limits.service import Action, Limits
from hub.jobs import store
from hub.jobs.contracts import NewJob
from hub.jobs.relay import Relay
from hub.live.bus import Bus
from hub.live.events import Changed

logger = get_logger(__name__)


class Asked(Struct, frozen=True):
    """The response that was asked for, or that the same request asked for before (``replayed``)."""

    response: Response
    replayed: bool


class _AskedBeforeError(Exception):
    """The same request was faster; this one must leave no trace."""


class Responses:
    """Asks for responses. Only one is under way in a conversation that way, at the end of its talk."""

    def __init__(self, *, relay: Relay, bus: Bus, limits: Limits) -> None:
        self._relay = relay
        self._bus = bus
        self._limits = limits

    async def ask(self, asking: Asking) -> Asked:
        """Queue a response that answers the last message, or changes it.

        The same request under the same key returns what the first one asked for.

        Raises:
            ConversationNotFoundError: not the user's.
            ResponseUnderWayError: another response is queued or being written.
            NothingToAnswerError: every message has its reply.
            NothingToRegenerateError: the talk does not end with an answer of the companion.
            NothingToContinueError: the talk does not end with a message of the companion.
            IdempotencyKeyReusedError: the key stands for something else.
            TooManyRequestsError: too much was asked for.
        """
        if (before := await recall_asked(asking)) is not None:
            return Asked(await self._get(before, asking), replayed=True)
        job = reply_job(asking.conversation_id, user_id=asking.user_id)
        try:
            async with ENGINE.transaction():
                job = await self._store(asking, job)
        except (KeyInUseError, _AskedBeforeError):
            return await self.ask(asking)
        except TooManyRequestsError:
            if (before := await recall_asked(asking)) is None:
                raise
            return Asked(await self._get(before, asking), replayed=True)  # it took the last
        self._relay.ring(job.id, job.kind)
        self._bus.publish(Changed(asking.conversation_id, job.subject_id))
        logger.info(
            "response asked for",
            job_id=str(job.id),
            conversation_id=str(asking.conversation_id),
            kind=asking.command.kind,
        )
        return Asked(await self._get(job.subject_id, asking), replayed=False)

    async def _get(self, response_id: UUID, asking: Asking) -> Response:
        response = await queries.get_response(response_id, user_id=asking.user_id)
        if response is None:
            raise ResponseNotFoundError
        return response

    async def _store(self, asking: Asking, job: NewJob) -> NewJob:
        """Store what is asked for, all or nothing; return its job as it was stored."""
        if asking.command.generate_image:
            await self._limits.take(Action.IMAGES, asking.user_id)
        await self._limits.take(Action.CHAT, asking.user_id)
        if await asking_queries.lock(asking.conversation_id, user_id=asking.user_id) is None:
            raise ConversationNotFoundError
        if await recall_asked(asking) is not None:
            raise _AskedBeforeError
        if await asking_queries.has_response_under_way(asking.conversation_id):
            raise ResponseUnderWayError
        if asking.command.kind == "reply":
            job, request_id = await self._store_reply(asking, job)
        else:
            request_id = await self._store_change(asking, job)
        await remember_asked(asking, request_message_id=request_id, response_id=job.subject_id)
        return job

    async def _store_reply(self, asking: Asking, job: NewJob) -> tuple[NewJob, UUID]:
        """Ask for the answer that is missing; one that failed or was cancelled is tried again."""
        message_id = await asking_queries.unanswered(asking.conversation_id)
        if message_id is None:
            raise NothingToAnswerError
        failed = await asking_queries.failed_reply(message_id)
        if failed is None:
            await self._insert(asking, job, request_id=message_id, target_id=None)
            return job, message_id
        with_image = asking.command.generate_image
        attempt = await asking_queries.requeue(failed, job_id=job.id, generate_image=with_image)
        if attempt is None:
            raise ResponseUnderWayError
        job = msgspec.structs.replace(job, subject_id=failed, attempt=attempt)
        await store.insert(job)
        return job, message_id

    async def _store_change(self, asking: Asking, job: NewJob) -> UUID:
        end = await asking_queries.end_of(asking.conversation_id)
        if asking.command.kind == "continue":
            if end is None:
                raise NothingToContinueError
            request_id = end.request_message_id or end.message_id
        elif end is None or end.request_message_id is None:
            raise NothingToRegenerateError
        else:
            request_id = end.request_message_id
        await self._insert(asking, job, request_id=request_id, target_id=end.message_id)
        return request_id

    async def _insert(self, asking: Asking, job: NewJob, *, request_id: UUID, target_id: UUID | None) -> None:
        await asking_queries.insert(
            asking_queries.NewResponse(
                conversation_id=asking.conversation_id,
                kind=asking.command.kind,
                request_message_id=request_id,
                target_message_id=target_id,
                generate_image=asking.command.generate_image,
                job=job,
            )
        )
