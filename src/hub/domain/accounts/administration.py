"""What administrators do about accounts; nothing here shows what a user has made or said."""

from __future__ import annotations

from uuid import UUID

from asyncpg import Record
from msgspec import UNSET

from hub.core.logging import get_logger
from hub.core.pages import Page, TimeCursor, by_time
from hub.db.engine import ENGINE
from hub.domain.accounts import queries, token_queries
from hub.domain.accounts.errors import LastAdministratorError, UserNotFoundError
from hub.domain.accounts.schemas import AdminUser, UpdateUser

logger = get_logger(__name__)

_USER = (
    "id, username, email, display_name, role, disabled_at, created_at,"
    " (SELECT max(last_used_at) FROM tokens WHERE user_id = users.id) AS last_seen_at"
)


async def page(*, limit: int, cursor: str | None, query: str | None) -> Page[AdminUser]:
    """Return one page of all users, the newest first; ``query`` is how a name or an address begins."""
    after = TimeCursor.decode(cursor) if cursor is not None else None
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            f"SELECT {_USER} FROM users"  # noqa: S608 - a constant
            " WHERE ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))"
            " AND ($4::text IS NULL OR starts_with(username, lower($4))"
            " OR starts_with(lower(email), lower($4)))"
            " ORDER BY created_at DESC, id DESC LIMIT $1",
            limit + 1,
            after.created_at if after else None,
            after.id if after else None,
            query,
        )
    return by_time([_user(row) for row in rows], limit=limit)


async def get(user_id: UUID) -> AdminUser:
    """Return a user.

    Raises:
        UserNotFoundError: there is none.
    """
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(f"SELECT {_USER} FROM users WHERE id = $1", user_id)  # noqa: S608 - a constant
    if row is None:
        raise UserNotFoundError
    return _user(row)


async def change(user_id: UUID, command: UpdateUser) -> list[UUID]:
    """Disable or enable somebody, or give them another role, in the caller's transaction.

    Returns:
        The ids of the tokens that let nobody in any more: all of a disabled user's. Their sign-ins have
        ended; their personal tokens will be good again once the account is enabled.

    Raises:
        UserNotFoundError: there is none.
        LastAdministratorError: nobody could look after the server any more.
    """
    user, others = await _lock(user_id)
    role = user["role"] if command.role is UNSET else command.role
    is_disabled = user["disabled_at"] is not None if command.disabled is UNSET else command.disabled
    if _governs(user) and (is_disabled or role != "admin") and not others:
        raise LastAdministratorError("Make somebody else an administrator first.")
    async with ENGINE.connection() as connection:
        await connection.execute(
            "UPDATE users SET role = $2, disabled_at = CASE WHEN $3 THEN COALESCE(disabled_at, now()) END"
            " WHERE id = $1",
            user_id,
            role,
            is_disabled,
        )
    logger.info("account changed", changed_user_id=str(user_id), role=role, disabled=is_disabled)
    if not is_disabled:
        return []
    return await token_queries.delete_sign_ins(user_id) + await token_queries.personal_ids(user_id)


async def lock_leaver(user_id: UUID) -> None:
    """Lock a user who is about to leave for good, in the caller's transaction.

    Raises:
        UserNotFoundError: there is none.
        LastAdministratorError: nobody could look after the server any more.
    """
    if (await get(user_id)).role != "admin":
        await queries.lock_user(user_id)
        return
    user, others = await _lock(user_id)
    if _governs(user) and not others:
        raise LastAdministratorError("Make somebody else an administrator first.")


async def _lock(user_id: UUID) -> tuple[Record, int]:
    """Lock a user and every administrator who can sign in; return the user and how many others there are.

    All of them in the order of ids: of two administrators who disable each other, one is told that they
    cannot.
    """
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "SELECT id, role, disabled_at FROM users WHERE id = $1 OR role = 'admin' AND disabled_at IS NULL"
            " ORDER BY id FOR NO KEY UPDATE",
            user_id,
        )
    user = next((row for row in rows if row["id"] == user_id), None)
    if user is None:
        raise UserNotFoundError
    return user, sum(row["id"] != user_id and _governs(row) for row in rows)


def _governs(user: Record) -> bool:
    return user["role"] == "admin" and user["disabled_at"] is None


def _user(row: Record) -> AdminUser:
    return AdminUser(**row)
