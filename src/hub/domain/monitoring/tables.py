"""What workers have counted, on its way to whoever is asked for it."""

from piccolo.columns import JSONB, UUID, Timestamptz
from piccolo.table import Table

from hub.db.engine import ENGINE


class WorkerReport(Table, db=ENGINE, tablename="worker_reports"):
    """What one worker has counted since its last report was taken; the web that takes it deletes the row.

    ``id`` is one that the worker makes for itself at its start. The table is unlogged: a crash of the
    database costs counts, nothing else.
    """

    id = UUID(primary_key=True, default=None)
    counts = JSONB(default="{}")
    reported_at = Timestamptz()
