"""Who may come in: users and the tokens that stand for them."""

from piccolo.columns import UUID, Array, Bytea, ForeignKey, Timestamptz, Varchar
from piccolo.columns.base import OnDelete
from piccolo.table import Table

from hub.db.engine import ENGINE


class User(Table, db=ENGINE, tablename="users"):
    """A person with an account."""

    id = UUID(primary_key=True, default=None)
    username = Varchar(length=20, unique=True)
    email = Varchar(length=254)
    display_name = Varchar(length=100)
    password_hash = Varchar(length=255)
    role = Varchar(length=10, default="user")
    disabled_at = Timestamptz(null=True, default=None)
    created_at = Timestamptz()


class Token(Table, db=ENGINE, tablename="tokens"):
    """A secret that was handed out, kept as its SHA-256 only.

    ``kind`` is ``session`` (a sign-in), ``personal`` (for a program, with ``scopes``, named by its user),
    ``ticket`` (one WebSocket, 30 seconds), ``invite`` (one registration; belongs to the administrator who
    made it, ``name`` is their note) or ``setup`` (creates the administrator, belongs to nobody yet).
    ``parent_id`` is the sign-in or personal token that a ticket came from. ``hint`` is the end of its text.
    """

    id = UUID(primary_key=True, default=None)
    user_id = ForeignKey(User, null=True, on_delete=OnDelete.cascade)
    parent_id = UUID(null=True, default=None)
    kind = Varchar(length=10)
    token_hash = Bytea(unique=True)
    name = Varchar(length=100)
    scopes = Array(base_column=Varchar(length=20))
    created_at = Timestamptz()
    expires_at = Timestamptz(null=True, default=None)
    last_used_at = Timestamptz(null=True, default=None)
    hint = Varchar(length=4)
