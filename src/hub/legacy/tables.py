"""What has been brought over from the original."""

from piccolo.columns import UUID, Timestamptz, Varchar
from piccolo.constraints import Unique
from piccolo.table import Table

from hub.db.engine import ENGINE


class LegacyImport(Table, db=ENGINE, tablename="legacy_imports"):
    """One thing of the original that was imported, so that it never is a second time.

    ``kind`` is ``user``, ``companion``, ``talk`` (the conversation with a companion), ``message``, ``header``
    (of a companion) or ``picture`` (of a message); ``legacy_id`` is the original's id of that user, companion
    or message; ``target_id`` is what it became here, which may have been deleted since.
    """

    id = UUID(primary_key=True, default=None)
    kind = Varchar(length=10)
    legacy_id = Varchar(length=200)
    target_id = UUID(default=None)
    imported_at = Timestamptz()

    legacy_imports_once = Unique(["kind", "legacy_id"])
