"""What was imported before, so that nothing comes twice and what was deleted here stays so."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import Literal
from uuid import UUID

from msgspec import Struct

from hub.core.clock import utc_now
from hub.core.ids import new_id
from hub.db.engine import ENGINE

Kind = Literal["user", "companion", "talk", "message", "header", "picture"]

_TABLES: dict[Kind, str] = {
    "user": "users",
    "companion": "companions",
    "talk": "conversations",
    "message": "messages",
    "header": "images",
    "picture": "images",
}
_ID_LENGTH = 200


class Entry(Struct, frozen=True):
    """What a row of the original became, and whether that still exists."""

    target_id: UUID
    is_there: bool


class Owner(Struct, frozen=True):
    """Where a picture belongs; ``message_id`` is None for a companion's."""

    companion_id: UUID
    user_id: UUID
    message_id: UUID | None


async def entries(kind: Kind, legacy_ids: Collection[str]) -> dict[str, Entry]:
    """Return what was imported of these rows, by their ids in the original."""
    names = {_key(each): each for each in legacy_ids}
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "SELECT legacy_id, target_id, target.id IS NOT NULL AS is_there FROM legacy_imports"  # noqa: S608 - a constant
            f" LEFT JOIN {_TABLES[kind]} AS target ON target.id = target_id"
            " WHERE legacy_imports.kind = $1 AND legacy_id = ANY($2)",
            kind,
            list(names),
        )
    return {names[row["legacy_id"]]: Entry(row["target_id"], row["is_there"]) for row in rows}


async def note(kind: Kind, targets: Iterable[tuple[str, UUID]]) -> None:
    """Remember what rows of the original became; in the transaction that stores them."""
    rows = [(new_id(), kind, _key(legacy_id), target_id, utc_now()) for legacy_id, target_id in targets]
    async with ENGINE.connection() as connection:
        await connection.executemany(
            "INSERT INTO legacy_imports (id, kind, legacy_id, target_id, imported_at)"
            " VALUES ($1, $2, $3, $4, $5)",
            rows,
        )


_OWNERS_OF_HEADERS = """
SELECT legacy_id, companions.id AS companion_id, companions.user_id, NULL::uuid AS message_id
FROM legacy_imports JOIN companions ON companions.id = target_id
WHERE legacy_imports.kind = 'companion' AND legacy_id = ANY($1)
"""
_OWNERS_OF_PICTURES = """
SELECT legacy_id, conversations.companion_id, conversations.user_id, messages.id AS message_id
FROM legacy_imports JOIN messages ON messages.id = target_id
JOIN conversations ON conversations.id = messages.conversation_id
WHERE legacy_imports.kind = 'message' AND legacy_id = ANY($1)
"""


async def owners(kind: Literal["header", "picture"], legacy_ids: Collection[str]) -> dict[str, Owner]:
    """Return where the pictures of these rows belong; those whose place is gone are left out."""
    names = {_key(each): each for each in legacy_ids}
    sql = _OWNERS_OF_HEADERS if kind == "header" else _OWNERS_OF_PICTURES
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(sql, list(names))
    return {
        names[row["legacy_id"]]: Owner(row["companion_id"], row["user_id"], row["message_id"]) for row in rows
    }


def _key(legacy_id: str) -> str:
    """Return what stands for an id; Prisma's have 25 characters, but any text would do there."""
    if len(legacy_id) <= _ID_LENGTH:
        return legacy_id
    return f"sha256:{sha256(legacy_id.encode()).hexdigest()}"
