"""A delivery from the worker's side: begin an attempt, and say how it went. All through the job's fence."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from hub.db.engine import ENGINE
from hub.domain.webhooks.events import lane_of
from hub.jobs import queue, store
from hub.jobs.contracts import Cancelled, Claim

#: How long nothing may have got through when a delivery fails for good, before its webhook is disabled.
DISABLE_AFTER = timedelta(days=5)
#: Seconds for which a receiver that does not answer is left alone by other deliveries, at the most.
LONGEST_REST = 60.0


class Sending(Struct, frozen=True, kw_only=True):
    """A delivery that is to be tried now; ``seeds`` are those that sign, the newest first."""

    claim: Claim
    webhook_id: UUID
    url: str
    seeds: list[bytes]
    event_id: UUID
    event: str
    body: str


class Failure(Struct, frozen=True, kw_only=True):
    """Why an attempt failed.

    ``status_code`` is what the receiver answered, if it did. ``retry_after`` is the pause in seconds that it
    wishes. ``is_gone``: it wants nothing more, ever. ``is_away``: others would not get through either.
    """

    text: str
    status_code: int | None = None
    retry_after: float | None = None
    is_gone: bool = False
    is_away: bool = False


class Outcome(Struct, frozen=True, kw_only=True):
    """What follows from a failure: the ``pause`` in seconds until it is tried again, None if it is not.

    ``disabled``: the webhook was, and ``cancelled`` is what waited for it.
    """

    pause: float | None = None
    disabled: str | None = None
    cancelled: list[Cancelled] = []


_BEGIN = f"""
WITH claimed AS ({store.CLAIM})
SELECT claimed.*, found.* FROM claimed LEFT JOIN LATERAL (
    SELECT webhook_id, url, event_id, event, body, seed,
        CASE WHEN old_until > now() THEN old_seed END AS old_seed,
        webhooks.disabled_at IS NOT NULL OR users.disabled_at IS NOT NULL AS is_disabled
    FROM webhook_deliveries JOIN webhooks ON webhooks.id = webhook_id
    JOIN users ON users.id = webhooks.user_id
    WHERE webhook_deliveries.id = claimed.job_id
) AS found ON true
"""  # noqa: S608 - a constant


async def begin(job_id: UUID, *, worker: str) -> Sending | None:
    """Claim a job; None when there is nothing to do: taken, ended, not due, its webhook disabled or gone."""
    row = await store.claim(_BEGIN, job_id, worker=worker)
    if row is None:
        return None
    claim = Claim.of(row)
    if row["webhook_id"] is None or row["is_disabled"]:
        code = "webhook_gone" if row["webhook_id"] is None else "webhook_disabled"
        await store.fail(claim, code=code, message="It was not sent: the webhook is disabled.")
        await queue.ring_next_later(claim)
        return None
    return Sending(
        claim=claim,
        webhook_id=row["webhook_id"],
        url=row["url"],
        seeds=[seed for seed in (row["seed"], row["old_seed"]) if seed is not None],
        event_id=row["event_id"],
        event=row["event"],
        body=row["body"],
    )


async def succeed(sending: Sending, status_code: int) -> bool:
    """Note that the receiver has it; False when the job is no longer the caller's."""
    async with ENGINE.transaction(), ENGINE.connection() as connection:
        if not await store.complete(sending.claim):
            return False
        await _note(sending, status_code, None)
        await connection.execute(
            "UPDATE webhooks SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL",
            sending.webhook_id,
        )
    return True


async def fail(sending: Sending, failure: Failure) -> Outcome | None:
    """Note that an attempt failed, and have it tried again or give it up; None when the job is lost."""
    async with ENGINE.transaction():
        if failure.is_gone or sending.claim.is_last:
            return await _give_up(sending, failure)
        pause = await store.retry_later(sending.claim, retry_after=failure.retry_after)
        if pause is None:
            return None
        await _note(sending, failure.status_code, failure.text)
        await _note_failing(sending.webhook_id)
        if failure.is_away:
            rest = max(failure.retry_after or 0.0, min(pause, LONGEST_REST))
            await store.rest(sending.claim.lane, seconds=rest)
    return Outcome(pause=pause)


async def _give_up(sending: Sending, failure: Failure) -> Outcome | None:
    reason = "gone" if failure.is_gone else "failing" if await _failed_for_long(sending.webhook_id) else None
    if reason is not None:
        await store.lock_lane(sending.claim.lane)
    if not await store.fail(sending.claim, code="webhook_failed", message=failure.text):
        return None
    await _note(sending, failure.status_code, failure.text)
    if reason is None:
        await _note_failing(sending.webhook_id)
        return Outcome()
    cancelled = await store.cancel_lanes([lane_of(sending.webhook_id)])  # jobs are locked before webhooks
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE webhooks SET disabled_at = now(), disabled_reason = $2"
            " WHERE id = $1 AND disabled_at IS NULL",
            sending.webhook_id,
            reason,
        )
    return Outcome(disabled=reason, cancelled=cancelled)


async def _note(sending: Sending, status_code: int | None, error: str | None) -> None:
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE webhook_deliveries SET last_status_code = $2, last_error = $3 WHERE id = $1",
            sending.claim.job_id,
            status_code,
            error,
        )


async def _note_failing(webhook_id: UUID) -> None:
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE webhooks SET failing_since = now() WHERE id = $1 AND failing_since IS NULL", webhook_id
        )


async def _failed_for_long(webhook_id: UUID) -> bool:
    async with ENGINE.connection() as connection:
        return bool(
            await connection.fetchval(
                "SELECT failing_since < now() - $2::interval FROM webhooks WHERE id = $1",
                webhook_id,
                DISABLE_AFTER,
            )
        )
