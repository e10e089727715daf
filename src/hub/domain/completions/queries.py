"""Reading and writing of completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from hub.db.engine import ENGINE
from hub.domain.chat.schemas import ResponseError, Usage
from hub.domain.completions.schemas import Asked, Completion, Kind, Model
from hub.jobs import store
from hub.jobs.contracts import NewJob
from hub.providers.llm.protocol import ChatMessage

#: How many responses a talk is followed back over; more would not fit any context that a chat needs.
CHAIN_LIMIT = 200
#: Bytes, about, beyond which nothing older is read: a megabyte may have been sent with each of them.
CHAIN_BYTES = 2 * 1024 * 1024

_COLUMNS = (
    "id, companion_id, kind, stored, previous_id, request, status, output_text, attempt, finish_reason,"
    " error_code, error_message, usage, created_at, completed_at"
)


class NewCompletion(Struct, frozen=True, kw_only=True):
    """A completion to be asked for; ``job`` writes it."""

    job: NewJob
    companion_id: UUID
    kind: Kind
    stored: bool
    previous_id: UUID | None
    asked: Asked


_INSERT = f"""
WITH companion AS (SELECT id FROM companions WHERE id = $12 AND user_id = $4 FOR KEY SHARE),
job AS ({store.insertion(first=1, source="FROM companion")} RETURNING id)
INSERT INTO completions (id, user_id, companion_id, kind, stored, previous_id, request)
SELECT id, $4, $12, $13, $14, $15, $16 FROM job RETURNING {_COLUMNS}
"""  # noqa: S608 - constants


async def insert(new: NewCompletion) -> Completion | None:
    """Store a completion with its job; None when the companion is not the user's."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            _INSERT,
            *store.insertion_values(new.job),
            new.companion_id,
            new.kind,
            new.stored,
            new.previous_id,
            msgspec.json.encode(new.asked).decode(),
        )
    return _completion(row) if row else None


async def get(completion_id: UUID, *, user_id: UUID) -> Completion | None:
    """Return the owner's completion, or None."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT {_COLUMNS} FROM completions WHERE id = $1 AND user_id = $2",  # noqa: S608 - a constant
            completion_id,
            user_id,
        )
    return _completion(row) if row else None


async def read(completion_id: UUID) -> Completion | None:
    """Return a completion whose owner was checked before, or None when it is gone."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM completions WHERE id = $1", completion_id)  # noqa: S608 - a constant
    return _completion(row) if row else None


# Each step back finds an older row, so that no circle can be. The size is that of the text: what is stored is
# packed, some of it to a hundredth.
_SIZE = "octet_length({0}.request::text) + octet_length({0}.output_text)"
_CHAIN = f"""
WITH RECURSIVE chain AS (
    SELECT id, previous_id, request, output_text, 1 AS steps, {_SIZE.format("completions")} AS size
    FROM completions WHERE id = $1
    UNION ALL
    SELECT before.id, before.previous_id, before.request, before.output_text, steps + 1, chain.size + own.size
    FROM chain JOIN completions AS before ON before.id = chain.previous_id
    CROSS JOIN LATERAL (SELECT {_SIZE.format("before")} AS size) AS own
    WHERE steps < $2 AND chain.size + own.size <= $3
)
SELECT request, output_text FROM chain ORDER BY steps DESC
"""  # noqa: S608 - constants


async def talk_before(completion_id: UUID) -> list[ChatMessage]:
    """Return the talk up to the end of a completion, the oldest message first, as far as it is remembered."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_CHAIN, completion_id, CHAIN_LIMIT, CHAIN_BYTES)
    talk: list[ChatMessage] = []
    for row in rows:
        talk += msgspec.json.decode(row["request"], type=Asked).messages
        if row["output_text"]:
            talk.append(ChatMessage(role="assistant", content=row["output_text"]))
    return talk


async def end(completion_id: UUID, *, status: str, error: ResponseError | None = None) -> None:
    """End a completion from outside, as its job was; what it has said so far stays."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE completions SET status = $2, error_code = $3, error_message = $4, completed_at = now()"
            " WHERE id = $1 AND status IN ('queued', 'in_progress')",
            completion_id,
            status,
            error.code if error else None,
            error.message if error else None,
        )


async def cancel_many(completion_ids: list[UUID]) -> None:
    """Mark those of some completions cancelled that have not ended; what they have said so far stays."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE completions SET status = 'cancelled', completed_at = now()"
            " WHERE id = ANY($1) AND status IN ('queued', 'in_progress')",
            completion_ids,
        )


async def delete(completion_id: UUID) -> None:
    """Forget a completion; its job stays, without a word of it."""
    async with ENGINE.connection() as connection:
        await connection.execute("DELETE FROM completions WHERE id = $1", completion_id)


async def ids_of(companion_id: UUID) -> list[UUID]:
    """Return the ids of a companion's completions, which are those of their jobs."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch("SELECT id FROM completions WHERE companion_id = $1", companion_id)
    return [row["id"] for row in rows]


async def forget(companion_id: UUID) -> None:
    """Forget all that was asked of a companion."""
    async with ENGINE.connection() as connection:
        await connection.execute("DELETE FROM completions WHERE companion_id = $1", companion_id)


# Models


async def models(*, user_id: UUID) -> list[Model]:
    """Return all of a user's companions, the newest first."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "SELECT id, name, created_at FROM companions WHERE user_id = $1"
            " ORDER BY created_at DESC, id DESC",
            user_id,
        )
    return [_model(row) for row in rows]


async def model(companion_id: UUID, *, user_id: UUID) -> Model | None:
    """Return one of a user's companions, or None."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT id, name, created_at FROM companions WHERE id = $1 AND user_id = $2",
            companion_id,
            user_id,
        )
    return _model(row) if row else None


def _model(row: Mapping[str, Any]) -> Model:
    return Model(companion_id=row["id"], name=row["name"], created_at=row["created_at"])


def _completion(row: Mapping[str, Any]) -> Completion:
    code, usage = row["error_code"], row["usage"]
    return Completion(
        id=row["id"],
        companion_id=row["companion_id"],
        kind=row["kind"],
        stored=row["stored"],
        previous_id=row["previous_id"],
        asked=msgspec.json.decode(row["request"], type=Asked),
        status=row["status"],
        output_text=row["output_text"],
        attempt=row["attempt"],
        finish_reason=row["finish_reason"],
        error=ResponseError(code=code, message=row["error_message"]) if code else None,
        usage=msgspec.json.decode(usage, type=Usage) if usage else None,
        created_at=row["created_at"],
        completed_at=row["completed_at"],
    )
