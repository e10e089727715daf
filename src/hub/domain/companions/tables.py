"""Companions, each with the scene it is in."""

from piccolo.columns import UUID, ForeignKey, Text, Timestamptz, Varchar
from piccolo.columns.base import OnDelete
from piccolo.table import Table

from hub.db.engine import ENGINE
from hub.domain.accounts.tables import User


class Companion(Table, db=ENGINE, tablename="companions"):
    """A companion that a user made; ``outfit`` to ``expression`` are the scene as it stands.

    ``sample`` is the key of the sample that the hub brought along, while its owner has not made it theirs.
    """

    id = UUID(primary_key=True, default=None)
    user_id = ForeignKey(User, null=False, on_delete=OnDelete.cascade)
    name = Varchar(length=100)
    description = Text()
    appearance = Text()
    user_appearance = Text()
    default_outfit = Text()
    greeting = Text()
    outfit = Text()
    location = Text()
    action = Text()
    expression = Text()
    created_at = Timestamptz()
    updated_at = Timestamptz()
    sample = Varchar(length=40, null=True, default=None)
