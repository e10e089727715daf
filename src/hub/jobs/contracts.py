"""What a job is to those who ask for it, run it and watch it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from random import random
from typing import Any
from uuid import UUID

from msgspec import Struct


class JobKind(StrEnum):
    """The kinds of jobs; each has an actor and a queue of its own."""

    REPLY = "reply"
    COMPLETION = "completion"
    SCENE = "scene"
    IMAGE = "image"
    MAINTENANCE = "maintenance"
    WEBHOOK = "webhook"


class JobStatus(StrEnum):
    """Where a job stands; the last three are ends."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: Kinds of which the cap on a user's turns counts all together: whatever has the model write for them.
TURNS = (JobKind.REPLY, JobKind.COMPLETION)


def counted_with(kind: str) -> list[str]:
    """Return the kinds that count together with one where a user's running jobs are counted."""
    return [each.value for each in TURNS] if kind in TURNS else [kind]


#: Attempts a job gets before it fails, and the pauses between them in seconds: 1, 2, 4 ... at most 10.
MAX_ATTEMPTS = 3
RETRY_FIRST = 1.0
RETRY_FACTOR = 2.0
RETRY_MOST = 10.0
#: Seconds of a longer pause that a server may ask for.
LONGEST_WISH = 60.0


class Patience(Struct, frozen=True, kw_only=True):
    """The pauses between the attempts of a kind whose work nobody waits for.

    ``pauses`` are in seconds; each is made longer by up to ``jitter`` of itself, so that what failed together
    does not come back together. ``longest_wish`` is that of its servers.
    """

    pauses: tuple[float, ...]
    jitter: float
    longest_wish: float


#: A receiver may be away for three days: the example of Standard Webhooks 1.0.0.
_PATIENCE = {
    JobKind.WEBHOOK: Patience(
        pauses=(5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0),
        jitter=0.1,
        longest_wish=3600.0,
    )
}

#: Seconds a worker may be silent before its job is given to another.
LEASE = 30.0
#: Seconds for which a cancelled job keeps a shared lane while its worker stops what it asked for there.
STOPPING = 5.0
#: Seconds between two heartbeats of a running job.
HEARTBEAT = 10.0


def attempts_of(kind: str) -> int:
    """Return how many attempts a job of a kind gets."""
    patience = _PATIENCE.get(JobKind(kind))
    return len(patience.pauses) + 1 if patience is not None else MAX_ATTEMPTS


def retry_delay(attempt: int) -> float:
    """Return the pause in seconds after the given attempt (counted from 1)."""
    return min(RETRY_MOST, RETRY_FIRST * RETRY_FACTOR ** (attempt - 1))


def pause_after(claim: Claim, *, wish: float | None = None) -> float:
    """Return the pause in seconds after a failed attempt, a longer one if the server has a ``wish``."""
    attempt, patience = max(claim.tries, 1), _PATIENCE.get(JobKind(claim.kind))
    if patience is None:
        return max(retry_delay(attempt), min(wish or 0.0, LONGEST_WISH))
    own = patience.pauses[min(attempt, len(patience.pauses)) - 1]
    own *= 1 + patience.jitter * random()  # noqa: S311 - it spreads load and guards nothing
    return max(own, min(wish or 0.0, patience.longest_wish))


class NewJob(Struct, frozen=True, kw_only=True):
    """A job to be stored.

    ``subject_id`` is what it works on (a reply's response, a maintenance's schedule). ``user_id`` is None
    for work that is nobody's, ``request_id`` the request that asked for it, which the logs of the work name
    too. ``shares_lane``: its lane serves its users in turn, not in the order in which they asked.
    ``wait`` is the pause in seconds before it is due.
    """

    id: UUID
    kind: JobKind
    lane: str
    user_id: UUID | None
    subject_id: UUID
    request_id: str
    attempt: int = 0
    shares_lane: bool = False
    wait: float = 0.0


class Claim(Struct, frozen=True, kw_only=True):
    """A worker's right to a job: valid for writes as long as the job's attempt is still this one.

    ``overdue`` is in seconds, since the job was due. ``traceparent`` is where in a trace it was asked for,
    None where nobody traces.
    """

    job_id: UUID
    kind: str
    lane: str
    attempt: int
    max_attempts: int
    subject_id: UUID
    user_id: UUID | None
    request_id: str
    created_at: datetime
    overdue: float = 0.0
    traceparent: str | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Claim:
        """Read it from a row that may have other columns too."""
        return cls(**{name: row[name] for name in cls.__struct_fields__})

    @property
    def tries(self) -> int:
        """Which attempt it is, but for those that were handed over: 1 for the first."""
        return self.attempt - (self.max_attempts - attempts_of(self.kind))

    @property
    def is_first(self) -> bool:
        """Whether it has not been tried before, but for those who handed it over."""
        return self.tries <= 1

    @property
    def is_last(self) -> bool:
        """Whether no further attempt would follow."""
        return self.attempt >= self.max_attempts


class JobLostError(Exception):
    """The job is another worker's now, or was cancelled, or what it is about is gone: write nothing more."""


class Rescued(Struct, frozen=True, kw_only=True):
    """A job whose worker fell silent; ``status`` is what became of it."""

    job_id: UUID
    kind: str
    lane: str
    subject_id: UUID
    status: str


class Cancelled(Struct, frozen=True, kw_only=True):
    """A job that was ended together with what it was about."""

    job_id: UUID
    kind: str
    lane: str
