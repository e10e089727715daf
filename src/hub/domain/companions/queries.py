"""Reading and writing of companions; every query names the owner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from piccolo.columns import Column
from piccolo.columns.combination import WhereRaw
from piccolo.query.methods.select import Select

from hub.core.clock import utc_now
from hub.core.pages import TimeCursor
from hub.domain.companions.schemas import Companion
from hub.domain.companions.tables import Companion as CompanionRow
from hub.domain.images import queries as images
from hub.domain.images.schemas import Image
from hub.domain.scenes.schemas import Scene


async def _companions(rows: list[dict[str, Any]]) -> list[Companion]:
    headers = await images.headers_of([row["id"] for row in rows]) if rows else {}
    return [_companion(row, headers) for row in rows]


def _companion(row: dict[str, Any], headers: Mapping[UUID, Image]) -> Companion:
    scene = Scene(**{name: str(row.pop(name)) for name in ("outfit", "location", "action", "expression")})
    row.pop("user_id")
    return Companion(**row, scene=scene, header_image=headers.get(row["id"]))


async def insert(companion: Companion, *, user_id: UUID) -> None:
    """Store a new companion."""
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


async def update(companion_id: UUID, *, user_id: UUID, changes: dict[str, str]) -> Companion | None:
    """Change columns of the owner's companion and return it, or None."""
    columns: dict[Column | str, Any] = dict[Any, Any](changes) | {"updated_at": utc_now()}
    await CompanionRow.update(columns).where(
        (CompanionRow.id == companion_id) & (CompanionRow.user_id == user_id)
    )
    return await get(companion_id, user_id=user_id)


async def delete(companion_id: UUID, *, user_id: UUID) -> bool:
    """Remove the owner's companion with all that hangs on it; False when there is none."""
    rows = await (
        CompanionRow.delete()
        .where((CompanionRow.id == companion_id) & (CompanionRow.user_id == user_id))
        .returning(CompanionRow.id)
    )
    return bool(rows)
