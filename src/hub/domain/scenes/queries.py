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
from msgspec import Struct

from hub.core.ids import new_id
from hub.db.engine import ENGINE
from hub.domain.scenes.analysis import Findings, applied
from hub.domain.scenes.schemas import Scene, SceneDetails, Setting

_COLUMNS = "outfit, location, action, expression, lighting, is_user_present, visual_tags"

_SETTING = f"""LATERAL (
    SELECT {_COLUMNS} FROM (
        {{before}}
        (SELECT 1 AS choice, {_COLUMNS}
        FROM scenes WHERE scenes.companion_id = companions.id ORDER BY sequence DESC LIMIT 1)
        UNION ALL
        SELECT 2, companions.outfit, companions.location, companions.action, companions.expression,
            '', false, '[]'
    ) AS found ORDER BY choice LIMIT 1
) AS setting"""  # noqa: S608 - a constant

#: A part of FROM for statements that have ``companions``: ``setting``, which :func:`setting_of` reads.
SETTING = _SETTING.format(before="")
#: The same for statements that have ``image_requests`` too: that of the message which a picture goes with.
SETTING_OF_MESSAGE = _SETTING.format(
    before=f"""(SELECT 0 AS choice, {_COLUMNS} FROM scenes JOIN messages ON messages.id = message_id
        WHERE messages.response_id = image_requests.response_id) UNION ALL"""  # noqa: S608 - a constant
)


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


async def setting_before(companion_id: UUID, message_id: UUID) -> Setting | None:
    """Return how things stood before a companion's message; None when that is how they stand now."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_BEFORE, companion_id, message_id)
    return setting_of(row) if row else None


# Writing, each within a transaction of the caller


async def record(companion_id: UUID, message_id: UUID, findings: Findings, *, as_of: datetime) -> None:
    """Store the scene after a new message: that before it, and what was found.

    Args:
        companion_id: whose scene.
        message_id: the new message.
        findings: what was found before it was written.
        as_of: the companion's ``updated_at`` at that time; if it was changed since, what its user set counts.
    """
    await lock(companion_id)
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_NOW, companion_id)
        if row is not None:
            found = findings if row["updated_at"] == as_of else Findings()
            version = _version(new_id(), setting_of(row), found)
            await connection.execute(_INSERT, companion_id, message_id, *version.columns())


async def replace(companion_id: UUID, message_id: UUID, findings: Findings, *, as_of: datetime) -> None:
    """Store what was found for a message that is another one now, in place of what was found up to it before.

    The arguments are those of :func:`record`, which does it where the message has no scene.
    """
    await lock(companion_id)
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "UPDATE scenes SET findings = CASE WHEN updated_at = $3 THEN $4::jsonb ELSE '{}' END"
            " FROM companions WHERE companions.id = $1 AND companion_id = $1 AND message_id = $2",
            companion_id,
            message_id,
            as_of,
            msgspec.json.encode(findings).decode(),
        )
    if status == "UPDATE 1":
        await _follow(companion_id, _FROM_MESSAGE, message_id)
    else:
        await record(companion_id, message_id, findings, as_of=as_of)


async def ensure(companion_id: UUID, message_id: UUID, findings: Findings, *, as_of: datetime) -> None:
    """Do what :func:`record` does for a message that has no scene yet."""
    await lock(companion_id)
    async with ENGINE.connection() as connection:
        has_one = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM scenes WHERE message_id = $1)", message_id
        )
    if not has_one:
        await record(companion_id, message_id, findings, as_of=as_of)


async def amend(
    companion_id: UUID, message_id: UUID, findings: Findings, *, response_id: UUID | None = None
) -> None:
    """Add to what was found up to a message; does nothing where its scene is gone.

    Args:
        companion_id: whose scene.
        message_id: the message.
        findings: what was found after it.
        response_id: the response it was when that was found; if it has another text now, nothing is done.
    """
    await lock(companion_id)
    if response_id is not None and not await _still_is(message_id, response_id):
        return
    await _follow(companion_id, _FROM_MESSAGE, message_id, more=findings)


async def _still_is(message_id: UUID, response_id: UUID) -> bool:
    async with ENGINE.connection() as connection:
        return bool(
            await connection.fetchval(
                "SELECT response_id = $2 FROM messages WHERE id = $1", message_id, response_id
            )
        )


async def forget(companion_id: UUID) -> None:
    """Remove all versions, so that the scene is what the companion's row says."""
    await lock(companion_id)
    async with ENGINE.connection() as connection:
        await connection.execute("DELETE FROM scenes WHERE companion_id = $1", companion_id)


async def forget_conversation(companion_id: UUID, conversation_id: UUID) -> None:
    """Remove the versions of one conversation; later ones of others follow from what is left."""
    await _forget(companion_id, "conversation_id = $2", conversation_id)


async def forget_messages(companion_id: UUID, message_ids: list[UUID]) -> bool:
    """Remove the versions of some messages; later ones follow from what is left.

    Returns:
        False when there are none, and the scene stays as it is.
    """
    return await _forget(companion_id, "message_id = ANY($2)", message_ids)


async def _forget(companion_id: UUID, which: str, value: UUID | list[UUID]) -> bool:
    await lock(companion_id)
    async with ENGINE.connection() as connection:
        first = await connection.fetchval(
            "WITH gone AS (DELETE FROM scenes USING messages WHERE scenes.companion_id = $1"  # noqa: S608 - a constant
            f" AND messages.id = message_id AND {which} RETURNING sequence)"
            " SELECT min(sequence) FROM gone",
            companion_id,
            value,
        )
    if first is not None:
        await _follow(companion_id, _FROM_SEQUENCE, first)
    return first is not None


def _together(before: Findings, later: Findings) -> Findings:
    """Return what two analyses of the same message found; the later one counts where it says something."""
    said = {name: value for name, value in msgspec.structs.asdict(later).items() if value not in ("", None)}
    return msgspec.structs.replace(before, **said)


async def lock(companion_id: UUID) -> None:
    """Keep everybody else from changing a companion's scene until the transaction ends."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('scene:' || $1, 0))", str(companion_id)
        )


class _Version(Struct, frozen=True):
    """A version to be stored: what was found, and the scene that follows from it."""

    id: UUID
    findings: Findings
    setting: Setting

    def columns(self) -> tuple[object, ...]:
        """Return the values of id, findings and ``_COLUMNS``."""
        details = self.setting.details
        return (
            self.id,
            msgspec.json.encode(self.findings).decode(),
            *msgspec.structs.astuple(self.setting.scene),
            details.lighting,
            details.is_user_present,
            msgspec.json.encode(details.visual_tags).decode(),
        )


def _version(version_id: UUID, before: Setting, findings: Findings) -> _Version:
    scene, details = applied(before.scene, before.details, findings)
    return _Version(version_id, findings, Setting(scene=scene, details=details))


_NOW = f"SELECT updated_at, setting.* FROM companions, {SETTING} WHERE companions.id = $1"  # noqa: S608 - a constant
_INSERT = f"""
INSERT INTO scenes (companion_id, message_id, id, findings, {_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""  # noqa: S608 - a constant
# The versions from one on, and the one before it.
_FROM = f"""
SELECT id, findings, sequence < start AS is_before, {_COLUMNS} FROM scenes, (SELECT {{start}} AS start) AS it
WHERE companion_id = $1 AND sequence >= COALESCE(
    (SELECT max(sequence) FROM scenes WHERE companion_id = $1 AND sequence < start), start)
ORDER BY sequence
"""  # noqa: S608 - a constant
_FROM_SEQUENCE = _FROM.format(start="$2::bigint")
_FROM_MESSAGE = _FROM.format(start="(SELECT sequence FROM scenes WHERE message_id = $2)")
_BEFORE = f"""
WITH it AS (SELECT sequence FROM scenes WHERE message_id = $2)
(SELECT {_COLUMNS} FROM scenes WHERE companion_id = $1 AND sequence < (SELECT sequence FROM it)
ORDER BY sequence DESC LIMIT 1)
UNION ALL
(SELECT outfit, location, action, expression, '', false, '[]' FROM companions WHERE id = $1
AND EXISTS (SELECT FROM it) AND NOT EXISTS (
    SELECT FROM scenes WHERE companion_id = $1 AND sequence < (SELECT sequence FROM it)))
"""  # noqa: S608 - a constant
_OWN = "SELECT outfit, location, action, expression FROM companions WHERE id = $1"
_REWRITE = """
UPDATE scenes SET findings = new.findings, outfit = new.outfit, location = new.location, action = new.action,
    expression = new.expression, lighting = new.lighting, is_user_present = new.is_user_present,
    visual_tags = new.visual_tags
FROM unnest($1::uuid[], $2::jsonb[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bool[],
    $9::jsonb[])
    AS new (id, findings, outfit, location, action, expression, lighting, is_user_present, visual_tags)
WHERE scenes.id = new.id
"""


async def _follow(
    companion_id: UUID, statement: str, start: UUID | int, *, more: Findings | None = None
) -> None:
    """Have each version from one on follow from the one before it; ``more`` was found for the first."""
    async with ENGINE.connection() as connection:
        rows = list(await connection.fetch(statement, companion_id, start))
        if rows and rows[0]["is_before"]:
            setting = setting_of(rows.pop(0))
        elif rows:
            own = await connection.fetchrow(_OWN, companion_id)
            setting = Setting(scene=Scene(**own), details=SceneDetails())
        if rows:
            versions = _followed(setting, rows, more or Findings())
            columns = zip(*(each.columns() for each in versions), strict=True)
            await connection.execute(_REWRITE, *(list(column) for column in columns))


def _followed(setting: Setting, rows: list[Record], more: Findings) -> list[_Version]:
    versions: list[_Version] = []
    for row in rows:
        findings = msgspec.json.decode(row["findings"], type=Findings)
        if not versions:
            findings = _together(findings, more)
        versions.append(_version(row["id"], setting, findings))
        setting = versions[-1].setting
    return versions
