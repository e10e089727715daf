"""Reading and writing of counters."""

from __future__ import annotations

from hub.db.cleaning import delete_older


async def delete_expired(limit: int) -> int:
    """Forget up to ``limit`` counters whose window is over; return how many."""
    return await delete_older("rate_limits", "reset_at", limit=limit)
