"""A turn from the worker's side: begin an attempt, save what is said, end it. All through the fence.

The fence is the job's attempt: :func:`begin` writes it into the response, and every later write checks it.
A write that finds another attempt, or a response that has ended, changes nothing and says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from hub.core.ids import new_id
from hub.db.engine import ENGINE
from hub.domain.chat import turn_queries
from hub.domain.chat.schemas import ResponseKind
from hub.domain.chat.turn_schemas import After, Turn
from hub.domain.painting import queries as painting
from hub.domain.scenes import queries as scenes
from hub.domain.webhooks import events as webhooks
from hub.domain.webhooks.schemas import ResponseCompleted, ResponseFailed
from hub.jobs import queue, store
from hub.jobs.contracts import Claim, JobKind, JobLostError, JobStatus, Rescued
from hub.providers.llm.protocol import Usage

#: Seconds after a cancel in which its worker may add its last words: longer than it takes to notice one, and
#: shorter than feeds wait for them, so that the text they tell at the end is the stored one for good.
KEEP_WITHIN = 1.25


async def begin(job_id: UUID, *, worker: str, cap: int | None) -> Turn | None:
    """Claim a job and begin the attempt: the response is in progress, with an empty text.

    Args:
        job_id: the job.
        worker: who runs it, for operators.
        cap: replies that one user may have written at the same time; None for any number.

    Returns:
        None when there is nothing to do: the job is taken, ended, not due yet, not at the head of its lane
        or beyond its user's cap, or the response has ended or is gone.
    """
    row = await turn_queries.claim(job_id, worker=worker, cap=cap)
    if row is None:
        return None
    claim = Claim.of(row)
    if row["conversation_id"] is None:
        # Its conversation is gone, or it ended just now; fenced, since it may also run elsewhere.
        await _fail_gone(claim)
        await queue.ring_next_later(claim, cap=cap)
        return None
    setting = scenes.setting_of(row)
    if row["response_kind"] == "regenerate":
        setting = await scenes.setting_before(row["companion_id"], row["target_message_id"]) or setting
    return turn_queries.turn_of(claim, row, setting.scene)


async def save(turn: Turn, text: str) -> bool:
    """Store the text so far; False when the turn is lost."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "UPDATE responses SET output_text = $3 WHERE id = $1 AND attempt = $2 AND status = 'in_progress'",
            turn.response_id,
            turn.claim.attempt,
            text,
        )
    return bool(status == "UPDATE 1")


async def keep(turn: Turn, text: str) -> None:
    """Store what was said of a turn that was just cancelled beyond its last save; of others, nothing."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE responses SET output_text = $3 WHERE id = $1 AND attempt = $2 AND status = 'cancelled'"
            " AND job_id = $4 AND length(output_text) < length($3)"  # not asked for again since then
            " AND completed_at > now() - $5 * interval '1 second'"
            " AND EXISTS (SELECT FROM jobs WHERE id = $4 AND worker IS NOT NULL)",  # not taken back before
            turn.response_id,
            turn.claim.attempt,
            text,
            turn.claim.job_id,
            KEEP_WITHIN,
        )


async def drop(turn: Turn) -> None:
    """End the job of a lost turn whose response is gone, so that its lane goes on; of others, nothing.

    A message that is sent while its conversation is wiped may lose its response and keep its job.
    """
    async with ENGINE.connection() as connection:
        is_there = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM responses WHERE id = $1)", turn.response_id
        )
    if not is_there:
        await _fail_gone(turn.claim)


async def complete(turn: Turn, text: str, usage: Usage | None, after: After | None = None) -> list[UUID]:
    """End the turn well: job, response, the companion's message and what follows it, all or nothing.

    Returns:
        The webhook jobs to be rung for.

    Raises:
        JobLostError: somebody else ended it first.
    """
    message_id = turn.target_message_id or new_id()
    after = after or After()
    async with ENGINE.transaction():
        is_new = turn.target_message_id is None
        store_text = turn_queries.store_reply if is_new else turn_queries.store_rewritten
        if not await store_text(turn, message_id, text, usage):
            raise JobLostError
        if after.image is not None:
            await painting.insert(after.image)
        if after.scene_job is not None:
            await store.insert(after.scene_job)
        if after.findings is not None:
            record = _record_of(turn.kind)
            await record(turn.companion_id, message_id, after.findings, as_of=turn.companion_updated_at)
        done = ResponseCompleted(
            id=turn.response_id,
            conversation_id=turn.conversation_id,
            companion_id=turn.companion_id,
            message_id=message_id,
        )
        return await webhooks.announce(done, user_id=turn.claim.user_id, request_id=turn.claim.request_id)


def _record_of(kind: ResponseKind) -> Callable[..., Awaitable[None]]:
    if kind == "reply":
        return scenes.record
    return scenes.replace if kind == "regenerate" else scenes.ensure


async def fail(turn: Turn, text: str, *, code: str, message: str) -> list[UUID]:
    """End the turn with an error that its user can read; the text so far stays.

    Returns:
        The webhook jobs to be rung for.

    Raises:
        JobLostError: somebody else ended it first.
    """
    async with ENGINE.transaction():
        if not await store.fail(turn.claim, code=code, message=message):
            raise JobLostError
        await turn_queries.end_response(turn.response_id, code=code, message=message, text=text)
        return await _announce_failed(turn.response_id, turn.conversation_id, code, turn.claim.request_id)


async def retry_later(turn: Turn, *, retry_after: float | None) -> float:
    """Give the turn back for a later attempt; the text of this one is dropped.

    Returns:
        Seconds until it is due.

    Raises:
        JobLostError: somebody else ended it first.
    """
    async with ENGINE.transaction():
        pause = await store.retry_later(turn.claim, retry_after=retry_after)
        if pause is None:
            raise JobLostError
        await turn_queries.requeue_response(turn.response_id)
    return pause


async def release(turn: Turn) -> None:
    """Hand the turn over at shutdown; another worker begins it afresh at once.

    Raises:
        JobLostError: somebody else ended it first.
    """
    async with ENGINE.transaction():
        if not await store.release(turn.claim):
            raise JobLostError
        await turn_queries.requeue_response(turn.response_id)


async def rescue(*, everything: bool = False) -> tuple[list[Rescued], list[tuple[UUID, UUID]]]:
    """Take back jobs whose worker fell silent; of those, turns are more than their job.

    Args:
        everything: take back every running one; only for a start at which no worker can be alive.

    Returns:
        All of them, and (conversation id, response id) of the turns, for whoever tells the subscribers.
    """
    async with ENGINE.transaction():
        rescued = await store.rescue(everything=everything)
        turns = [pair for each in rescued if each.kind == JobKind.REPLY and (pair := await _settle(each))]
    return rescued, turns


async def _settle(rescued: Rescued) -> tuple[UUID, UUID] | None:
    if rescued.status == JobStatus.QUEUED:
        conversation_id = await turn_queries.requeue_response(rescued.subject_id)
    else:
        conversation_id = await turn_queries.end_response(
            rescued.subject_id,
            code="worker_lost",
            message="The reply was interrupted several times. Try again.",
        )
        if conversation_id is not None:
            await _announce_failed(rescued.subject_id, conversation_id, "worker_lost")
    return (conversation_id, rescued.subject_id) if conversation_id else None


async def _announce_failed(
    response_id: UUID, conversation_id: UUID, code: str, request_id: str = ""
) -> list[UUID]:
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT user_id, companion_id FROM conversations WHERE id = $1", conversation_id
        )
    failed = ResponseFailed(
        id=response_id, conversation_id=conversation_id, companion_id=row["companion_id"], error_code=code
    )
    return await webhooks.announce(failed, user_id=row["user_id"], request_id=request_id)


async def _fail_gone(claim: Claim) -> None:
    await store.fail(claim, code="response_gone", message="There is nothing to answer any more.")
