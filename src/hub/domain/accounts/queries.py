"""Reading and writing of users and tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from msgspec import Struct
from piccolo.columns import Column

from hub.core.ids import new_id
from hub.db.cleaning import delete_older
from hub.db.engine import ENGINE
from hub.domain.accounts.schemas import Identity, User
from hub.domain.accounts.tables import Token
from hub.domain.accounts.tables import User as UserRow
from hub.domain.accounts.token_queries import IS_LIVE, IS_STALE

_USER = "users.id, username, email, display_name, role, users.created_at"


def _user(row: Record) -> User:
    return User(
        id=row["id"],
        username=row["username"],
        email=row["email"],
        display_name=row["display_name"],
        role=row["role"],
        created_at=row["created_at"],
    )


async def insert_user(user: User, password_hash: str) -> None:
    """Store a new user."""
    await UserRow.insert(
        UserRow(
            id=user.id,
            username=user.username,
            email=user.email,
            display_name=user.display_name,
            password_hash=password_hash,
            role=user.role,
            created_at=user.created_at,
        )
    )


async def taken(username: str, email: str) -> tuple[bool, bool]:
    """Tell whether the username and the email address belong to somebody."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT EXISTS (SELECT FROM users WHERE username = $1) AS username,"
            " EXISTS (SELECT FROM users WHERE lower(email) = lower($2)) AS email",
            username,
            email,
        )
    return row["username"], row["email"]


async def by_login(login: str) -> tuple[User, str, bool] | None:
    """Find a user by username or email address, in any case: (user, password hash, disabled)."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT {_USER}, password_hash, disabled_at FROM users"  # noqa: S608 - a constant
            " WHERE username = lower($1) OR lower(email) = lower($1)",
            login,
        )
    return (_user(row), row["password_hash"], row["disabled_at"] is not None) if row else None


async def password_hash_of(user_id: UUID) -> str:
    """Return the stored hash of a user that exists."""
    async with ENGINE.connection() as connection:
        stored = await connection.fetchval("SELECT password_hash FROM users WHERE id = $1", user_id)
    return str(stored)


async def holds_password(user_id: UUID, password_hash: str) -> bool:
    """Tell whether this still is the user's hash, and keep it so until the transaction ends."""
    async with ENGINE.connection() as connection:
        stored = await connection.fetchval("SELECT password_hash FROM users WHERE id = $1 FOR SHARE", user_id)
    return bool(stored == password_hash)


async def replace_hash(user_id: UUID, password_hash: str, *, by: str) -> bool:
    """Store another hash of the same password; False when the one to be replaced is not stored now."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
            user_id,
            password_hash,
            by,
        )
    return bool(status == "UPDATE 1")


async def update_user(user_id: UUID, **columns: str) -> User:
    """Change columns of a user that exists and return it."""
    changes: dict[Column | str, Any] = dict[Any, Any](columns)
    await UserRow.update(changes).where(UserRow.id == user_id)
    return await get_user(user_id)


async def get_user(user_id: UUID) -> User:
    """Return a user that exists."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(f"SELECT {_USER} FROM users WHERE id = $1", user_id)  # noqa: S608 - a constant
    return _user(row)


async def lock_user(user_id: UUID) -> None:
    """Keep others from storing this user's pictures, and from clearing what is theirs."""
    async with ENGINE.connection() as connection:
        await connection.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)


async def delete_user(user_id: UUID) -> list[UUID]:
    """Remove a user with everything that is theirs; return the ids of the sign-ins that ended."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch("DELETE FROM tokens WHERE user_id = $1 RETURNING id", user_id)
        await connection.execute("DELETE FROM users WHERE id = $1", user_id)
    return [row["id"] for row in rows]


async def has_admin() -> bool:
    """Tell whether an administrator exists."""
    return await UserRow.exists().where(UserRow.role == "admin")


async def insert_token(
    *, kind: str, token_hash: bytes, expires_at: datetime, user_id: UUID | None, parent_id: UUID | None = None
) -> UUID:
    """Store a token's hash and return its id."""
    token_id = new_id()
    await Token.insert(
        Token(
            id=token_id,
            user_id=user_id,
            parent_id=parent_id,
            kind=kind,
            token_hash=token_hash,
            expires_at=expires_at,
        )
    )
    return token_id


class Found(Struct, frozen=True):
    """Who holds a token; ``is_stale`` says that its last use has to be stored anew."""

    identity: Identity
    is_disabled: bool
    is_stale: bool


_FOUND = (
    f"{_USER}, disabled_at, tokens.id AS token_id, tokens.expires_at, {IS_STALE} AS is_stale,"
    " CASE WHEN kind = 'personal' THEN scopes END AS scopes"
)


def _found(row: Record) -> Found:
    scopes = row["scopes"]
    identity = Identity(
        user=_user(row),
        token_id=row["token_id"],
        expires_at=row["expires_at"],
        scopes=frozenset(scopes) if scopes is not None else None,
    )
    return Found(identity, row["disabled_at"] is not None, row["is_stale"])


async def identify(token_hash: bytes) -> Found | None:
    """Find who holds a sign-in or a personal token that has not expired."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            f"SELECT {_FOUND} FROM tokens JOIN users ON users.id = tokens.user_id"  # noqa: S608 - constants
            f" WHERE token_hash = $1 AND kind IN ('session', 'personal') AND {IS_LIVE}",
            token_hash,
        )
    return _found(row) if row else None


async def still_good(token_ids: list[UUID]) -> set[UUID]:
    """Return those of the tokens that have not ended or expired, and whose users are not disabled."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "SELECT tokens.id FROM tokens JOIN users ON users.id = tokens.user_id WHERE tokens.id = ANY($1)"  # noqa: S608 - a constant
            f" AND kind IN ('session', 'personal') AND {IS_LIVE} AND disabled_at IS NULL",
            token_ids,
        )
    return {row["id"] for row in rows}


async def redeem_ticket(token_hash: bytes) -> Found | None:
    """Use up a WebSocket ticket; the identity is that of the token it came from, if that is still good."""
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "WITH ticket AS (DELETE FROM tokens WHERE token_hash = $1 AND kind = 'ticket'"  # noqa: S608 - constants
            " AND expires_at > now() RETURNING parent_id AS id)"
            f" SELECT {_FOUND} FROM ticket JOIN tokens USING (id) JOIN users ON users.id = tokens.user_id"
            f" WHERE {IS_LIVE}",
            token_hash,
        )
    return _found(row) if row else None


async def is_setup_token(token_hash: bytes) -> bool:
    """Tell whether a set-up link is good still."""
    async with ENGINE.connection() as connection:
        return bool(
            await connection.fetchval(
                "SELECT EXISTS (SELECT FROM tokens"
                " WHERE token_hash = $1 AND kind = 'setup' AND expires_at > now())",
                token_hash,
            )
        )


async def use_setup_token(token_hash: bytes) -> bool:
    """Use up a set-up link; False when there is none."""
    async with ENGINE.connection() as connection:
        status = await connection.execute(
            "DELETE FROM tokens WHERE token_hash = $1 AND kind = 'setup' AND expires_at > now()", token_hash
        )
    return bool(status == "DELETE 1")


async def delete_setup_tokens() -> None:
    """Forget every set-up link."""
    await Token.delete().where(Token.kind == "setup")


async def delete_token(token_id: UUID) -> None:
    """End one sign-in."""
    await Token.delete().where((Token.id == token_id) | (Token.parent_id == token_id))


async def delete_expired_tokens(limit: int) -> int:
    """Forget up to ``limit`` tokens of any kind that are over; return how many."""
    return await delete_older("tokens", "expires_at", limit=limit)
