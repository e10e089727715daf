"""Companions of the original, each with its scene and one conversation."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from hub.core.ids import id_of
from hub.db.engine import ENGINE
from hub.domain.companions import queries as companions
from hub.domain.companions.schemas import (
    DEFAULT_ACTION,
    DEFAULT_EXPRESSION,
    DEFAULT_LOCATION,
    DEFAULT_OUTFIT,
    Companion,
)
from hub.domain.scenes.schemas import Scene
from hub.legacy import ledger, names
from hub.legacy.records import SourceCompanion
from hub.legacy.report import Remark
from hub.legacy.run import Run

_NO_NAME = "Companion"


async def import_companions(run: Run) -> None:
    """Make the companions that are not here yet."""
    async for batch in run.source.companions():
        known = await ledger.entries("companion", [each.id for each in batch])
        owners = await ledger.entries("user", {each.user_id for each in batch})
        for each in batch:
            entry, owner = known.get(each.id), owners.get(each.user_id)
            if entry is not None and entry.is_there:
                run.report.count("companions", "already there")
            elif entry is not None or (owner is not None and not owner.is_there):
                await _is_deleted(run, each)
            elif owner is None:
                await _has_no_account(run, each)
            else:
                await _import(run, each, owner.target_id)
        run.progress.add(len(batch))


async def _is_deleted(run: Run, companion: SourceCompanion) -> None:
    run.report.count("companions", "deleted here")
    await run.close(companion.id, "deleted here")


async def _has_no_account(run: Run, companion: SourceCompanion) -> None:
    messages, pictures = await run.close(companion.id, "failed")
    text = f"its account was not imported; nor were its {messages:,} messages and {pictures:,} pictures"
    run.report.remark(
        Remark(
            thing="companions", row="companion", id=companion.id, column="failed", text=text, is_wrong=True
        )
    )


async def _import(run: Run, companion: SourceCompanion, user_id: UUID) -> None:
    try:
        await _store(companion, user_id)
    except asyncpg.ForeignKeyViolationError:  # the account was deleted in this moment
        await _is_deleted(run, companion)
        return
    run.report.count("companions", "imported")
    if made_of(companion).name != companion.name:
        text = "its name was blank or too long and was made to fit"
        run.report.remark(
            Remark(thing="companions", row="companion", id=companion.id, column="note", text=text)
        )


async def _store(companion: SourceCompanion, user_id: UUID) -> None:
    made, talk = made_of(companion), id_of(companion.created_at)
    async with ENGINE.transaction():
        await companions.insert(made, user_id=user_id)
        async with ENGINE.connection() as connection:
            await connection.execute(
                "INSERT INTO conversations (id, user_id, companion_id, title, created_at, updated_at)"
                " VALUES ($1, $2, $3, '', $4, $4)",
                talk,
                user_id,
                made.id,
                made.created_at,
            )
        await ledger.note("companion", [(companion.id, made.id)])
        await ledger.note("talk", [(companion.id, talk)])


def made_of(companion: SourceCompanion) -> Companion:
    """Return what a companion of the original becomes, under a fresh id."""
    default_outfit = companion.default_outfit.strip() or DEFAULT_OUTFIT
    return Companion(
        id=id_of(companion.created_at),
        name=names.short_name(companion.name, fallback=_NO_NAME),
        description=companion.description,
        appearance=companion.appearance,
        user_appearance=companion.user_appearance,
        default_outfit=default_outfit,
        greeting="",
        scene=Scene(
            outfit=companion.outfit.strip() or default_outfit,
            location=companion.location.strip() or DEFAULT_LOCATION,
            action=companion.action.strip() or DEFAULT_ACTION,
            expression=DEFAULT_EXPRESSION,
        ),
        header_image=None,
        created_at=companion.created_at,
        updated_at=companion.updated_at,
    )
