"""What clients of the OpenAI-compatible API asked for."""

from piccolo.columns import JSONB, UUID, Boolean, ForeignKey, Integer, Text, Timestamptz, Varchar
from piccolo.columns.base import OnDelete
from piccolo.table import Table

from hub.db.engine import ENGINE
from hub.domain.accounts.tables import User
from hub.domain.companions.tables import Companion
from hub.jobs.tables import Job


class Completion(Table, db=ENGINE, tablename="completions"):
    """A text to be written, or how it ended; it shares its job's id and is forgotten with it.

    ``request`` is what was asked, the client's own messages with it. ``previous_id`` is the completion whose
    talk this one goes on with. ``attempt`` is the fence of its job. One that is not ``stored`` is for whoever
    waits for it, and goes when they have it.
    """

    id = ForeignKey(Job, primary_key=True, null=False, on_delete=OnDelete.cascade)
    user_id = ForeignKey(User, null=False, on_delete=OnDelete.cascade)
    companion_id = ForeignKey(Companion, null=False, on_delete=OnDelete.cascade)
    kind = Varchar(length=10)
    stored = Boolean(default=False)
    previous_id = UUID(null=True, default=None)
    request = JSONB()
    status = Varchar(length=12, default="queued")
    output_text = Text()
    attempt = Integer(default=0)
    finish_reason = Varchar(length=10, null=True, default=None)
    error_code = Varchar(length=60, null=True, default=None)
    error_message = Text(null=True, default=None)
    usage = JSONB(null=True, default=None)
    created_at = Timestamptz()
    completed_at = Timestamptz(null=True, default=None)
