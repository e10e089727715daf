"""A completion from the worker's side: begin an attempt, save what is said, end it. All through the fence.

The fence is the job's attempt, as in :mod:`hub.domain.chat.turns`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from hub.core.clock import utc_now
from hub.db.engine import ENGINE
from hub.domain.chat import turns
from hub.domain.chat.prompt import Persona
from hub.domain.chat.schemas import ResponseError
from hub.domain.chat.turns import KEEP_WITHIN
from hub.domain.completions import queries
from hub.domain.completions.schemas import Asked
from hub.domain.scenes import queries as scenes
from hub.jobs import queue, store
from hub.jobs.contracts import Claim, JobKind, JobLostError, JobStatus, Rescued
from hub.providers.llm.protocol import ChatMessage, Finish


class Work(Struct, frozen=True, kw_only=True):
    """What a worker needs to know to write a completion; ``talk`` is what the client says, all of it."""

    claim: Claim
    companion_id: UUID
    asked_at: datetime
    waited: timedelta
    persona: Persona
    asked: Asked
    talk: list[ChatMessage]


_BEGIN = f"""
WITH claimed AS ({store.CLAIM}), begun AS (
    UPDATE completions SET status = 'in_progress', attempt = claimed.attempt, output_text = ''
    FROM claimed, companions, users, {scenes.SETTING}
    WHERE completions.id = claimed.subject_id AND completions.status IN ('queued', 'in_progress')
    AND completions.attempt <= claimed.attempt AND companions.id = companion_id
    AND users.id = completions.user_id
    RETURNING completions.companion_id, previous_id, request, completions.created_at AS asked_at,
        users.display_name, companions.name, description, appearance, user_appearance, setting.*
)
SELECT claimed.*, begun.* FROM claimed LEFT JOIN begun ON true
"""  # noqa: S608 - a constant


async def begin(job_id: UUID, *, worker: str, cap: int | None) -> Work | None:
    """Claim a job and begin the attempt: the completion is in progress, with an empty text.

    Args:
        job_id: the job.
        worker: who runs it, for operators.
        cap: turns that one user may have written at the same time; None for any number.

    Returns:
        None when there is nothing to do: the job is taken, ended, not due yet or beyond its user's cap, or
        the completion has ended or is gone.
    """
    row = await store.claim(_BEGIN, job_id, worker=worker, cap=cap)
    if row is None:
        return None
    claim = Claim.of(row)
    if row["companion_id"] is None:
        await _fail_gone(claim)
        await queue.ring_next_later(claim, cap=cap)
        return None
    asked = msgspec.json.decode(row["request"], type=Asked)
    before = await queries.talk_before(row["previous_id"]) if row["previous_id"] else []
    own = [ChatMessage(role="system", content=asked.instructions)] if asked.instructions else []
    return Work(
        claim=claim,
        companion_id=row["companion_id"],
        asked_at=row["asked_at"],
        waited=utc_now() - claim.created_at,
        persona=Persona.of(row, scenes.setting_of(row).scene),
        asked=asked,
        talk=[*own, *before, *asked.messages],
    )


async def save(work: Work, text: str) -> bool:
    """Store the text so far; False when the work is lost."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "UPDATE completions SET output_text = $3"
            " WHERE id = $1 AND attempt = $2 AND status = 'in_progress'",
            work.claim.job_id,
            work.claim.attempt,
            text,
        )
    return bool(status == "UPDATE 1")


async def lose(work: Work, text: str) -> None:
    """Store the last words of what was just cancelled; end the job of what is gone, once and for all."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE completions SET output_text = $3 WHERE id = $1 AND attempt = $2 AND status = 'cancelled'"
            " AND length(output_text) < length($3) AND completed_at > now() - $4 * interval '1 second'"
            " AND EXISTS (SELECT FROM jobs WHERE id = $1 AND worker IS NOT NULL)",  # not taken back before
            work.claim.job_id,
            work.claim.attempt,
            text,
            KEEP_WITHIN,
        )
    if await queries.read(work.claim.job_id) is None:
        await _fail_gone(work.claim)


_COMPLETE = f"""
WITH job AS ({store.completion()})
UPDATE completions SET status = 'completed', output_text = $3, usage = $4, finish_reason = $5,
    completed_at = now()
FROM job WHERE id = $1 AND attempt = $2 AND status = 'in_progress'
"""  # noqa: S608 - a constant


async def complete(work: Work, text: str, finish: Finish) -> None:
    """End job and completion well, both or neither.

    Raises:
        JobLostError: somebody else ended it first.
    """
    usage = msgspec.json.encode(finish.usage).decode() if finish.usage else None
    async with ENGINE.transaction(), ENGINE.connection() as connection:
        status = await connection.execute(
            _COMPLETE, work.claim.job_id, work.claim.attempt, text, usage, finish.reason
        )
        if status != "UPDATE 1":
            raise JobLostError


async def fail(work: Work, text: str, *, code: str, message: str) -> None:
    """End job and completion with an error that the user can read; the text so far stays.

    Raises:
        JobLostError: somebody else ended it first.
    """
    async with ENGINE.transaction():
        if not await store.fail(work.claim, code=code, message=message):
            raise JobLostError
        await save(work, text)
        await queries.end(work.claim.job_id, status="failed", error=ResponseError(code=code, message=message))


async def retry_later(work: Work, *, retry_after: float | None) -> float:
    """Give the work back for a later attempt; the text of this one is dropped.

    Returns:
        Seconds until it is due.

    Raises:
        JobLostError: somebody else ended it first.
    """
    async with ENGINE.transaction():
        pause = await store.retry_later(work.claim, retry_after=retry_after)
        if pause is None:
            raise JobLostError
        await _requeue(work.claim.job_id)
    return pause


async def release(work: Work) -> None:
    """Hand the work over at shutdown; another worker begins it afresh at once.

    Raises:
        JobLostError: somebody else ended it first.
    """
    async with ENGINE.transaction():
        if not await store.release(work.claim):
            raise JobLostError
        await _requeue(work.claim.job_id)


async def rescue(*, everything: bool = False) -> tuple[list[Rescued], list[tuple[UUID, UUID]]]:
    """Take back jobs whose worker fell silent, with the turns and completions that they are about.

    Args:
        everything: take back every running one; only for a start at which no worker can be alive.

    Returns:
        All of them, and (conversation id, response id) of what somebody may follow.
    """
    async with ENGINE.transaction():
        rescued, followed = await turns.rescue(everything=everything)
        for each in rescued:
            if each.kind == JobKind.COMPLETION:
                await _settle(each)
                followed.append((each.job_id, each.job_id))
    return rescued, followed


async def _settle(rescued: Rescued) -> None:
    if rescued.status == JobStatus.QUEUED:
        await _requeue(rescued.job_id)
        return
    error = ResponseError(code="worker_lost", message="The reply was interrupted several times. Try again.")
    await queries.end(rescued.job_id, status="failed", error=error)


async def _requeue(completion_id: UUID) -> None:
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE completions SET status = 'queued', output_text = ''"
            " WHERE id = $1 AND status IN ('queued', 'in_progress')",
            completion_id,
        )


async def _fail_gone(claim: Claim) -> None:
    await store.fail(claim, code="completion_gone", message="Nobody waits for it any more.")
