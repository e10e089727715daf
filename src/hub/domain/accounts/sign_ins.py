"""Where somebody is signed in."""

from __future__ import annotations

from uuid import UUID

from hub.core.pages import Page, TimeCursor, by_time
from hub.domain.accounts import token_queries
from hub.domain.accounts.errors import SignInNotFoundError
from hub.domain.accounts.schemas import Identity, SignInInfo


async def page(identity: Identity, *, limit: int, cursor: str | None) -> Page[SignInInfo]:
    """Return one page of the caller's sign-ins, the newest first."""
    after = TimeCursor.decode(cursor) if cursor is not None else None
    items = await token_queries.sign_in_page(
        identity.user.id, current=identity.token_id, limit=limit + 1, after=after
    )
    return by_time(items, limit=limit)


async def end(sign_in_id: UUID, *, user_id: UUID) -> None:
    """End one of a user's sign-ins.

    Raises:
        SignInNotFoundError: not the user's, or over.
    """
    if not await token_queries.delete_one(sign_in_id, user_id=user_id, kind="session"):
        raise SignInNotFoundError
