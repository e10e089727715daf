"""Counters of how often something was done lately."""

from piccolo.columns import UUID, Integer, Timestamptz, Varchar
from piccolo.constraints import Unique
from piccolo.table import Table

from hub.db.engine import ENGINE


class RateLimit(Table, db=ENGINE, tablename="rate_limits"):
    """How often ``subject`` (a user id or an address) did ``action`` in the window ending at ``reset_at``.

    The table is unlogged: after a crash of the database every window starts afresh.
    """

    id = UUID(primary_key=True, default=None)
    action = Varchar(length=20)
    subject = Varchar(length=100)
    used = Integer(default=0)
    reset_at = Timestamptz()

    rate_limits_bucket = Unique(["action", "subject"])
