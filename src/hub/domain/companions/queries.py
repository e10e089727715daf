"""Reading and writing of companions; every query names the owner."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

import msgspec
from piccolo.columns import Column
from piccolo.columns.combination import WhereRaw
from piccolo.query.methods.select import Select

from hub.core.clock import utc_now
from hub.core.pages import TimeCursor
from hub.db.engine import ENGINE
from hub.domain.companions.schemas import (
    DEFAULT_ACTION,
    DEFAULT_EXPRESSION,
    DEFAULT_LOCATION,
    Companion,
)
from hub.domain.companions.tables import Companion as CompanionRow
from hub.domain.images import queries as images
from hub.domain.images.schemas import Image
from hub.domain.scenes import queries as scenes
from hub.domain.scenes.schemas import Scene

_NOT_SHOWN = {"user_id", "sample", *Scene.__struct_fields__}


async def _companions(rows: list[dict[str, Any]]) -> list[Companion]:
    if not rows:
        return []
    ids = [row["id"] for row in rows]
    headers, settings = await images.headers_of(ids), await scenes.settings_of(ids)
    # One that was deleted in between is left out.
    return [_companion(row, headers, settings[row["id"]].scene) for row in rows if row["id"] in settings]


def _companion(row: dict[str, Any], headers: Mapping[UUID, Image], scene: Scene) -> Companion:
    own = {name: value for name, value in row.items() if name not in _NOT_SHOWN}
    is_sample = row["sample"] is not None
    return Companion(**own, scene=scene, header_image=headers.get(row["id"]), sample=is_sample)


async def insert(companion: Companion, *, user_id: UUID, sample: str | None = None) -> None:
    """Store a new companion; ``sample`` is its key if the hub brings it along."""
    scene = companion.scene
    await CompanionRow.insert(
        CompanionRow(
            id=companion.id,
            user_id=user_id,
            name=companion.name,
            description=companion.description,
            appearance=companion.appearance,
            user_appearance=companion.user_appearance,
            default_outfit=companion.default_outfit,
            greeting=companion.greeting,
            outfit=scene.outfit,
            location=scene.location,
            action=scene.action,
            expression=scene.expression,
            created_at=companion.created_at,
            updated_at=companion.updated_at,
            sample=sample,
        )
    )


def _owned(user_id: UUID) -> Select[CompanionRow]:
    return CompanionRow.select().where(CompanionRow.user_id == user_id)


async def get(companion_id: UUID, *, user_id: UUID) -> Companion | None:
    """Return the owner's companion, or None."""
    companions = await _companions(await _owned(user_id).where(CompanionRow.id == companion_id))
    return companions[0] if companions else None


async def page(*, user_id: UUID, limit: int, after: TimeCursor | None) -> list[Companion]:
    """Return up to ``limit`` companions, the newest first."""
    query = _owned(user_id)
    if after is not None:
        query = query.where(WhereRaw("(created_at, id) < ({}, {})", after.created_at, after.id))
    return await _companions(
        await query.order_by(CompanionRow.created_at, CompanionRow.id, ascending=False).limit(limit)
    )


async def samples(*, user_id: UUID) -> list[Companion]:
    """Return the owner's samples, the newest first."""
    query = _owned(user_id).where(CompanionRow.sample.is_not_null())
    return await _companions(await query.order_by(CompanionRow.created_at, CompanionRow.id, ascending=False))


async def make_own(companion_id: UUID) -> None:
    """Make a sample the owner's, since they put work into it; one that is none stays as it is."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE companions SET sample = NULL WHERE id = $1 AND sample IS NOT NULL", companion_id
        )


async def by_ids(companion_ids: Collection[UUID], *, user_id: UUID) -> dict[UUID, Companion]:
    """Return those of the owner's companions that exist, by id."""
    rows = await _owned(user_id).where(CompanionRow.id.is_in(list(companion_ids))) if companion_ids else []
    return {companion.id: companion for companion in await _companions(rows)}


async def update(companion_id: UUID, *, user_id: UUID, changes: dict[str, str]) -> Companion | None:
    """Change columns of the owner's companion, which is theirs from then on; return it, or None."""
    columns: dict[Column | str, Any] = dict[Any, Any](changes) | {"updated_at": utc_now(), "sample": None}
    await CompanionRow.update(columns).where(
        (CompanionRow.id == companion_id) & (CompanionRow.user_id == user_id)
    )
    return await get(companion_id, user_id=user_id)


async def lock(companion_id: UUID, *, user_id: UUID) -> bool:
    """Keep others from changing the owner's companion in this transaction; False when there is none."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT FROM companions WHERE id = $1 AND user_id = $2 FOR NO KEY UPDATE", companion_id, user_id
        )
    return row is not None


async def lock_all(user_id: UUID) -> None:
    """Keep everything from coming to a user's companions, which are about to go with them.

    Work under way needs its companion to end: those who hold jobs or conversations are waited for before.
    """
    async with ENGINE.connection() as connection:
        await connection.execute("SELECT FROM companions WHERE user_id = $1 ORDER BY id FOR UPDATE", user_id)


async def set_scene(companion_id: UUID, scene: Scene) -> None:
    """Make this the scene that holds until a talk changes it."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE companions SET outfit = $2, location = $3, action = $4, expression = $5,"
            " updated_at = now() WHERE id = $1",
            companion_id,
            *msgspec.structs.astuple(scene),
        )


async def reset_scene(companion_id: UUID) -> None:
    """Put a companion back into its first scene, in its usual outfit."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE companions SET outfit = default_outfit, location = $2, action = $3, expression = $4,"
            " updated_at = now() WHERE id = $1",
            companion_id,
            DEFAULT_LOCATION,
            DEFAULT_ACTION,
            DEFAULT_EXPRESSION,
        )


async def delete(companion_id: UUID, *, user_id: UUID) -> bool:
    """Remove the owner's companion with all that hangs on it; False when there is none."""
    rows = await (
        CompanionRow.delete()
        .where((CompanionRow.id == companion_id) & (CompanionRow.user_id == user_id))
        .returning(CompanionRow.id)
    )
    return bool(rows)
