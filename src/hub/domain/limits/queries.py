"""Reading and writing of counters."""

from __future__ import annotations

from datetime import timedelta

from hub.core.ids import new_id
from hub.db.cleaning import delete_older
from hub.db.engine import ENGINE

# One statement, which locks the counter: of many at once, exactly so many get through.
_TAKE = """
INSERT INTO rate_limits AS counter (id, action, subject, used, reset_at)
SELECT $1, $2, $3, 1, now() + $5 WHERE $4 > 0
ON CONFLICT (action, subject) DO UPDATE SET
    used = CASE WHEN counter.reset_at <= now() THEN 1 ELSE counter.used + 1 END,
    reset_at = CASE WHEN counter.reset_at <= now() THEN now() + $5 ELSE counter.reset_at END
WHERE counter.used < $4 OR counter.reset_at <= now() RETURNING used
"""


async def take(action: str, subject: str, *, limit: int, window: timedelta) -> bool:
    """Count one more; False when ``limit`` of them were counted in this window already.

    It joins the transaction of the caller, so that what is not done in the end does not count.
    """
    async with ENGINE.connection() as connection:
        used = await connection.fetchval(_TAKE, new_id(), action, subject, limit, window)
    return used is not None


async def seconds_left(action: str, subject: str) -> float | None:
    """Return the seconds until a counter's window is over; None without a counter."""
    async with ENGINE.connection() as connection:
        left: float | None = await connection.fetchval(
            "SELECT extract(epoch FROM reset_at - now())::float8 FROM rate_limits"
            " WHERE action = $1 AND subject = $2",
            action,
            subject,
        )
    return left


async def delete_expired(limit: int) -> int:
    """Forget up to ``limit`` counters whose window is over; return how many."""
    return await delete_older("rate_limits", "reset_at", limit=limit)
