"""Reading and writing of what stands under an account: personal tokens, sign-ins, invites."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from asyncpg import Record

from hub.core.pages import TimeCursor
from hub.db.engine import ENGINE
from hub.domain.accounts.schemas import Invite, PersonalToken, SignInInfo

#: SQL: whether a token is still good by its time.
IS_LIVE = "(expires_at IS NULL OR expires_at > now())"
#: SQL: whether the last use of a token has to be stored anew.
IS_STALE = "(last_used_at IS NULL OR last_used_at < now() - interval '1 minute')"

_PERSONAL = "id, name, scopes, hint, created_at, expires_at, last_used_at"
_AFTER = "($3::timestamptz IS NULL OR (created_at, id) < ($3, $4)) ORDER BY created_at DESC, id DESC LIMIT $2"


def _personal(row: Record) -> PersonalToken:
    return PersonalToken(**row)


def _place(after: TimeCursor | None) -> tuple[datetime | None, UUID | None]:
    return (after.created_at, after.id) if after is not None else (None, None)


async def note_use(token_ids: list[UUID]) -> None:
    """Store that these were used just now; rows that somebody holds are left to their next use."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE tokens SET last_used_at = now() WHERE id IN (SELECT id FROM tokens"  # noqa: S608 - a constant
            f" WHERE id = ANY($1) AND {IS_STALE} FOR UPDATE SKIP LOCKED)",
            token_ids,
        )


# Personal access tokens


async def count_personal(user_id: UUID) -> int:
    """Return how many a user has that are still good."""
    async with ENGINE.connection() as connection:
        count: int = await connection.fetchval(
            f"SELECT count(*) FROM tokens WHERE user_id = $1 AND kind = 'personal' AND {IS_LIVE}",  # noqa: S608 - a constant
            user_id,
        )
    return count


async def insert_personal(token: PersonalToken, *, user_id: UUID, token_hash: bytes) -> None:
    """Store a new one."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "INSERT INTO tokens (id, user_id, kind, token_hash, name, scopes, hint, created_at, expires_at)"
            " VALUES ($1, $2, 'personal', $3, $4, $5, $6, $7, $8)",
            token.id,
            user_id,
            token_hash,
            token.name,
            token.scopes,
            token.hint,
            token.created_at,
            token.expires_at,
        )


async def personal_page(user_id: UUID, *, limit: int, after: TimeCursor | None) -> list[PersonalToken]:
    """Return up to ``limit`` of a user's that are still good, the newest first."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            f"SELECT {_PERSONAL} FROM tokens WHERE user_id = $1 AND kind = 'personal' AND {IS_LIVE}"  # noqa: S608 - constants
            f" AND {_AFTER}",
            user_id,
            limit,
            *_place(after),
        )
    return [_personal(row) for row in rows]


async def get_personal(token_id: UUID, *, user_id: UUID) -> PersonalToken | None:
    """Return one of a user's that is still good."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT {_PERSONAL} FROM tokens WHERE id = $1 AND user_id = $2 AND kind = 'personal'"  # noqa: S608 - constants
            f" AND {IS_LIVE}",
            token_id,
            user_id,
        )
    return _personal(row) if row else None


async def owner_of_personal(token_id: UUID) -> UUID | None:
    """Return whose it is."""
    async with ENGINE.connection() as connection:
        owner: UUID | None = await connection.fetchval(
            "SELECT user_id FROM tokens WHERE id = $1 AND kind = 'personal'", token_id
        )
    return owner


# Sign-ins


async def sign_in_page(
    user_id: UUID, *, current: UUID, limit: int, after: TimeCursor | None
) -> list[SignInInfo]:
    """Return up to ``limit`` of a user's sign-ins that are still good, the newest first."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "SELECT id, created_at, expires_at, last_used_at, id = $5 AS current FROM tokens"  # noqa: S608 - constants
            f" WHERE user_id = $1 AND kind = 'session' AND {IS_LIVE} AND {_AFTER}",
            user_id,
            limit,
            *_place(after),
            current,
        )
    return [SignInInfo(**row) for row in rows]


async def delete_one(token_id: UUID, *, user_id: UUID, kind: str) -> bool:
    """End a user's sign-in or personal token, with the tickets it gave out; False when there is none."""
    async with ENGINE.connection() as connection:
        ended = await connection.fetchval(
            "WITH ended AS (DELETE FROM tokens WHERE id = $1 AND user_id = $2 AND kind = $3 RETURNING id),"
            " tickets AS (DELETE FROM tokens WHERE user_id = $2 AND kind = 'ticket'"
            " AND parent_id IN (SELECT id FROM ended)) SELECT count(*) FROM ended",
            token_id,
            user_id,
            kind,
        )
    return bool(ended)


async def delete_sign_ins(user_id: UUID, *, keep: UUID | None = None) -> list[UUID]:
    """End every sign-in of a user but perhaps one; return the ids of those that ended.

    Personal tokens stay. Tickets are of no use without the sign-in they came from.
    """
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "DELETE FROM tokens WHERE user_id = $1 AND kind = 'session' AND id IS DISTINCT FROM $2"
            " RETURNING id",
            user_id,
            keep,
        )
    return [row["id"] for row in rows]


async def personal_ids(user_id: UUID) -> list[UUID]:
    """Return the ids of a user's personal tokens."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "SELECT id FROM tokens WHERE user_id = $1 AND kind = 'personal'", user_id
        )
    return [row["id"] for row in rows]


# Invites. One is good for as long as whoever made it is an administrator.

_GOOD_INVITE = (
    "kind = 'invite' AND expires_at > now() AND EXISTS"
    " (SELECT FROM users WHERE users.id = tokens.user_id AND role = 'admin' AND disabled_at IS NULL)"
)


async def insert_invite(invite: Invite, *, token_hash: bytes) -> None:
    """Store a new one."""
    async with ENGINE.connection() as connection:
        await connection.execute(
            "INSERT INTO tokens (id, user_id, kind, token_hash, name, scopes, hint, created_at, expires_at)"
            " VALUES ($1, $2, 'invite', $3, $4, '{}', $5, $6, $7)",
            invite.id,
            invite.created_by,
            token_hash,
            invite.note,
            invite.hint,
            invite.created_at,
            invite.expires_at,
        )


async def invite_page(*, limit: int, after: TimeCursor | None) -> list[Invite]:
    """Return up to ``limit`` that can still be used, the newest first."""
    created_at, last_id = _place(after)
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "SELECT id, name AS note, hint, user_id AS created_by, created_at, expires_at FROM tokens"  # noqa: S608 - a constant
            f" WHERE {_GOOD_INVITE}"
            " AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))"
            " ORDER BY created_at DESC, id DESC LIMIT $1",
            limit,
            created_at,
            last_id,
        )
    return [Invite(**row) for row in rows]


async def is_invite(token_hash: bytes) -> bool:
    """Tell whether an invite can be used just now."""
    async with ENGINE.connection() as connection:
        found = await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM tokens WHERE token_hash = $1 AND {_GOOD_INVITE})",  # noqa: S608 - a constant
            token_hash,
        )
    return bool(found)


async def use_invite(token_hash: bytes) -> bool:
    """Use up an invite; False when there is none (any more)."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            f"DELETE FROM tokens WHERE token_hash = $1 AND {_GOOD_INVITE}",  # noqa: S608 - a constant
            token_hash,
        )
    return bool(status == "DELETE 1")


async def delete_invite(invite_id: UUID) -> bool:
    """Take an invite back; False when there is none."""
    async with ENGINE.connection() as connection:
        status = await connection.execute("DELETE FROM tokens WHERE id = $1 AND kind = 'invite'", invite_id)
    return bool(status == "DELETE 1")
