"""Scenes as the talk left them, one for each of a companion's messages."""

from piccolo.columns import JSONB, UUID, BigInt, Boolean, ForeignKey, Text, Timestamptz
from piccolo.columns.base import OnDelete
from piccolo.table import Table

from hub.db.engine import ENGINE
from hub.domain.chat.tables import Message
from hub.domain.companions.tables import Companion


class SceneVersion(Table, db=ENGINE, tablename="scenes"):
    """The scene after a message, which goes with it; the one of the newest is the scene as it stands.

    Without any, the scene is what the companion's own row says: as it was made, set by hand, or wiped.
    ``sequence`` orders a companion's versions, whichever conversation they come from; each follows from the
    one before it and from ``findings``, what the talk up to its message said.
    """

    id = UUID(primary_key=True, default=None)
    companion_id = ForeignKey(Companion, null=False, on_delete=OnDelete.cascade)
    message_id = ForeignKey(Message, null=False, on_delete=OnDelete.cascade, unique=True)
    sequence = BigInt(default=0)
    outfit = Text()
    location = Text()
    action = Text()
    expression = Text()
    lighting = Text()
    is_user_present = Boolean(default=False)
    visual_tags = JSONB(default="[]")
    findings = JSONB(default="{}")
    created_at = Timestamptz()
