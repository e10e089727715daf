"""Counters of failed attempts to sign in.

``used`` is how many have failed; ``reset_at`` is when they are forgotten, always ``MEMORY`` after the last
one, so that it tells as well when the next may be made.
"""

from __future__ import annotations

from datetime import timedelta

from hub.core.ids import new_id
from hub.db.engine import ENGINE

#: Failures that cost no delay; each one more doubles it from 1 s.
FREE = 5
#: After this time without a failure they are forgotten.
MEMORY = timedelta(hours=1)


def _delay(used: str) -> str:
    doubled = f"LEAST($4::interval, power(2, LEAST({used} - {FREE}, 20)) * interval '1 s')"
    return f"(CASE WHEN {used} < {FREE} THEN interval '0' ELSE {doubled} END)"


_MAY = f"counter.used < {FREE} OR counter.reset_at - $5::interval + {_delay('counter.used')} <= now()"
_FAIL = f"""
WITH failed AS (
    INSERT INTO rate_limits AS counter (id, action, subject, used, reset_at)
    VALUES ($1::uuid, $2::text, $3::text, 1, now() + $5::interval)
    ON CONFLICT (action, subject) DO UPDATE SET reset_at = now() + $5,
        used = CASE WHEN counter.reset_at <= now() THEN 1 ELSE counter.used + 1 END
    WHERE counter.reset_at <= now() OR {_MAY}
    RETURNING used
)
SELECT NULL::float8 AS wait, used FROM failed
UNION ALL
SELECT extract(epoch FROM reset_at - $5 + {_delay("used")} - now())::float8, used FROM rate_limits
WHERE action = $2 AND subject = $3 AND NOT EXISTS (SELECT FROM failed)
"""  # noqa: S608 - constants
# Who was let in had waited long enough, so there is nothing to wait for unless another one failed since.
_TAKE_BACK = f"""
UPDATE rate_limits SET used = GREATEST(used - 1, 0),
    reset_at = CASE WHEN used = $3::int THEN now() + $5::interval - {_delay("(used - 1)")} ELSE reset_at END
WHERE action = $1 AND subject = $2
"""  # noqa: S608 - constants


async def fail(action: str, subject: str, *, longest: timedelta) -> tuple[float | None, int]:
    """Count a failure beforehand, if the delay after the one before is over.

    Args:
        action: which counter.
        subject: whose.
        longest: where doubling ends.

    Returns:
        None and the number of failures with this one; or the seconds to wait, and nothing was counted.
    """
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_FAIL, new_id(), action, subject, longest, MEMORY)
    if row is None:  # it was made just now, by others who are faster than it can be seen
        return 0.0, 0
    return row["wait"], row["used"]


async def take_back(action: str, subject: str, *, failures: int, longest: timedelta) -> None:
    """Count one failure less; ``failures`` is what :func:`fail` returned for it."""
    async with ENGINE.connection() as connection:
        await connection.execute(_TAKE_BACK, action, subject, failures, longest, MEMORY)


async def forget(action: str, subject: str) -> None:
    """Forget all failures."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "DELETE FROM rate_limits WHERE action = $1 AND subject = $2", action, subject
        )
