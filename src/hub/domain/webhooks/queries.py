"""Reading and writing of webhooks, from their owners' side."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asyncpg import Record

from hub.core.pages import TimeCursor
from hub.db.engine import ENGINE
from hub.domain.webhooks.events import Event
from hub.domain.webhooks.schemas import Delivery, Webhook
from hub.jobs.contracts import JobKind, attempts_of

_WEBHOOK = """id, url, events, description, disabled_at IS NOT NULL AS disabled, disabled_reason,
    failing_since, created_at, updated_at"""


def _webhook(row: Record) -> Webhook:
    return Webhook(**row)


async def insert(
    webhook_id: UUID, *, user_id: UUID, url: str, events: list[str], description: str, seed: bytes
) -> Webhook:
    """Store a new webhook."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "INSERT INTO webhooks (id, user_id, url, events, description, seed)"  # noqa: S608 - a constant
            f" VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_WEBHOOK}",
            webhook_id,
            user_id,
            url,
            events,
            description,
            seed,
        )
    return _webhook(row)


async def count(user_id: UUID) -> int:
    """Return how many webhooks a user has."""
    async with ENGINE.connection() as connection:
        number: int = await connection.fetchval("SELECT count(*) FROM webhooks WHERE user_id = $1", user_id)
    return number


async def get(webhook_id: UUID, *, user_id: UUID) -> Webhook | None:
    """Return the owner's webhook, or None."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT {_WEBHOOK} FROM webhooks WHERE id = $1 AND user_id = $2",  # noqa: S608 - a constant
            webhook_id,
            user_id,
        )
    return _webhook(row) if row else None


async def page(*, user_id: UUID, limit: int, after: TimeCursor | None) -> list[Webhook]:
    """Return up to ``limit`` webhooks of a user, the newest first."""
    older = "AND (created_at, id) < ($3, $4)" if after else ""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            f"SELECT {_WEBHOOK} FROM webhooks WHERE user_id = $1 {older}"  # noqa: S608 - constants
            " ORDER BY created_at DESC, id DESC LIMIT $2",
            user_id,
            limit,
            *((after.created_at, after.id) if after else ()),
        )
    return [_webhook(row) for row in rows]


async def lock(webhook_id: UUID) -> None:
    """Keep others from changing a webhook until the transaction ends."""
    async with ENGINE.connection() as connection:
        await connection.execute("SELECT FROM webhooks WHERE id = $1 FOR NO KEY UPDATE", webhook_id)


async def keep(webhook_id: UUID) -> None:
    """Keep others from deleting a webhook until the transaction ends; they may change it."""
    async with ENGINE.connection() as connection:
        await connection.execute("SELECT FROM webhooks WHERE id = $1 FOR KEY SHARE", webhook_id)


async def update(webhook_id: UUID, *, user_id: UUID, changes: Mapping[str, Any]) -> Webhook | None:
    """Change columns of the owner's webhook; None when there is none."""
    columns = "".join(f", {name} = ${number}" for number, name in enumerate(changes, start=3))
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            f"UPDATE webhooks SET updated_at = now(){columns} WHERE id = $1 AND user_id = $2"  # noqa: S608 - names of columns
            f" RETURNING {_WEBHOOK}",
            webhook_id,
            user_id,
            *changes.values(),
        )
    return _webhook(row) if row else None


async def rotate(webhook_id: UUID, *, user_id: UUID, seed: bytes, overlap: timedelta) -> datetime | None:
    """Give the owner's webhook another seed; return until when the old one counts, None without a webhook."""
    async with ENGINE.connection() as connection:
        until: datetime | None = await connection.fetchval(
            "UPDATE webhooks SET updated_at = now(), seed = $3, old_seed = seed,"
            " old_until = now() + $4::interval"
            " WHERE id = $1 AND user_id = $2 RETURNING old_until",
            webhook_id,
            user_id,
            seed,
            overlap,
        )
    return until


async def delete(webhook_id: UUID, *, user_id: UUID) -> bool:
    """Remove the owner's webhook with its deliveries; False when there is none."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "DELETE FROM webhooks WHERE id = $1 AND user_id = $2", webhook_id, user_id
        )
    return bool(status == "DELETE 1")


# Deliveries. How one stands is what its job says; handing over adds to both counts, so it is no attempt.

_DELIVERIES = f"""
SELECT webhook_deliveries.id, event_id, event, webhook_deliveries.subject_id, status,
    attempt - max_attempts + {attempts_of(JobKind.WEBHOOK)} AS attempts,
    last_status_code AS status_code, COALESCE(last_error, error_message) AS error,
    CASE status WHEN 'queued' THEN due_at END AS next_attempt_at,
    webhook_deliveries.created_at, completed_at
FROM webhook_deliveries JOIN jobs ON jobs.id = webhook_deliveries.id
"""  # noqa: S608 - a constant


async def deliveries(webhook_id: UUID, *, limit: int, after: TimeCursor | None) -> list[Delivery]:
    """Return up to ``limit`` deliveries of a webhook, the newest first."""
    table = "webhook_deliveries"
    older = f"AND ({table}.created_at, {table}.id) < ($3, $4)" if after else ""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            f"{_DELIVERIES} WHERE webhook_id = $1 {older}"
            f" ORDER BY {table}.created_at DESC, {table}.id DESC LIMIT $2",
            webhook_id,
            limit,
            *((after.created_at, after.id) if after else ()),
        )
    return [Delivery(**row) for row in rows]


async def delivery(delivery_id: UUID, *, webhook_id: UUID) -> Delivery | None:
    """Return a delivery of a webhook, or None."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            f"{_DELIVERIES} WHERE webhook_deliveries.id = $1 AND webhook_id = $2", delivery_id, webhook_id
        )
    return Delivery(**row) if row else None


async def event_of_delivery(delivery_id: UUID) -> Event | None:
    """Return the event that a delivery tells of; None when it has been forgotten."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT event_id AS id, event AS type, subject_id, body FROM webhook_deliveries WHERE id = $1",
            delivery_id,
        )
    return Event(**row) if row else None


async def make_due(delivery_id: UUID) -> None:
    """Let a delivery that waits for its next attempt be tried now."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE jobs SET due_at = now(), published_at = NULL WHERE id = $1 AND status = 'queued'",
            delivery_id,
        )
