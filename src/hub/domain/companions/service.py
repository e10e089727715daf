"""Making, changing and removing companions."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import msgspec

from hub.core.clock import utc_now
from hub.core.etags import ANYTHING, Expected
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.core.pages import Page, TimeCursor, by_time
from hub.db.engine import ENGINE
from hub.domain.companions import card_queries, queries
from hub.domain.companions.errors import CompanionNotFoundError
from hub.domain.companions.schemas import (
    DEFAULT_ACTION,
    DEFAULT_EXPRESSION,
    DEFAULT_LOCATION,
    DEFAULT_OUTFIT,
    Card,
    Companion,
    CreateCompanion,
    UpdateCompanion,
)
from hub.domain.limits.service import Action, Limits
from hub.domain.scenes import queries as scenes
from hub.domain.scenes.schemas import Scene

logger = get_logger(__name__)


async def create(command: CreateCompanion, *, user_id: UUID, limits: Limits) -> Companion:
    """Make a companion in its default scene.

    Raises:
        TooManyRequestsError: too many in this hour.
    """
    companion = composed(command)
    async with ENGINE.transaction():
        await limits.take(Action.CREATE, user_id)
        await queries.insert(companion, user_id=user_id)
    logger.info("companion created", companion_id=str(companion.id))
    return companion


def composed(command: CreateCompanion) -> Companion:
    """Return a new companion in its default scene, which is not stored yet."""
    now = utc_now()
    outfit = command.default_outfit.strip() or DEFAULT_OUTFIT
    return Companion(
        id=new_id(),
        name=command.name,
        description=command.description,
        appearance=command.appearance,
        user_appearance=command.user_appearance,
        default_outfit=outfit,
        greeting=command.greeting,
        scene=Scene(
            outfit=outfit,
            location=DEFAULT_LOCATION,
            action=DEFAULT_ACTION,
            expression=DEFAULT_EXPRESSION,
        ),
        header_image=None,
        created_at=now,
        updated_at=now,
    )


async def get(companion_id: UUID, *, user_id: UUID) -> Companion:
    """Return the owner's companion.

    Raises:
        CompanionNotFoundError: there is none.
    """
    companion = await queries.get(companion_id, user_id=user_id)
    if companion is None:
        raise _not_found()
    return companion


async def page(*, user_id: UUID, limit: int, cursor: str | None) -> Page[Companion]:
    """Return one page of the owner's companions, the newest first."""
    after = TimeCursor.decode(cursor) if cursor is not None else None
    items = await queries.page(user_id=user_id, limit=limit + 1, after=after)
    return by_time(items, limit=limit)


async def cards(
    *, user_id: UUID, limit: int = 24, cursor: str | None = None, name: str | None = None
) -> Page[Card]:
    """Return one page of the owner's companions with what was said last, the last talked with first.

    Args:
        user_id: the owner.
        limit: how many at most.
        cursor: of the page before this one.
        name: only those whose name has this somewhere, in any case; blank or None for all.

    Raises:
        FieldError: the cursor is not one of ours.
    """
    after = TimeCursor.decode(cursor) if cursor is not None else None
    wanted = (name or "").strip().replace("\0", "\N{REPLACEMENT CHARACTER}")  # no name has one
    items, following = await card_queries.page(user_id=user_id, name=wanted or None, limit=limit, after=after)
    return Page(items=items, next_cursor=following.encode() if following else None)


async def update(
    companion_id: UUID,
    command: UpdateCompanion,
    *,
    user_id: UUID,
    limits: Limits,
    expected: Expected = ANYTHING,
) -> Companion:
    """Change the owner's companion; the next reply knows.

    Raises:
        CompanionNotFoundError: there is none.
        TooManyRequestsError: too many changes in this hour.
        StaleEditError: it is not as expected.
    """
    async with ENGINE.transaction():
        await limits.take(Action.EDIT, user_id)
        return await change(companion_id, command, user_id=user_id, expected=expected)


async def change(
    companion_id: UUID, command: UpdateCompanion, *, user_id: UUID, expected: Expected = ANYTHING
) -> Companion:
    """Change the owner's companion within a transaction of the caller, who has counted it.

    Raises:
        CompanionNotFoundError: there is none.
        StaleEditError: it is not as expected.
    """
    changes = msgspec.to_builtins(command)  # leaves out what is unset
    new_scene: dict[str, str] = changes.pop("scene", {})
    if "default_outfit" in changes:
        changes["default_outfit"] = changes["default_outfit"].strip() or DEFAULT_OUTFIT
    if not await queries.lock(companion_id, user_id=user_id):
        raise _not_found()
    await check(companion_id, user_id=user_id, expected=expected)
    companion = await queries.update(companion_id, user_id=user_id, changes=changes)
    if companion is None:
        raise _not_found()
    if not new_scene:
        return companion
    scene = _scene(new_scene, companion)
    await scenes.forget(companion_id)  # what the talk says from now on comes on top of it
    await queries.set_scene(companion_id, scene)
    return await get(companion_id, user_id=user_id)


async def check(companion_id: UUID, *, user_id: UUID, expected: Expected) -> None:
    """Return if the owner's companion is as an editor expects; for a transaction that has its row locked.

    Its scene then stays too, until the transaction ends: replies change it without locking the row.

    Raises:
        CompanionNotFoundError: there is none.
        StaleEditError: it is not.
    """
    if expected is not ANYTHING:
        await scenes.lock(companion_id)
        expected.check(await get(companion_id, user_id=user_id))


def _scene(changes: Mapping[str, str], companion: Companion) -> Scene:
    first = {
        "outfit": companion.default_outfit,
        "location": DEFAULT_LOCATION,
        "action": DEFAULT_ACTION,
        "expression": DEFAULT_EXPRESSION,
    }
    return msgspec.structs.replace(
        companion.scene, **{name: value.strip() or first[name] for name, value in changes.items()}
    )


def _not_found() -> CompanionNotFoundError:
    return CompanionNotFoundError("It may have been deleted, or it belongs to somebody else.")
