"""What people asked to have painted."""

from piccolo.columns import JSONB, BigInt, ForeignKey, Integer, Text, Timestamptz, Varchar
from piccolo.columns.base import OnDelete
from piccolo.table import Table

from hub.db.engine import ENGINE
from hub.domain.chat.tables import Conversation, Response
from hub.domain.companions.tables import Companion
from hub.jobs.tables import Job


class ImageRequest(Table, db=ENGINE, tablename="image_requests"):
    """What an image job has to paint; it shares the job's id and is forgotten with it.

    ``conversation_id`` and ``response_id`` are those of a picture that was asked for with a message. What is
    null of the prompts and the scene follows from the companion when the job runs. ``ticket`` is the image
    server's own id of the work.
    """

    id = ForeignKey(Job, primary_key=True, null=False, on_delete=OnDelete.cascade)
    companion_id = ForeignKey(Companion, null=False, on_delete=OnDelete.cascade)
    conversation_id = ForeignKey(Conversation, null=True, on_delete=OnDelete.cascade)
    response_id = ForeignKey(Response, null=True, on_delete=OnDelete.cascade)
    prompt = Text(null=True, default=None)
    negative_prompt = Text(null=True, default=None)
    seed = BigInt()
    width = Integer()
    height = Integer()
    scene = JSONB(null=True, default=None)
    ticket = Varchar(length=200, null=True, default=None)
    created_at = Timestamptz()
