"""Reading the scene from a talk, from the worker's side: begin, and end through the fence."""

from __future__ import annotations

from uuid import UUID

from asyncpg import Record
from msgspec import Struct

from hub.core.ids import new_id
from hub.db.engine import ENGINE
from hub.domain.painting import queries as painting
from hub.domain.scenes import queries
from hub.domain.scenes.analysis import MESSAGES, Findings
from hub.domain.scenes.schemas import Scene
from hub.jobs import queue, store
from hub.jobs.contracts import Claim, JobKind, NewJob
from hub.providers.llm.protocol import ChatMessage


class Reading(Struct, frozen=True, kw_only=True):
    """What a worker needs to know: the talk up to the companion's message, and the scene as it stands."""

    claim: Claim
    companion_id: UUID
    conversation_id: UUID
    response_id: UUID
    message_id: UUID
    name: str
    user_name: str
    scene: Scene
    talk: list[ChatMessage]


def lane_of(companion_id: UUID) -> str:
    """Return the lane in which a companion's scenes are read, one after the other."""
    return f"scene:{companion_id}"


def new_job(*, companion_id: UUID, response_id: UUID, user_id: UUID | None, request_id: str) -> NewJob:
    """Make the job that reads the scene after a reply."""
    return NewJob(
        id=new_id(),
        kind=JobKind.SCENE,
        lane=lane_of(companion_id),
        user_id=user_id,
        subject_id=response_id,
        request_id=request_id,
    )


_BEGIN = f"""
WITH claimed AS ({store.CLAIM})
SELECT claimed.*, message.*, talk.* FROM claimed LEFT JOIN LATERAL (
    SELECT messages.id AS message_id, messages.conversation_id, companions.id AS companion_id, position,
        companions.name, users.display_name AS user_name, setting.*
    FROM messages JOIN conversations ON conversations.id = messages.conversation_id
    JOIN companions ON companions.id = conversations.companion_id
    JOIN users ON users.id = conversations.user_id, {queries.SETTING}
    WHERE messages.response_id = claimed.subject_id
) AS message ON true LEFT JOIN LATERAL (
    SELECT array_agg(role ORDER BY position) AS roles, array_agg(content ORDER BY position) AS contents FROM (
        SELECT newest.position, role, content FROM messages AS newest
        WHERE newest.conversation_id = message.conversation_id AND newest.position <= message.position
        ORDER BY newest.position DESC LIMIT $6) AS newest
) AS talk ON true
"""  # noqa: S608 - a constant


async def begin(job_id: UUID, *, worker: str) -> Reading | None:
    """Claim a job; None when there is nothing to do: it is taken, ended, or its message is gone."""
    row = await store.claim(_BEGIN, job_id, MESSAGES, worker=worker)
    if row is None:
        return None
    claim = Claim.of(row)
    if row["message_id"] is None:
        await store.complete(claim)
        await queue.ring_next_later(claim)
        return None
    return _reading(claim, row)


def _reading(claim: Claim, row: Record) -> Reading:
    return Reading(
        claim=claim,
        companion_id=row["companion_id"],
        conversation_id=row["conversation_id"],
        response_id=claim.subject_id,
        message_id=row["message_id"],
        name=row["name"],
        user_name=row["user_name"],
        scene=queries.setting_of(row).scene,
        talk=[
            ChatMessage(role=role, content=content)
            for role, content in zip(row["roles"], row["contents"], strict=True)
        ],
    )


async def finish(reading: Reading, findings: Findings | None) -> list[UUID] | None:
    """End the job, with what was found if anything could be read.

    Returns:
        The image jobs that waited for it; None when the job is no longer the caller's, and nothing changed.
    """
    async with ENGINE.transaction():
        if not await store.complete(reading.claim):
            return None
        images = await painting.make_due(
            reading.response_id
        )  # jobs are locked before scenes: see scenes.queries
        if findings is not None:
            await queries.amend(
                reading.companion_id, reading.message_id, findings, response_id=reading.response_id
            )
    return images
