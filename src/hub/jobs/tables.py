"""Jobs: PostgreSQL is the truth about them, a broker only rings the bell."""

from piccolo.columns import JSONB, UUID, BigInt, Float, Integer, Text, Timestamptz, Varchar
from piccolo.table import Table

from hub.db.engine import ENGINE


class Job(Table, db=ENGINE, tablename="jobs"):
    """Work to do once. ``(id, attempt)`` is the fence that every write of a worker is checked against.

    ``rank`` and then ``sequence`` order the jobs of a ``lane``, of which one runs at a time. In a lane that
    keeps its order ``rank`` is 0; in one that is shared fairly each user's jobs have ranks of their own, and
    one that is not due yet keeps nobody waiting. ``lease_until`` is when a
    worker that no longer says anything is taken for dead. ``due_at`` is when the job may run next. ``slot``
    is which of the places that its user may have running it took; null where there is no such cap.
    ``request_id`` is the request that asked for it, for the logs; ``traceparent`` its place in a trace (W3C
    Trace Context), where requests are traced.
    """

    id = UUID(primary_key=True, default=None)
    sequence = BigInt(default=0)
    rank = BigInt(default=0)
    kind = Varchar(length=20)
    lane = Varchar(length=60)
    user_id = UUID(null=True, default=None)
    subject_id = UUID(default=None)
    status = Varchar(length=12, default="queued")
    attempt = Integer(default=0)
    max_attempts = Integer(default=3)
    progress = Float(default=0.0)
    result = JSONB(null=True, default=None)
    error_code = Varchar(length=60, null=True, default=None)
    error_message = Text(null=True, default=None)
    worker = Varchar(length=60, null=True, default=None)
    slot = Integer(null=True, default=None)
    request_id = Varchar(length=64)
    traceparent = Varchar(length=55, null=True, default=None)
    due_at = Timestamptz()
    published_at = Timestamptz(null=True, default=None)
    lease_until = Timestamptz(null=True, default=None)
    created_at = Timestamptz()
    started_at = Timestamptz(null=True, default=None)
    completed_at = Timestamptz(null=True, default=None)


class Schedule(Table, db=ENGINE, tablename="schedules"):
    """Work that comes again: when it is next due, and the job that did it last, or does it now.

    The period is in seconds and may be changed here. How the last run went stands in its job, which is
    kept for as long as other jobs are.
    """

    id = UUID(primary_key=True, default=None)
    name = Varchar(length=40, unique=True)
    every_seconds = Integer()
    due_at = Timestamptz()
    job_id = UUID(null=True, default=None)
