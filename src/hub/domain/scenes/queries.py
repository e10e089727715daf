"""Reading and writing of scenes: a companion's own, and the versions that its talks left.

Versions of one companion change one after the other, under a lock that is taken last of all (behind rows
of jobs, companions and conversations): each follows from the one before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record

from hub.core.ids import new_id
from hub.db.engine import ENGINE
from hub.domain.scenes.analysis import Findings, applied
from hub.domain.scenes.schemas import Scene, SceneDetails, Setting

_COLUMNS = "outfit, location, action, expression, lighting, is_user_present, visual_tags"

#: A part of FROM for statements that have ``companions``: ``setting``, which :func:`setting_of` reads.
SETTING = """LATERAL (
    SELECT outfit, location, action, expression, lighting, is_user_present, visual_tags FROM (
        (SELECT 1 AS choice, outfit, location, action, expression, lighting, is_user_present, visual_tags
        FROM scenes WHERE scenes.companion_id = companions.id ORDER BY sequence DESC LIMIT 1)
        UNION ALL
        SELECT 2, companions.outfit, companions.location, companions.action, companions.expression,
            '', false, '[]'
    ) AS found ORDER BY choice LIMIT 1
) AS setting"""


def setting_of(row: Mapping[str, Any]) -> Setting:
    """Make a setting of a row that has the columns of ``setting``."""
    return Setting(
        scene=Scene(
            outfit=row["outfit"],
            location=row["location"],
            action=row["action"],
            expression=row["expression"],
        ),
        details=SceneDetails(
            lighting=row["lighting"],
            is_user_present=row["is_user_present"],
            visual_tags=msgspec.json.decode(row["visual_tags"], type=tuple[str, ...]),
        ),
    )


async def settings_of(companion_ids: Collection[UUID]) -> dict[UUID, Setting]:
    """Return how things stand with companions, by their ids. The caller knows whose they are."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            f"SELECT companions.id AS companion_id, setting.* FROM companions, {SETTING}"  # noqa: S608 - a constant
            " WHERE companions.id = ANY($1)",
            list(companion_ids),
        )
    return {row["companion_id"]: setting_of(row) for row in rows}


# Writing, each within a transaction of the caller


_RECORD = """
INSERT INTO scenes (id, companion_id, message_id, findings)
SELECT $1, id, $3, CASE WHEN updated_at = $5 THEN $4::jsonb ELSE '{}' END FROM companions WHERE id = $2
RETURNING sequence
"""


async def record(companion_id: UUID, message_id: UUID, findings: Findings, *, as_of: datetime) -> None:
    """Store the scene after a new message: that before it, and what was found.

    Args:
        companion_id: whose scene.
        message_id: the new message.
        findings: what was found before it was written.
        as_of: the companion's ``updated_at`` at that time; if it was changed since, what its user set counts.
    """
    await _lock(companion_id)
    async with ENGINE.connection() as connection:
        sequence = await connection.fetchval(
            _RECORD,
            new_id(),
            companion_id,
            message_id,
            msgspec.json.encode(findings).decode(),
            as_of,
        )
    if sequence is not None:
        await _follow(companion_id, sequence)


async def amend(companion_id: UUID, message_id: UUID, findings: Findings) -> None:
    """Add to what was found up to a message; does nothing where its scene is gone."""
    await _lock(companion_id)
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT sequence, findings FROM scenes WHERE message_id = $1", message_id
        )
        if row is None:
            return
        before = msgspec.json.decode(row["findings"], type=Findings)
        await connection.execute(
            "UPDATE scenes SET findings = $2 WHERE message_id = $1",
            message_id,
            msgspec.json.encode(_together(before, findings)).decode(),
        )
    await _follow(companion_id, row["sequence"])


async def forget(companion_id: UUID) -> None:
    """Remove all versions, so that the scene is what the companion's row says."""
    await _lock(companion_id)
    async with ENGINE.connection() as connection:
        await connection.execute("DELETE FROM scenes WHERE companion_id = $1", companion_id)


async def forget_conversation(companion_id: UUID, conversation_id: UUID) -> None:
    """Remove the versions of one conversation; later ones of others follow from what is left."""
    await _lock(companion_id)
    async with ENGINE.connection() as connection:
        first = await connection.fetchval(
            "WITH gone AS (DELETE FROM scenes USING messages WHERE scenes.companion_id = $1"
            " AND messages.id = message_id AND conversation_id = $2 RETURNING sequence)"
            " SELECT min(sequence) FROM gone",
            companion_id,
            conversation_id,
        )
    if first is not None:
        await _follow(companion_id, first)


def _together(before: Findings, later: Findings) -> Findings:
    """Return what two analyses of the same message found; the later one counts where it says something."""
    said = {name: value for name, value in msgspec.structs.asdict(later).items() if value not in ("", None)}
    return msgspec.structs.replace(before, **said)


async def _lock(companion_id: UUID) -> None:
    async with ENGINE.connection() as connection:
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('scene:' || $1, 0))", str(companion_id)
        )


_FROM = f"""
SELECT id, sequence, findings, {_COLUMNS} FROM scenes WHERE companion_id = $1 AND sequence >= COALESCE(
    (SELECT max(sequence) FROM scenes WHERE companion_id = $1 AND sequence < $2), $2)
ORDER BY sequence
"""  # noqa: S608 - a constant
_OWN = "SELECT outfit, location, action, expression FROM companions WHERE id = $1"
_REWRITE = """
UPDATE scenes SET outfit = new.outfit, location = new.location, action = new.action,
    expression = new.expression, lighting = new.lighting, is_user_present = new.is_user_present,
    visual_tags = new.visual_tags
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[], $8::jsonb[])
    AS new (id, outfit, location, action, expression, lighting, is_user_present, visual_tags)
WHERE scenes.id = new.id
"""


async def _follow(companion_id: UUID, sequence: int) -> None:
    """Have each version from ``sequence`` on follow from the one before it."""
    async with ENGINE.connection() as connection:
        rows = list(await connection.fetch(_FROM, companion_id, sequence))
        if rows and rows[0]["sequence"] < sequence:
            setting = setting_of(rows.pop(0))
        else:
            own = await connection.fetchrow(_OWN, companion_id)
            setting = Setting(scene=Scene(**own), details=SceneDetails())
        if rows:
            await connection.execute(_REWRITE, *_followed(setting, rows))


def _followed(setting: Setting, rows: list[Record]) -> tuple[list[object], ...]:
    """Return the columns of ``_REWRITE``, one list each."""
    lines: list[tuple[object, ...]] = []
    for row in rows:
        findings = msgspec.json.decode(row["findings"], type=Findings)
        scene, details = applied(setting.scene, setting.details, findings)
        setting = Setting(scene=scene, details=details)
        tags = msgspec.json.encode(details.visual_tags).decode()
        lines.append(
            (
                row["id"],
                *msgspec.structs.astuple(scene),
                details.lighting,
                details.is_user_present,
                tags,
            )
        )
    return tuple(list(column) for column in zip(*lines, strict=True))
