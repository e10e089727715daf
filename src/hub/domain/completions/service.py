"""Completions and what clients do with them: ask, read, stop, forget."""

from __future__ import annotations

import asyncio
from uuid import UUID

from structlog.contextvars import get_contextvars

from hub.core import metrics
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.db.engine import ENGINE, UNAVAILABLE
from hub.domain.chat.schemas import ResponseError
from hub.domain.completions import queries
from hub.domain.completions.errors import (
    CompletionNotFoundError,
    ModelNotFoundError,
    PreviousNotCompleteError,
    PreviousNotFoundError,
)
from hub.domain.completions.queries import NewCompletion
from hub.domain.completions.schemas import Asked, Completion, Kind, Model
from hub.domain.limits.service import Action, Limits
from hub.jobs import store
from hub.jobs.contracts import JobKind, JobStatus, NewJob
from hub.jobs.relay import Relay
from hub.live.bus import Bus
from hub.live.events import Changed, JobCancelled
from hub.providers.llm.protocol import ChatMessage

logger = get_logger(__name__)

#: Seconds that a process which ends gives to what still has to be stopped for clients that have left.
SETTLE_WITHIN = 1.0


class CompletionService:
    """What clients of the OpenAI-compatible API do. Each call checks that what it touches is the user's."""

    def __init__(self, *, relay: Relay, bus: Bus, limits: Limits) -> None:
        self._relay = relay
        self._bus = bus
        self._limits = limits
        self._leaving: set[asyncio.Task[None]] = set()

    async def models(self, *, user_id: UUID) -> list[Model]:
        """Return all of the user's companions, the newest first."""
        return await queries.models(user_id=user_id)

    async def model(self, companion_id: UUID, *, user_id: UUID) -> Model:
        """Return one of the user's companions.

        Raises:
            ModelNotFoundError: not the user's.
        """
        model = await queries.model(companion_id, user_id=user_id)
        if model is None:
            raise ModelNotFoundError
        return model

    async def ask(
        self,
        asked: Asked,
        *,
        kind: Kind,
        companion_id: UUID,
        user_id: UUID,
        stored: bool = False,
        previous_id: UUID | None = None,
        own: frozenset[UUID] = frozenset(),
    ) -> Completion:
        """Queue a text to be written.

        Args:
            asked: what the client says.
            kind: which API it came by.
            companion_id: who is to speak.
            user_id: who asks.
            stored: whether it may be read later; if not, whoever waits for it forgets it.
            previous_id: the response to go on with.
            own: responses that are not stored, and may be gone on with nevertheless.

        Raises:
            ModelNotFoundError: the companion is not the user's.
            PreviousNotFoundError: the previous response is not there for the user.
            PreviousNotCompleteError: it has no text to go on with.
            TooManyRequestsError: the user asked too often.
        """
        if previous_id is not None:
            await self._check_previous(previous_id, user_id=user_id, own=own)
        new = NewCompletion(
            job=_job(user_id),
            companion_id=companion_id,
            kind=kind,
            stored=stored,
            previous_id=previous_id,
            asked=asked,
        )
        async with ENGINE.transaction():
            await self._limits.take(Action.CHAT, user_id)
            completion = await queries.insert(new)
            if completion is None:
                raise ModelNotFoundError
        self._relay.ring(new.job.id, new.job.kind)
        logger.info("completion asked for", job_id=str(new.job.id), companion_id=str(companion_id), kind=kind)
        return completion

    async def _check_previous(self, previous_id: UUID, *, user_id: UUID, own: frozenset[UUID]) -> None:
        previous = await queries.get(previous_id, user_id=user_id)
        if previous is None or not (previous.stored or previous.id in own):
            raise PreviousNotFoundError
        if not previous.has_ended or not previous.output_text:
            raise PreviousNotCompleteError

    async def get(self, completion_id: UUID, *, user_id: UUID) -> Completion:
        """Return a stored completion of the owner.

        Raises:
            CompletionNotFoundError: not the user's, or not stored.
        """
        completion = await queries.get(completion_id, user_id=user_id)
        if completion is None or not completion.stored:
            raise CompletionNotFoundError
        return completion

    async def input_of(self, completion: Completion) -> list[ChatMessage]:
        """Return all messages that led to a completion, the oldest first."""
        before = await queries.talk_before(completion.previous_id) if completion.previous_id else []
        return [*before, *completion.asked.messages]

    async def cancel(self, completion_id: UUID, *, user_id: UUID) -> Completion:
        """Stop a stored completion; one that has ended is returned as it is."""
        completion = await self.get(completion_id, user_id=user_id)
        if not completion.has_ended:
            await self._stop(completion_id, user_id=user_id)
        return await self.get(completion_id, user_id=user_id)

    async def delete(self, completion_id: UUID, *, user_id: UUID) -> None:
        """Stop a stored completion if it is under way, and forget it."""
        completion = await self.get(completion_id, user_id=user_id)
        if not completion.has_ended:
            await self._stop(completion_id, user_id=user_id)
        await queries.delete(completion_id)

    async def give_up(self, completion: Completion, *, user_id: UUID, error: ResponseError) -> None:
        """Stop a completion for a reason of our own, which its row then says."""
        await self._stop(completion.id, user_id=user_id, error=error)

    async def forget(self, completion_id: UUID) -> None:
        """Forget a completion that whoever waited for it has, or does not want."""
        await queries.delete(completion_id)

    def leave(self, completion: Completion, *, user_id: UUID) -> None:
        """Stop a completion whose client has left, and forget it unless it is stored; without waiting.

        Whoever calls this is being cancelled, and cannot wait for anything.
        """
        task = asyncio.create_task(self._leave(completion, user_id=user_id), name=f"leave {completion.id}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def settle(self) -> None:
        """Let what still has to be stopped be stopped, for a process that ends."""
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=SETTLE_WITHIN)

    async def _leave(self, completion: Completion, *, user_id: UUID) -> None:
        try:
            await self._stop(completion.id, user_id=user_id)
            if not completion.stored:
                await queries.delete(completion.id)
        except UNAVAILABLE as error:  # it is written for nobody, and forgotten with its job
            logger.warning("completion not stopped", reason=type(error).__name__)

    async def _stop(self, completion_id: UUID, *, user_id: UUID, error: ResponseError | None = None) -> None:
        """End a completion from outside; its worker, if there is one, closes what it has open."""
        async with ENGINE.transaction():
            status_before = await store.cancel(completion_id)
            if status_before is not None:
                await queries.end(completion_id, status="failed" if error else "cancelled", error=error)
        if status_before is None:
            return
        metrics.RESPONSES.labels("failed" if error else "cancelled").inc()
        self._bus.publish(JobCancelled(completion_id))
        if status_before != JobStatus.IN_PROGRESS:  # else its worker tells, after its last words
            self._bus.publish(Changed(completion_id, completion_id))
        logger.info("completion stopped", job_id=str(completion_id))
        lane = lane_of(completion_id)
        await self._relay.ring_next(lane, kind=JobKind.COMPLETION, user_id=user_id)


def lane_of(completion_id: UUID) -> str:
    """Return the lane of a completion, which it has for itself: each is a talk of its own."""
    return f"completion:{completion_id}"


def _job(user_id: UUID) -> NewJob:
    job_id = new_id()
    return NewJob(
        id=job_id,
        kind=JobKind.COMPLETION,
        lane=lane_of(job_id),
        user_id=user_id,
        subject_id=job_id,
        request_id=str(get_contextvars().get("request_id", "")),
    )
