"""Reports of workers: each has one, which it keeps up to date until somebody takes it.

A worker without a port of its own cannot be asked what it counts. So it hands that in, and the web that is
asked next takes it and counts on from there: every count is told once, by one process.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from hub.db.engine import ENGINE
from hub.domain.monitoring.counts import Count

_decoder = msgspec.json.Decoder(list[Count])


async def change(report_id: UUID, counts: list[Count]) -> bool:
    """Put other counts in place of those that were handed in; False if these have been taken."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "UPDATE worker_reports SET counts = $2, reported_at = now() WHERE id = $1",
            report_id,
            msgspec.json.encode(counts).decode(),
        )
    return bool(status == "UPDATE 1")


_HAND_IN = """
WITH forgotten AS (DELETE FROM worker_reports WHERE reported_at < now() - interval '1 day')
INSERT INTO worker_reports (id, counts, reported_at) VALUES ($1, $2, now())
ON CONFLICT (id) DO UPDATE SET counts = excluded.counts, reported_at = excluded.reported_at
"""


async def hand_in(report_id: UUID, counts: list[Count]) -> None:
    """Hand in a report, and forget those of dead workers that nobody has asked for in a day."""
    async with ENGINE.connection() as connection:
        await connection.execute(_HAND_IN, report_id, msgspec.json.encode(counts).decode())


async def take() -> list[Count]:
    """Return all that was handed in; nobody else gets it any more."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch("DELETE FROM worker_reports RETURNING counts")
    return [count for row in rows for count in _read(row["counts"])]


def _read(counts: str) -> list[Count]:
    try:
        return _decoder.decode(counts)
    except msgspec.ValidationError:  # a worker of another version writes it otherwise
        return []
