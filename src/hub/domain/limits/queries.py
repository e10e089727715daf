"""Reading and writing of counters."""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct

from hub.core.ids import new_id
from hub.db.cleaning import delete_older
from hub.db.engine import ENGINE


class Count(Struct, frozen=True):
    """``used`` in a window that is over in ``left`` seconds; what is refused does not count beyond one."""

    used: int
    left: float


def taking(*, first: int, source: str = "") -> str:
    """Return the statement that counts one more, or the part of a larger one that does.

    It returns ``used``, one more than the limit where that was reached before, and the seconds ``left``.
    Being one statement, which locks the counter until the transaction ends, it lets exactly so many
    through of many at once.

    Args:
        first: number of the first of its parameters, which are :func:`taking_values`.
        source: what stands behind the SELECT of the values: it counts if this gives a row.
    """
    types = ("uuid", "text", "text", "int", "interval")
    key, action, subject, limit, window = (f"${first + at}::{each}" for at, each in enumerate(types))
    return f"""
INSERT INTO rate_limits AS counter (id, action, subject, used, reset_at)
SELECT {key}, {action}, {subject}, 1, now() + {window} {source or "WHERE true"}
ON CONFLICT (action, subject) DO UPDATE SET
    used = CASE WHEN counter.reset_at <= now() THEN 1 ELSE LEAST(counter.used, {limit}) + 1 END,
    reset_at = CASE WHEN counter.reset_at <= now() THEN now() + {window} ELSE counter.reset_at END
RETURNING used, extract(epoch FROM reset_at - now())::float8 AS left_over
"""  # noqa: S608 - numbers of parameters, and constants


_TAKE = taking(first=1)


def taking_values(action: str, subject: str, *, limit: int, window: timedelta) -> tuple[object, ...]:
    """Return the parameters of :func:`taking`."""
    return (new_id(), action, subject, limit, window)


async def take(action: str, subject: str, *, limit: int, window: timedelta) -> Count:
    """Count one more, in the transaction of the caller if there is one."""
    values = taking_values(action, subject, limit=limit, window=window)
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_TAKE, *values)
    return Count(*row)


async def give_back(action: str, subject: str, *, limit: int) -> Count | None:
    """Count one less; None where the window is over."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "UPDATE rate_limits SET used = GREATEST(LEAST(used, $3) - 1, 0)"
            " WHERE action = $1 AND subject = $2 AND reset_at > now()"
            " RETURNING used, extract(epoch FROM reset_at - now())::float8",
            action,
            subject,
            limit,
        )
    return Count(*row) if row is not None else None


async def delete_expired(limit: int) -> int:
    """Forget up to ``limit`` counters whose window is over; return how many."""
    return await delete_older("rate_limits", "reset_at", limit=limit)
