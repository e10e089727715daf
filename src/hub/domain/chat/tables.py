"""Conversations, their messages, and the responses that write the companion's side."""

from piccolo.columns import JSONB, UUID, Boolean, Bytea, ForeignKey, Integer, Text, Timestamptz, Varchar
from piccolo.columns.base import OnDelete
from piccolo.constraints import Unique
from piccolo.table import Table

from hub.db.engine import ENGINE
from hub.domain.accounts.tables import User
from hub.domain.companions.tables import Companion
from hub.domain.images.tables import Image


class Conversation(Table, db=ENGINE, tablename="conversations"):
    """A talk with one companion; ``last_position`` is the position of its newest message, 0 when empty.

    ``epoch`` counts how often messages were taken out of it: who has seen others has to read it anew.
    """

    id = UUID(primary_key=True, default=None)
    user_id = ForeignKey(User, null=False, on_delete=OnDelete.cascade)
    companion_id = ForeignKey(Companion, null=False, on_delete=OnDelete.cascade)
    title = Varchar(length=200)
    last_position = Integer(default=0)
    epoch = Integer(default=0)
    created_at = Timestamptz()
    updated_at = Timestamptz()


class Message(Table, db=ENGINE, tablename="messages"):
    """What was said. ``response_id`` names the response that wrote it; null for the user's own.

    ``image_id`` is the picture that goes with it. ``user_id`` is the owner, which a trigger notes: by it
    messages are searched.
    """

    id = UUID(primary_key=True, default=None)
    conversation_id = ForeignKey(Conversation, null=False, on_delete=OnDelete.cascade)
    position = Integer()
    role = Varchar(length=10)
    content = Text()
    response_id = UUID(null=True, default=None, unique=True)
    image_id = ForeignKey(Image, null=True, on_delete=OnDelete.set_null)
    user_id = UUID(null=True, default=None)
    created_at = Timestamptz()

    messages_position = Unique(["conversation_id", "position"])


class Response(Table, db=ENGINE, tablename="responses"):
    """A reply on its way, or how it ended. ``attempt`` is the fence of its job: 0 until a model is asked.

    ``request_message_id`` is the user's message it answers, ``message_id`` the companion's that it became.
    """

    id = UUID(primary_key=True, default=None)
    conversation_id = ForeignKey(Conversation, null=False, on_delete=OnDelete.cascade)
    request_message_id = ForeignKey(Message, null=False, on_delete=OnDelete.cascade)
    message_id = UUID(null=True, default=None)
    job_id = UUID(default=None)
    status = Varchar(length=12, default="queued")
    output_text = Text()
    attempt = Integer(default=0)
    error_code = Varchar(length=60, null=True, default=None)
    error_message = Text(null=True, default=None)
    usage = JSONB(null=True, default=None)
    generate_image = Boolean(default=False)
    created_at = Timestamptz()
    completed_at = Timestamptz(null=True, default=None)


class IdempotencyKey(Table, db=ENGINE, tablename="idempotency_keys"):
    """A key under which a message was sent, so that the same send again changes nothing."""

    id = UUID(primary_key=True, default=None)
    user_id = ForeignKey(User, null=False, on_delete=OnDelete.cascade)
    key = Varchar(length=250)
    request_hash = Bytea()
    message_id = ForeignKey(Message, null=False, on_delete=OnDelete.cascade)
    response_id = UUID(null=True, default=None)
    expires_at = Timestamptz()

    idempotency_keys_key = Unique(["user_id", "key"])
