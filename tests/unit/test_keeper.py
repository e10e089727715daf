"""The keeper tells each claim's holder once that it is no longer theirs, and only them."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from datetime import UTC, datetime

from actors.keeper import Keeper
from hub.jobs.contracts import Claim
from hub.live.bus import Bus
from hub.live.events import JobCancelled

JOB = uuid.UUID(int=1)


def claim(attempt: int) -> Claim:
    return Claim(
        job_id=JOB,
        kind="reply",
        lane="",
        attempt=attempt,
        max_attempts=3,
        subject_id=JOB,
        user_id=None,
        request_id="",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_a_claim_of_the_same_job_ends_the_one_before() -> None:
    bus, lost = Bus("postgresql://nowhere"), []
    keeper = Keeper(bus)
    with ExitStack() as first:
        first.enter_context(keeper.keeping(claim(1), lambda: lost.append(1)))
        with keeper.keeping(claim(2), lambda: lost.append(2)):
            assert lost == [1]
            first.close()
            bus._deliver(JobCancelled(JOB))
            assert lost == [1, 2]
        bus._deliver(JobCancelled(JOB))
        assert lost == [1, 2]
