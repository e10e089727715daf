"""What a job is to those who ask for it, run it and watch it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct


class JobKind(StrEnum):
    """The kinds of jobs; each has an actor and a queue of its own."""

    REPLY = "reply"
    COMPLETION = "completion"
    SCENE = "scene"
    IMAGE = "image"
    MAINTENANCE = "maintenance"


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

#: Seconds a worker may be silent before its job is given to another.
LEASE = 30.0
#: Seconds for which a cancelled job keeps a shared lane while its worker stops what it asked for there.
STOPPING = 5.0
#: Seconds between two heartbeats of a running job.
HEARTBEAT = 10.0


def retry_delay(attempt: int) -> float:
    """Return the pause in seconds after the given attempt (counted from 1)."""
    return min(RETRY_MOST, RETRY_FIRST * RETRY_FACTOR ** (attempt - 1))


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
    """A worker's right to a job: valid for writes as long as the job's attempt is still this one."""

    job_id: UUID
    kind: str
    lane: str
    attempt: int
    max_attempts: int
    subject_id: UUID
    user_id: UUID | None
    request_id: str
    created_at: datetime

    @property
    def is_first(self) -> bool:
        """Whether it has not been tried before, but for those who handed it over."""
        return self.attempt <= self.max_attempts - MAX_ATTEMPTS + 1

    @property
    def is_last(self) -> bool:
        """Whether no further attempt would follow."""
        return self.attempt >= self.max_attempts


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
