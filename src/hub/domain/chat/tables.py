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
    ``revision`` counts all changes of what stands in it already; at ``removed_revision`` messages were taken
    out last.
    """

    id = UUID(primary_key=True, default=None)
    user_id = ForeignKey(User, null=False, on_delete=OnDelete.cascade)
    companion_id = ForeignKey(Companion, null=False, on_delete=OnDelete.cascade)
    title = Varchar(length=200)
    last_position = Integer(default=0)
    epoch = Integer(default=0)
    revision = Integer(default=0)
    removed_revision = Integer(default=0)
    created_at = Timestamptz()
    updated_at = Timestamptz()


class Message(Table, db=ENGINE, tablename="messages"):
    """What was said. ``response_id`` names the response that wrote it; null for the user's own.

    ``image_id`` is the picture that goes with it, ``revision`` the conversation's at which it was changed
    last, 0 for never. Of its ``alternatives`` it shows number ``alternative``; they have rows of their own
    once there are several. ``user_id`` is the owner, by which messages are searched; a trigger notes it
    where it is left out.
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
    revision = Integer(default=0)
    alternative = Integer(default=1)
    alternatives = Integer(default=1)
    edited_at = Timestamptz(null=True, default=None)

    messages_position = Unique(["conversation_id", "position"])


class MessageAlternative(Table, db=ENGINE, tablename="message_alternatives"):
    """One of several texts of a message, numbered from 1; the message's row repeats the one that is shown."""

    id = UUID(primary_key=True, default=None)
    message_id = ForeignKey(Message, null=False, on_delete=OnDelete.cascade)
    number = Integer()
    content = Text()
    response_id = UUID(null=True, default=None)
    image_id = ForeignKey(Image, null=True, on_delete=OnDelete.set_null)
    created_at = Timestamptz()

    message_alternatives_number = Unique(["message_id", "number"])


class Response(Table, db=ENGINE, tablename="responses"):
    """A reply on its way, or how it ended. ``attempt`` is the fence of its job: 0 until a model is asked.

    ``request_message_id`` is the user's message it answers (where there is none any more, the companion's
    own), ``message_id`` the companion's that it became. One that writes a message anew, or goes on with it,
    has that as ``target_message_id``, and the conversation's ``revision`` that it made when it completed.
    """

    id = UUID(primary_key=True, default=None)
    conversation_id = ForeignKey(Conversation, null=False, on_delete=OnDelete.cascade)
    request_message_id = ForeignKey(Message, null=False, on_delete=OnDelete.cascade)
    message_id = UUID(null=True, default=None)
    kind = Varchar(length=10, default="reply")
    target_message_id = ForeignKey(Message, null=True, on_delete=OnDelete.cascade)
    revision = Integer(default=0)
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
