"""Reading and writing of what is to be painted, and of the jobs that do it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from hub.db.engine import ENGINE
from hub.domain.images import queries as images
from hub.domain.images.schemas import Image
from hub.domain.painting.schemas import Job, JobError
from hub.domain.scenes.queries import SETTING_OF_MESSAGE, setting_of
from hub.domain.scenes.schemas import Scene, SceneDetails
from hub.jobs import queue, store
from hub.jobs.contracts import Claim, JobKind, NewJob

#: How many jobs of the same lane go before one that waits.
POSITION = """CASE WHEN jobs.status = 'queued' THEN (
    SELECT count(*) FROM jobs AS ahead WHERE ahead.lane = jobs.lane AND ahead.id <> jobs.id
    AND ahead.status IN ('queued', 'in_progress') AND (ahead.status = 'in_progress'
    OR (ahead.rank, ahead.sequence) < (jobs.rank, jobs.sequence))) END"""


class NewRequest(Struct, frozen=True, kw_only=True):
    """A picture to be asked for; ``job`` paints it. What is None of the texts and the scene comes later."""

    job: NewJob
    companion_id: UUID
    conversation_id: UUID | None = None
    response_id: UUID | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    seed: int
    width: int
    height: int
    scene: Scene | None = None


class Request(Struct, frozen=True, kw_only=True):
    """A picture to be painted now, and all that is known for it."""

    claim: Claim
    user_id: UUID
    companion_id: UUID
    conversation_id: UUID | None
    response_id: UUID | None
    prompt: str | None
    negative_prompt: str | None
    seed: int
    width: int
    height: int
    ticket: str | None
    name: str
    appearance: str
    user_appearance: str
    scene: Scene
    details: SceneDetails


_INSERT = f"""
WITH companion AS (SELECT id FROM companions WHERE id = $12 AND user_id = $4 FOR KEY SHARE),
job AS ({store.insertion(first=1, source="FROM companion")} RETURNING id)
INSERT INTO image_requests (id, companion_id, conversation_id, response_id, prompt, negative_prompt, seed,
    width, height, scene)
SELECT id, $12, $13, $14, $15, $16, $17, $18, $19, $20 FROM job
"""  # noqa: S608 - constants


async def insert(new: NewRequest) -> bool:
    """Store a request with its job; False when the companion is not the user's."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            _INSERT,
            *store.insertion_values(new.job),
            new.companion_id,
            new.conversation_id,
            new.response_id,
            new.prompt,
            new.negative_prompt,
            new.seed,
            new.width,
            new.height,
            msgspec.json.encode(new.scene).decode() if new.scene else None,
        )
    return bool(status == "INSERT 0 1")


async def make_due(response_id: UUID) -> list[UUID]:
    """Let the image jobs of a response run now that its scene is known; return their ids."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "UPDATE jobs SET due_at = now() FROM image_requests WHERE response_id = $1"
            " AND jobs.id = image_requests.id AND status = 'queued' AND attempt = 0 RETURNING jobs.id",
            response_id,
        )
    return [row["id"] for row in rows]


async def ids_of(*, companion_id: UUID | None = None, conversation_id: UUID | None = None) -> list[UUID]:
    """Return the ids of the jobs that paint a companion, or for a conversation."""
    column, value = (
        ("companion_id", companion_id) if conversation_id is None else ("conversation_id", conversation_id)
    )
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(f"SELECT id FROM image_requests WHERE {column} = $1", value)  # noqa: S608 - a constant
    return [row["id"] for row in rows]


async def forget(companion_id: UUID) -> None:
    """Forget what was asked for of a companion, but for what is still to be painted."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "DELETE FROM image_requests USING jobs WHERE companion_id = $1 AND jobs.id = image_requests.id"
            " AND status NOT IN ('queued', 'in_progress')",
            companion_id,
        )


# From the worker's side

_BEGIN = f"""
WITH claimed AS ({store.CLAIM})
SELECT claimed.*, request.* FROM claimed LEFT JOIN LATERAL (
    SELECT image_requests.companion_id, conversation_id, response_id, prompt, negative_prompt, seed, width,
        height, image_requests.scene AS own_scene, ticket, companions.name, companions.appearance,
        companions.user_appearance, setting.*
    FROM image_requests JOIN companions ON companions.id = image_requests.companion_id,
        {SETTING_OF_MESSAGE}
    WHERE image_requests.id = claimed.job_id
) AS request ON true
"""  # noqa: S608 - a constant


async def begin(job_id: UUID, *, worker: str) -> Request | None:
    """Claim a job; None when there is nothing to do: it is taken, ended, waits, or its companion is gone."""
    row = await store.claim(_BEGIN, job_id, worker=worker)
    if row is None:
        return None
    claim = Claim.of(row)
    if row["companion_id"] is None or claim.user_id is None:
        await store.fail(claim, code="companion_gone", message="There is nobody to paint any more.")
        await queue.ring_next_later(claim)
        return None
    setting = setting_of(row)
    own = row["own_scene"]
    return Request(
        claim=claim,
        user_id=claim.user_id,
        companion_id=row["companion_id"],
        conversation_id=row["conversation_id"],
        response_id=row["response_id"],
        prompt=row["prompt"],
        negative_prompt=row["negative_prompt"],
        seed=row["seed"],
        width=row["width"],
        height=row["height"],
        ticket=row["ticket"],
        name=row["name"],
        appearance=row["appearance"],
        user_appearance=row["user_appearance"],
        scene=msgspec.json.decode(own, type=Scene) if own else setting.scene,
        details=setting.details,
    )


async def keep_ticket(claim: Claim, ticket: str) -> bool:
    """Note the image server's own id of the work; False when the job is no longer the caller's."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "UPDATE image_requests SET ticket = $3 FROM jobs WHERE image_requests.id = $1"
            " AND jobs.id = $1 AND attempt = $2 AND status = 'in_progress'",
            claim.job_id,
            claim.attempt,
            ticket,
        )
    return bool(status == "UPDATE 1")


async def finish(claim: Claim, image_id: UUID) -> bool:
    """End the job with its picture; False when it is no longer the caller's."""
    return await store.complete(claim, result={"image_id": str(image_id)})


async def who_watches(job_id: UUID, *, lane: str) -> list[tuple[UUID, UUID]]:
    """Return (conversation id, response id) of a job, and of those whose place in its lane may be another."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "(SELECT conversation_id, response_id FROM image_requests"
            " WHERE id = $1 AND response_id IS NOT NULL)"
            " UNION (SELECT conversation_id, response_id FROM jobs JOIN image_requests USING (id)"
            " WHERE lane = $2 AND status = 'queued' AND response_id IS NOT NULL LIMIT 100)",
            job_id,
            lane,
        )
    return [(row["conversation_id"], row["response_id"]) for row in rows]


# For those who asked

_COLUMNS = f"""
jobs.id, status, progress, {POSITION} AS position, result, error_code, error_message, jobs.created_at,
completed_at, lane
"""
_JOB = f"""
SELECT {_COLUMNS} FROM jobs WHERE id = $1 AND user_id = $2 AND kind = '{JobKind.IMAGE}'
"""  # noqa: S608 - constants
_UNDER_WAY = f"""
SELECT {_COLUMNS} FROM image_requests JOIN jobs ON jobs.id = image_requests.id
WHERE image_requests.companion_id = $1 AND user_id = $2 AND (status IN ('queued', 'in_progress')
    OR (status = 'failed' AND completed_at > now() - $3::interval))
ORDER BY jobs.created_at DESC, jobs.id DESC LIMIT $4
"""  # noqa: S608 - constants


class FoundJob(Struct, frozen=True):
    """A job as its owner sees it, and the lane it runs in."""

    job: Job
    lane: str


async def get(job_id: UUID, *, user_id: UUID) -> FoundJob | None:
    """Return the owner's image job, or None."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_JOB, job_id, user_id)
    if row is None:
        return None
    result = await images.by_ids([found]) if (found := image_id_of(row["result"])) else {}
    return FoundJob(_job(row, next(iter(result.values()), None)), row["lane"])


async def under_way(companion_id: UUID, *, user_id: UUID, failed_since: timedelta, limit: int) -> list[Job]:
    """Return the newest image jobs of a companion that wait or run, or have failed lately."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_UNDER_WAY, companion_id, user_id, failed_since, limit)
    return [_job(row, None) for row in rows]


def image_id_of(result: str | None) -> UUID | None:
    """Return the id of the picture that a job's result names."""
    return UUID(msgspec.json.decode(result, type=dict[str, str])["image_id"]) if result else None


def _job(row: Mapping[str, Any], result: Image | None) -> Job:
    code = row["error_code"]
    return Job(
        id=row["id"],
        kind="image",
        status=row["status"],
        progress=row["progress"],
        position=row["position"],
        result=result,
        error=JobError(code=code, message=row["error_message"]) if code else None,
        created_at=row["created_at"],
        completed_at=row["completed_at"],
    )
