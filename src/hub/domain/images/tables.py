"""Pictures: what is known of each stored file, and which files nothing may refer to any more."""

from piccolo.columns import JSONB, UUID, BigInt, ForeignKey, Integer, Timestamptz, Varchar
from piccolo.columns.base import OnDelete
from piccolo.table import Table

from hub.db.engine import ENGINE
from hub.domain.accounts.tables import User
from hub.domain.companions.tables import Companion


class Image(Table, db=ENGINE, tablename="images"):
    """A stored picture. Its files' place follows from ``companion_id``, ``kind`` and ``sha256``.

    ``kind`` is ``header`` (at most one a companion) or ``generated``; ``sha256`` is that of the main file's
    bytes, in hexadecimal; ``original_bytes`` is the size of what was uploaded or painted.
    """

    id = UUID(primary_key=True, default=None)
    user_id = ForeignKey(User, null=False, on_delete=OnDelete.cascade)
    companion_id = ForeignKey(Companion, null=False, on_delete=OnDelete.cascade)
    kind = Varchar(length=10)
    media_type = Varchar(length=20)
    sha256 = Varchar(length=64)
    width = Integer()
    height = Integer()
    bytes = Integer()
    original_bytes = BigInt()
    thumb_bytes = Integer()
    thumb_sha256 = Varchar(length=64)
    recipe = JSONB(null=True, default=None)
    created_at = Timestamptz()


class ImageRemoval(Table, db=ENGINE, tablename="image_removals"):
    """Files whose row went: the collector looks at them once their grace is over.

    A trigger writes it with each deleted row of ``images``, whatever deleted it.
    """

    id = UUID(primary_key=True, default=None)
    companion_id = UUID(default=None)
    kind = Varchar(length=10)
    sha256 = Varchar(length=64)
    removed_at = Timestamptz()
