"""Accounts of the original."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from hub.core.ids import id_of
from hub.db.engine import ENGINE
from hub.domain.accounts import passwords
from hub.domain.accounts import queries as accounts
from hub.domain.accounts.schemas import User
from hub.legacy import ledger, names
from hub.legacy.records import SourceUser
from hub.legacy.report import Remark
from hub.legacy.run import Run

#: How often an account is tried when somebody else takes its name in the very moment.
_TRIES = 5

_EMAIL_TAKEN = (
    "its email address belongs to an account here that did not come from the original. Accounts are not put"
    " together by address alone: change the address of one of them, then run the import again."
)


class _EmailTakenError(Exception):
    """The address belongs to somebody who has nothing to do with the original."""


async def import_users(run: Run) -> None:
    """Make the accounts that are not here yet."""
    async for batch in run.source.users():
        known = await ledger.entries("user", [user.id for user in batch])
        for user in batch:
            entry = known.get(user.id)
            if entry is not None:
                run.report.count("users", "already there" if entry.is_there else "deleted here")
            else:
                await _import(run, user)
        run.progress.add(len(batch))


async def _import(run: Run, user: SourceUser) -> None:
    for attempt in range(_TRIES):
        try:
            notes = await _store(user)
        except _EmailTakenError:
            run.report.remark(
                Remark(
                    thing="users", row="user", id=user.id, column="failed", text=_EMAIL_TAKEN, is_wrong=True
                )
            )
            return
        except asyncpg.UniqueViolationError:
            if attempt == _TRIES - 1:
                raise
        else:
            run.report.count("users", "imported")
            for text in notes:
                run.report.remark(Remark(thing="users", row="user", id=user.id, column="note", text=text))
            return


async def _store(user: SourceUser) -> list[str]:
    """Store an account; return what of it had to be adapted."""
    user_id = id_of(user.created_at)
    async with ENGINE.transaction():
        username = await _free_username(user.username)
        email, notes = await _email(user, user_id)
        if username != user.username:
            notes.append(f"its username {user.username!r} is {username!r} here")
        name = names.short_name(user.name, fallback=username)
        if name != user.name:
            notes.append("its name was blank or too long and was made to fit")
        account = User(
            id=user_id,
            username=username,
            email=email,
            display_name=name,
            role="user",
            created_at=user.created_at,
        )
        await accounts.insert_user(account, stored_hash(user))
        await ledger.note("user", [(user.id, user_id)])
    if not passwords.is_bcrypt(user.password_hash):
        notes.append("its password is not stored as bcrypt does it, so nobody can sign in with it")
    return notes


def stored_hash(user: SourceUser) -> str:
    """Return the password hash as it is stored here until the first login."""
    return user.password_hash if passwords.is_bcrypt(user.password_hash) else passwords.UNUSABLE


async def _free_username(wanted: str) -> str:
    async with ENGINE.connection() as connection:
        for username in names.usernames(wanted):
            if not await connection.fetchval("SELECT true FROM users WHERE username = $1", username):
                return username
    raise AssertionError("there is always one more")


async def _email(user: SourceUser, user_id: UUID) -> tuple[str, list[str]]:
    """Return the address to store, and what is to be said of it."""
    email = names.email_or_none(user.email)
    if email is None:
        return names.no_email(user_id), ["it has no valid email address: sign in with the username"]
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(
            "SELECT EXISTS (SELECT FROM legacy_imports WHERE kind = 'user' AND target_id = users.id) AS ours"
            " FROM users WHERE lower(email) = lower($1)",
            email,
        )
    if row is None:
        return email, []
    if not row["ours"]:
        raise _EmailTakenError
    return names.no_email(user_id), [
        "its email address belongs to another account of the original too: sign in with the username"
    ]
