"""Whom the hub tells of what happens, and what it told them."""

from piccolo.columns import UUID, Array, Bytea, ForeignKey, Integer, Text, Timestamptz, Varchar
from piccolo.columns.base import OnDelete
from piccolo.table import Table

from hub.db.engine import ENGINE
from hub.domain.accounts.tables import User
from hub.jobs.tables import Job


class Webhook(Table, db=ENGINE, tablename="webhooks"):
    """An address that is told of a user's events.

    Its secret is not here: it follows from ``seed`` and the hub's key (see ``signing``). For a while after a
    new one was made, until ``old_until``, that of ``old_seed`` signs too. ``failing_since`` is when the first
    attempt failed after which none succeeded. ``disabled_reason``: ``user``, ``gone`` or ``failing``.
    """

    id = UUID(primary_key=True, default=None)
    user_id = ForeignKey(User, null=False, on_delete=OnDelete.cascade)
    url = Varchar(length=2048)
    events = Array(base_column=Varchar(length=40))
    description = Varchar(length=200)
    seed = Bytea()
    old_seed = Bytea(null=True, default=None)
    old_until = Timestamptz(null=True, default=None)
    failing_since = Timestamptz(null=True, default=None)
    disabled_at = Timestamptz(null=True, default=None)
    disabled_reason = Varchar(length=10, null=True, default=None)
    created_at = Timestamptz()
    updated_at = Timestamptz()


class WebhookDelivery(Table, db=ENGINE, tablename="webhook_deliveries"):
    """One event for one webhook; it shares its job's id, which says how it stands, and is forgotten with it.

    ``event_id`` is the same for every delivery of an event. ``body`` is sent as it is: what is signed must
    not change between two attempts.
    """

    id = ForeignKey(Job, primary_key=True, null=False, on_delete=OnDelete.cascade)
    webhook_id = ForeignKey(Webhook, null=False, on_delete=OnDelete.cascade)
    event_id = UUID(default=None)
    event = Varchar(length=40)
    subject_id = UUID(default=None)
    body = Text()
    last_status_code = Integer(null=True, default=None)
    last_error = Varchar(length=200, null=True, default=None)
    created_at = Timestamptz()
