"""Invites: each lets one person register where not everybody may."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from hub.core.clock import utc_now
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.core.pages import Page, TimeCursor, by_time
from hub.domain.accounts import token_queries
from hub.domain.accounts.errors import InviteNotFoundError
from hub.domain.accounts.personal_tokens import future
from hub.domain.accounts.schemas import CreateInvite, Invite, NewInvite
from hub.domain.accounts.token_text import digest, hint_of, new_secret

logger = get_logger(__name__)

LIFE = timedelta(days=7)


async def create(command: CreateInvite, *, user_id: UUID) -> NewInvite:
    """Make an invite; only the hash of its code is kept.

    Raises:
        FieldError: it would be over already.
    """
    code, now = new_secret("invite"), utc_now()
    invite = NewInvite(
        id=new_id(),
        note=command.note,
        hint=hint_of(code),
        created_by=user_id,
        created_at=now,
        expires_at=future(command.expires_at) or now + LIFE,
        code=code,
    )
    await token_queries.insert_invite(invite, token_hash=digest(code))
    logger.info("invite created", invite_id=str(invite.id))
    return invite


async def page(*, limit: int, cursor: str | None) -> Page[Invite]:
    """Return one page of all invites that can still be used, the newest first."""
    after = TimeCursor.decode(cursor) if cursor is not None else None
    return by_time(await token_queries.invite_page(limit=limit + 1, after=after), limit=limit)


async def delete(invite_id: UUID) -> None:
    """Take an invite back.

    Raises:
        InviteNotFoundError: there is none, or it was used.
    """
    if not await token_queries.delete_invite(invite_id):
        raise InviteNotFoundError
    logger.info("invite deleted", invite_id=str(invite_id))
