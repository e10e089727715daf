"""Keeping the collector from files that a backup still has to copy.

A backup takes the hold before it looks at the rows. The collector, who has the companion locked, looks for
holds after it has looked for rows: if it sees none, every row that a later backup may see was committed
before, or will be by a writer who puts its files in place anew. So neither has to wait for the other.
"""

from __future__ import annotations

import asyncpg

from hub.db.engine import ENGINE

#: The advisory lock that a backup's session shares with other backups ("hubb" in ASCII).
HOLD = 0x68756262
#: Hours after which a backup that still holds is taken for one that hangs: it will find files missing.
LONGEST = 24

# The number of a lock of 64 bits stands in two columns; the last one tells it from locks of two numbers.
_IS_HELD = f"""
SELECT EXISTS (
    SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND datname = current_database() AND datid = database
        AND classid = 0 AND objid = {HOLD} AND objsubid = 1
        -- The server does not tell one account when another has connected.
        AND coalesce(backend_start, now()) > now() - interval '{LONGEST} hours'
)
"""  # noqa: S608 - constants


async def hold(connection: asyncpg.Connection) -> None:
    """Keep the files of pictures in their places until this connection ends, however it ends."""
    await connection.execute("SELECT pg_advisory_lock_shared($1)", HOLD)


async def is_held() -> bool:
    """Tell whether a backup is under way."""
    async with ENGINE.connection() as connection:
        held: bool = await connection.fetchval(_IS_HELD)
    return held
