"""Deleting what is over, a few rows at a time."""

from __future__ import annotations

from datetime import timedelta

from hub.db.engine import ENGINE

_NOT_OLD = timedelta(0)


async def delete_older(table: str, column: str, *, limit: int, age: timedelta = _NOT_OLD) -> int:
    """Delete the oldest rows of a table, by a column with a time and an index.

    Rows that somebody holds are left for the next time, so this waits for nobody, and nobody for long.

    Args:
        table: its name; a constant of the code, like ``column``.
        column: rows whose time here is over are deleted; null is never over.
        limit: most rows deleted.
        age: how long ago that time has to be, by the database's clock.

    Returns:
        How many were deleted; fewer than ``limit`` when no more are there.
    """
    async with ENGINE.connection() as connection:
        count: int = await connection.fetchval(
            # By their place rather than by id, which would have to be looked up once more.
            f"WITH gone AS (DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table}"  # noqa: S608 - constants
            f" WHERE {column} < now() - $2::interval ORDER BY {column} LIMIT $1 FOR UPDATE SKIP LOCKED))"
            " RETURNING 1) SELECT count(*) FROM gone",
            limit,
            age,
        )
    return count
