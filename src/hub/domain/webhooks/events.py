"""Telling webhooks what happened: deliveries are stored in the transaction in which it happens."""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec import Struct

from hub.core.clock import utc_now
from hub.core.ids import new_id
from hub.db.engine import ENGINE
from hub.domain.webhooks.schemas import EventData, Payload
from hub.jobs import store
from hub.jobs.contracts import JobKind, NewJob


class Event(Struct, frozen=True, kw_only=True):
    """What is told, as every webhook of its user gets it."""

    id: UUID
    type: str
    subject_id: UUID
    body: str


def event_of(data: EventData) -> Event:
    """Make the event that something has happened just now."""
    payload = Payload(type=data.TYPE, timestamp=utc_now(), data=data)
    return Event(id=new_id(), type=data.TYPE, subject_id=data.id, body=msgspec.json.encode(payload).decode())


async def announce(data: EventData, *, user_id: UUID | None, request_id: str = "") -> list[UUID]:
    """Store a delivery for each webhook that wants to know, in the caller's transaction.

    Returns:
        The ids of the jobs, to be rung for after the commit; the sweep does it within two seconds otherwise.
    """
    listening = await _listening(data.TYPE, user_id=user_id) if user_id is not None else []
    if not listening:
        return []
    event = event_of(data)
    return [await deliver(event, each, user_id=user_id, request_id=request_id) for each in listening]


# A webhook that is just being deleted is waited for, and then passed over: nothing could refer to it.
_LISTENING = """
SELECT webhooks.id FROM webhooks JOIN users ON users.id = user_id
WHERE user_id = $1 AND webhooks.disabled_at IS NULL AND users.disabled_at IS NULL AND $2 = ANY(events)
FOR KEY SHARE OF webhooks
"""


async def _listening(event_type: str, *, user_id: UUID) -> list[UUID]:
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_LISTENING, user_id, event_type)
    return [row["id"] for row in rows]


_DELIVER = f"""
WITH job AS ({store.insertion(first=1)} RETURNING id)
INSERT INTO webhook_deliveries (id, webhook_id, event_id, event, subject_id, body)
SELECT id, $12, $13, $14, $15, $16 FROM job
"""  # noqa: S608 - constants


async def deliver(event: Event, webhook_id: UUID, *, user_id: UUID | None, request_id: str) -> UUID:
    """Store the delivery of an event to a webhook, with its job, and return their id."""
    job = NewJob(
        id=new_id(),
        kind=JobKind.WEBHOOK,
        lane=lane_of(webhook_id),
        user_id=user_id,
        subject_id=webhook_id,
        request_id=request_id,
        shares_lane=True,
    )
    values = store.insertion_values(job)
    async with ENGINE.connection() as connection:
        await connection.execute(
            _DELIVER, *values, webhook_id, event.id, event.type, event.subject_id, event.body
        )
    return job.id


def lane_of(webhook_id: UUID) -> str:
    """Return the lane of a webhook's deliveries.

    One is under way at a time, in the order of the events; one that waits for its next attempt keeps no
    other waiting, since the lane is of the shared kind.
    """
    return f"webhook:{webhook_id}"
