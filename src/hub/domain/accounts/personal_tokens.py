"""Personal access tokens: what people give to programs that act for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hub.core.clock import utc_now
from hub.core.errors import FieldError
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.core.pages import Page, TimeCursor, by_time
from hub.db.engine import ENGINE
from hub.domain.accounts import queries, token_queries
from hub.domain.accounts.errors import NotAllowedError, TokenNotFoundError, TooManyTokensError
from hub.domain.accounts.schemas import (
    SCOPES,
    CreatePersonalToken,
    NewPersonalToken,
    PersonalToken,
    User,
)
from hub.domain.accounts.token_text import digest, hint_of, new_personal_token

logger = get_logger(__name__)

#: Tokens that one user may have.
MOST = 100

_LONGEST = timedelta(days=36_525)


async def create(command: CreatePersonalToken, *, user: User) -> NewPersonalToken:
    """Make a token; only its hash is kept.

    Raises:
        FieldError: it would be over already, or last longer than a hundred years.
        NotAllowedError: the scope ``admin``, asked for by somebody who is no administrator.
        TooManyTokensError: the user has ``MOST`` already.
    """
    if "admin" in command.scopes and user.role != "admin":
        raise NotAllowedError("Only administrators make tokens with the scope 'admin'.")
    text = new_personal_token()
    token = NewPersonalToken(
        id=new_id(),
        name=command.name,
        scopes=[scope for scope in SCOPES if scope in command.scopes],
        hint=hint_of(text),
        created_at=utc_now(),
        expires_at=future(command.expires_at),
        last_used_at=None,
        token=text,
    )
    async with ENGINE.transaction():
        await queries.lock_user(user.id)  # so that of many at once not one too many gets in
        if await token_queries.count_personal(user.id) >= MOST:
            raise TooManyTokensError(f"One user has at most {MOST}. Delete one that you do not need.")
        await token_queries.insert_personal(token, user_id=user.id, token_hash=digest(text))
    logger.info("personal token created", token_id=str(token.id), scopes=token.scopes)
    return token


async def page(*, user_id: UUID, limit: int, cursor: str | None) -> Page[PersonalToken]:
    """Return one page of a user's tokens, the newest first."""
    after = TimeCursor.decode(cursor) if cursor is not None else None
    return by_time(await token_queries.personal_page(user_id, limit=limit + 1, after=after), limit=limit)


async def get(token_id: UUID, *, user_id: UUID) -> PersonalToken:
    """Return one of a user's tokens.

    Raises:
        TokenNotFoundError: not the user's, or over.
    """
    token = await token_queries.get_personal(token_id, user_id=user_id)
    if token is None:
        raise TokenNotFoundError
    return token


async def delete(token_id: UUID, *, user_id: UUID) -> None:
    """Make a token worthless.

    Raises:
        TokenNotFoundError: not the user's.
    """
    if not await token_queries.delete_one(token_id, user_id=user_id, kind="personal"):
        raise TokenNotFoundError
    logger.info("personal token deleted", token_id=str(token_id))


async def revoke(token_id: UUID) -> None:
    """Make anybody's token worthless, by the operator's own hand.

    Raises:
        TokenNotFoundError: there is none.
    """
    owner = await token_queries.owner_of_personal(token_id)
    if owner is None:
        raise TokenNotFoundError
    await delete(token_id, user_id=owner)


def future(moment: datetime | None) -> datetime | None:
    """Return a time to come in UTC, as it was asked for.

    Raises:
        FieldError: it is over, or so far away that no calendar knows it.
    """
    if moment is None:
        return None
    now = utc_now()
    if not now < moment < now + _LONGEST:
        raise FieldError("/expires_at", "Choose a time within the next hundred years, or leave it out.")
    return moment.astimezone(UTC)
