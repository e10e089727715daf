"""Where a conversation stands, read at one instant: what its subscribers are told from."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from asyncpg import Record
from msgspec import Struct

from hub.db.engine import ENGINE
from hub.domain.chat.queries import response_of
from hub.domain.chat.schemas import Message, Response, ResponseError
from hub.domain.images import queries as images
from hub.domain.images.schemas import Image
from hub.domain.painting.queries import POSITION, image_id_of
from hub.domain.scenes.queries import SETTING, setting_of
from hub.domain.scenes.schemas import Scene

#: Beyond every revision: nothing was changed since then.
NO_REVISION = 2**31 - 1


class ImageCall(Struct, frozen=True, kw_only=True):
    """A picture that was asked for with a message: its job, and what came of it."""

    response_id: UUID
    job_id: UUID
    status: str
    progress: float
    position: int | None
    error: ResponseError | None
    image: Image | None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status not in ("queued", "in_progress")


class ConversationState(Struct, frozen=True, kw_only=True):
    """Where a conversation stands: messages after a position, what is under way or asked about, the scene.

    ``epoch`` is another one when messages were taken out; None when there is no such conversation any more.
    ``changed`` are messages up to the position that were changed since a revision, the oldest change first,
    each with the revision of the change; ``rewriters`` are responses that made such a change. ``revision`` is
    how far all that goes.
    """

    epoch: int | None
    scene: Scene | None
    messages: list[Message]
    responses: list[Response]
    image_calls: list[ImageCall]
    revision: int = 0
    changed: list[tuple[Message, int]] = []
    rewriters: frozenset[UUID] = frozenset()


class Standing(Struct, frozen=True):
    """How far a conversation is; ``removed_revision`` is when messages were taken out last.

    ``epoch`` is how often that was.
    """

    last_position: int
    revision: int = 0
    removed_revision: int = 0
    epoch: int = 0


async def standing(conversation_id: UUID, *, user_id: UUID) -> Standing | None:
    """Return how far the owner's conversation is, or None."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT last_position, revision, removed_revision, epoch FROM conversations"
            " WHERE id = $1 AND user_id = $2",
            conversation_id,
            user_id,
        )
    return Standing(*row) if row else None


# One statement, so that a completed response is never seen without its message or the other way round.
# Which responses is asked in several arms, each with an index of its own. Who has all changes, as nearly
# always, is spared the parts about them.
_TEMPLATE = """
WITH news AS (
    SELECT id, conversation_id, position, role, content, response_id, created_at, image_id, alternative,
        alternatives, edited_at, revision
    FROM messages WHERE conversation_id = $1 AND position > $2 ORDER BY position LIMIT $4
{changed}), told AS (
    SELECT id FROM responses
    WHERE conversation_id = $1 AND (status IN ('queued', 'in_progress') OR id = ANY($3))
    UNION SELECT response_id FROM news WHERE $5 AND response_id IS NOT NULL
    UNION SELECT responses.id FROM news JOIN responses ON request_message_id = news.id WHERE $5
{rewriters}), calls AS (
    SELECT jobs.id, response_id, status, progress, {position} AS call_position, error_code, error_message,
        result
    FROM image_requests JOIN jobs USING (id) WHERE conversation_id = $1
    AND (status IN ('queued', 'in_progress') OR response_id IN (SELECT id FROM told))
)
(SELECT 'conversation' AS what, conversations.id, NULL::uuid AS conversation_id, epoch AS position,
    NULL AS role, NULL AS text, NULL::uuid AS other_id, NULL::timestamptz AS created_at, NULL AS status,
    NULL::int AS attempt, NULL AS error_code, NULL AS error_message, NULL::jsonb AS usage,
    NULL::timestamptz AS completed_at, NULL::uuid AS image_id, NULL::uuid AS image_job_id,
    NULL::float8 AS progress, NULL::int AS alternatives, revision, setting.*
FROM conversations JOIN companions ON companions.id = companion_id, {setting} WHERE conversations.id = $1)
UNION ALL
(SELECT 'message', id, conversation_id, position, role, content, response_id,
    created_at, NULL, alternative, NULL, NULL, NULL, edited_at, image_id, NULL, NULL, alternatives, revision,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM news ORDER BY position)
{told}UNION ALL
(SELECT 'response', responses.id, conversation_id, NULL, kind, output_text, message_id,
    created_at, responses.status, attempt, responses.error_code, responses.error_message, usage, completed_at,
    NULL, (SELECT id FROM calls WHERE response_id = responses.id LIMIT 1), NULL, NULL, revision,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM responses JOIN told USING (id) ORDER BY created_at, responses.id)
UNION ALL
(SELECT 'call', id, NULL, call_position, NULL, NULL, response_id,
    NULL, status, NULL, error_code, error_message, result, NULL, NULL, NULL, progress, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM calls ORDER BY id)
"""
_CHANGES = {
    "changed": """), changed AS (
    SELECT id, conversation_id, position, role, content, response_id, created_at, image_id, alternative,
        alternatives, edited_at, revision
    FROM messages WHERE conversation_id = $1 AND revision > 0 AND revision > $6 AND position <= $2
    ORDER BY revision LIMIT $4
""",
    "rewriters": """    UNION SELECT responses.id FROM changed JOIN responses ON responses.id = response_id
        WHERE responses.revision > $6
""",
    "told": """UNION ALL
(SELECT 'changed', id, conversation_id, position, role, content, response_id,
    created_at, NULL, alternative, NULL, NULL, NULL, edited_at, image_id, NULL, NULL, alternatives, revision,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM changed ORDER BY revision)
""",
}
_JOINED = {"position": POSITION, "setting": SETTING}
_STATE_AND_CHANGES = _TEMPLATE.format(**_CHANGES, **_JOINED)
_STATE = _TEMPLATE.format(**dict.fromkeys(_CHANGES, ""), **_JOINED)
_PARTS = ("conversation", "message", "changed", "response", "call")


async def read_state(
    conversation_id: UUID,
    *,
    after: int,
    response_ids: list[UUID],
    with_ended: bool,
    limit: int,
    since: int = NO_REVISION,
) -> ConversationState:
    """Read what is new for a subscriber.

    Args:
        conversation_id: whose state.
        after: position of the last message that the subscriber has.
        response_ids: responses to return whatever their status, and the pictures that go with them.
        with_ended: return the responses of new messages too, also those that have ended.
        limit: most messages returned, and most changed ones.
        since: the revision that the subscriber has; messages up to ``after`` changed since come too.
    """
    values = (conversation_id, after, response_ids, limit, with_ended)
    async with ENGINE.connection() as connection:
        parts = _parted(await connection.fetch(_STATE, *values))
        if any(own["revision"] > since for own in parts["conversation"]):
            parts = _parted(await connection.fetch(_STATE_AND_CHANGES, *values, since))
    named = [row["image_id"] for row in parts["message"] + parts["changed"]] + [
        image_id_of(row["usage"]) for row in parts["call"]
    ]
    ids = {each for each in named if each is not None}
    pictures = await images.by_ids(ids) if ids else {}
    own = parts["conversation"][0] if parts["conversation"] else None
    changes = parts["changed"]
    return ConversationState(
        epoch=own["position"] if own else None,
        scene=setting_of(own).scene if own else None,
        messages=[_message_of_state(row, pictures) for row in parts["message"]],
        responses=[_response_of_state(row) for row in parts["response"]],
        image_calls=[_call_of_state(row, pictures) for row in parts["call"]],
        revision=changes[-1]["revision"] if len(changes) == limit else own["revision"] if own else since,
        changed=[(_message_of_state(row, pictures), row["revision"]) for row in changes],
        rewriters=frozenset(row["id"] for row in parts["response"] if row["revision"] > since),
    )


def _parted(rows: list[Record]) -> dict[str, list[Record]]:
    parts: dict[str, list[Record]] = {name: [] for name in _PARTS}
    for row in rows:
        parts[row["what"]].append(row)
    return parts


def _message_of_state(row: Record, pictures: Mapping[UUID, Image]) -> Message:
    return Message(
        row["id"],
        row["conversation_id"],
        row["position"],
        row["role"],
        row["text"],
        row["other_id"],
        row["created_at"],
        pictures.get(row["image_id"]),
        row["attempt"],
        row["alternatives"],
        row["completed_at"],
    )


def _response_of_state(row: Record) -> Response:
    named = {"output_text": row["text"], "message_id": row["other_id"], "kind": row["role"]}
    return response_of({**row, **named})


def _call_of_state(row: Record, pictures: Mapping[UUID, Image]) -> ImageCall:
    code, image_id = row["error_code"], image_id_of(row["usage"])
    return ImageCall(
        response_id=row["other_id"],
        job_id=row["id"],
        status=row["status"],
        progress=row["progress"],
        position=row["position"],
        error=ResponseError(code=code, message=row["error_message"]) if code else None,
        image=pictures.get(image_id) if image_id else None,
    )
