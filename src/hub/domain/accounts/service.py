"""Registering, signing in and out, and the passes that follow from it."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from uuid import UUID

import asyncpg
from msgspec import UNSET

from hub.core.clock import utc_now
from hub.core.etags import ANYTHING, Expected, StaleEditError
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.db.engine import ENGINE
from hub.domain.accounts import passwords, queries, token_queries
from hub.domain.accounts.attempts import Attempts
from hub.domain.accounts.errors import (
    AccountDisabledError,
    CommonPasswordError,
    EmailTakenError,
    InviteInvalidError,
    InviteRequiredError,
    NotSignedInError,
    RegistrationClosedError,
    SetupLinkInvalidError,
    UsernameTakenError,
    WrongLoginError,
    WrongPasswordError,
)
from hub.domain.accounts.last_use import LastUse
from hub.domain.accounts.schemas import (
    ChangePassword,
    Identity,
    LogIn,
    Register,
    SignIn,
    UpdateMe,
    User,
    WebSocketTicket,
)
from hub.domain.accounts.token_text import digest, may_be_real, new_secret
from hub.domain.limits.service import Action, Limits

logger = get_logger(__name__)

Registration = Literal["open", "invite", "closed"]

TICKET_LIFE = timedelta(seconds=30)
SETUP_LINK_LIFE = timedelta(minutes=30)

_START_AGAIN = "Start the hub again to get a new link."
_ASK_FOR_INVITE = "It may have been used or have expired. Ask for another one."


class AccountService:
    """Accounts; ``token_life`` is how long a sign-in lasts, ``registration`` who may make one."""

    def __init__(self, *, token_life: timedelta, limits: Limits, registration: Registration = "open") -> None:
        self._token_life = token_life
        self._registration = registration
        self._limits = limits
        self._attempts = Attempts(limits)
        self._last_use = LastUse()

    async def close(self) -> None:
        """Store what is still to be stored."""
        await self._last_use.close()

    async def register(self, command: Register, *, address: str) -> SignIn:
        """Create an account and sign in; where an invite is wanted, it is used up.

        Args:
            command: what is asked for.
            address: where it comes from, which is counted.

        Raises:
            RegistrationClosedError, InviteRequiredError, InviteInvalidError: told before anything else, so
                that who may not register learns of nobody's name.
            UsernameTakenError, EmailTakenError, CommonPasswordError: as they say.
            TooManyRequestsError: too many from this address today.
        """
        invite = await self._admit_newcomer(command.invite)
        _refuse_common(command.password, "/password")
        await self._limits.take(Action.REGISTER, address)
        user, password_hash = await self._prepare(command, "user")
        async with ENGINE.transaction():
            if invite is not None and not await token_queries.use_invite(invite):
                raise InviteInvalidError(_ASK_FOR_INVITE)  # somebody was faster
            await self._store(user, password_hash)
            sign_in = await self._sign_in(user)
        logger.info("user registered", user_id=str(user.id))
        return sign_in

    async def _admit_newcomer(self, code: str | None) -> bytes | None:
        """Return the hash of the invite that is to be used up, if one is wanted here."""
        if self._registration == "open":
            return None
        if self._registration == "closed":
            raise RegistrationClosedError("Ask the administrator of this server for an account.")
        if not code:
            raise InviteRequiredError("Send the code that you were given as 'invite'.")
        invite = digest(code)
        if not await token_queries.is_invite(invite):
            raise InviteInvalidError(_ASK_FOR_INVITE)
        return invite

    async def create_admin(self, command: Register, *, setup_token: str | None = None) -> SignIn:
        """Create an administrator, by a set-up link or (None) by the operator's own hand.

        Raises:
            SetupLinkInvalidError: the link is unknown, used or too old.
        """
        # Whoever has no link learns of nobody's name, and has nothing hashed.
        if setup_token is not None and not await queries.is_setup_token(digest(setup_token)):
            raise SetupLinkInvalidError(_START_AGAIN)
        _refuse_common(command.password, "/password")
        user, password_hash = await self._prepare(command, "admin")
        async with ENGINE.transaction():
            if setup_token is not None and not await queries.use_setup_token(digest(setup_token)):
                raise SetupLinkInvalidError(_START_AGAIN)  # somebody was faster
            await self._store(user, password_hash)
            await queries.delete_setup_tokens()
            sign_in = await self._sign_in(user)
        logger.info("administrator created", user_id=str(user.id))
        return sign_in

    async def log_in(self, command: LogIn, *, address: str) -> SignIn:
        """Sign in.

        Args:
            command: login and password.
            address: where it comes from, which is counted if it fails.

        Raises:
            WrongLoginError: wrong login or password, which take the same time.
            AccountDisabledError: right, but disabled.
            TooManyRequestsError: too many have failed, from this address or for this login.
        """
        async with self._attempts.counted(command.login, address=address):
            return await self._log_in(command)

    async def _log_in(self, command: LogIn) -> SignIn:
        found = await queries.by_login(command.login)
        if not await passwords.verify_password(command.password, found[1] if found else None) or not found:
            raise WrongLoginError("Check both and try again.")
        user, password_hash, disabled = found
        if disabled:
            raise AccountDisabledError("Ask the administrator of this server.")
        better = await passwords.renew_hash(command.password, password_hash)
        async with ENGINE.transaction():
            if better is not None and await queries.replace_hash(user.id, password_hash, by=better):
                return await self._sign_in(user)
            # A password that was changed meanwhile has ended every sign-in; this one would outlive it.
            if better is None and await queries.holds_password(user.id, password_hash):
                return await self._sign_in(user)
        return await self._log_in(command)  # the hash is another one by now, perhaps of another password

    async def log_out(self, identity: Identity) -> None:
        """End the sign-in that asked."""
        await queries.delete_token(identity.token_id)

    async def identify(self, token: str) -> Identity:
        """Return who holds a session token or a personal one.

        Raises:
            NotSignedInError: nobody does (any more).
            AccountDisabledError: somebody who may not come in.
        """
        return self._admit(await queries.identify(digest(token)) if may_be_real(token) else None)

    async def ended(self, token_ids: set[UUID]) -> set[UUID]:
        """Return those tokens that let nobody in any more: ended, expired, or of a disabled account."""
        return token_ids - await queries.still_good(list(token_ids))

    async def update(self, identity: Identity, command: UpdateMe, *, expected: Expected = ANYTHING) -> User:
        """Change the caller's own account.

        Raises:
            EmailTakenError: it counts, else addresses could be tried until one is somebody's.
            TooManyRequestsError: too many changes in this hour.
            StaleEditError: it is not as expected.
        """
        columns = {
            name: value
            for name, value in (("email", command.email), ("display_name", command.display_name))
            if value is not UNSET
        }
        if columns:
            await self._limits.take(Action.EDIT, identity.user.id)
        try:
            async with ENGINE.transaction():
                if expected is not ANYTHING:
                    await queries.lock_user(identity.user.id)
                    expected.check(await queries.get_user(identity.user.id))
                if not columns:
                    return identity.user
                return await queries.update_user(identity.user.id, **columns)
        except StaleEditError:
            if columns:
                await self._limits.give_back(Action.EDIT, identity.user.id)
            raise
        except asyncpg.UniqueViolationError:
            raise EmailTakenError("Choose another address.") from None

    async def change_password(self, identity: Identity, command: ChangePassword) -> list[UUID]:
        """Set a new password and end every other sign-in, but no personal token; return the ids of those."""
        await self.check_password(identity, command.current_password)
        _refuse_common(command.new_password, "/new_password")
        password_hash = await passwords.hash_password(command.new_password)
        async with ENGINE.transaction():
            await queries.update_user(identity.user.id, password_hash=password_hash)
            return await token_queries.delete_sign_ins(identity.user.id, keep=identity.token_id)

    async def reset_password(self, user_id: UUID, password: str) -> list[UUID]:
        """Set somebody's password by the operator's own hand; return the ids of the sign-ins that ended.

        Raises:
            CommonPasswordError: it is among those that attackers try first.
        """
        _refuse_common(password, "/password")
        password_hash = await passwords.hash_password(password)
        async with ENGINE.transaction():
            await queries.update_user(user_id, password_hash=password_hash)
            ended = await token_queries.delete_sign_ins(user_id)
        logger.info("password reset", user_id=str(user_id))
        return ended

    async def check_password(self, identity: Identity, password: str) -> None:
        """Return if the password is the caller's own.

        Raises:
            WrongPasswordError: it is not.
            TooManyRequestsError: it was not, too often.
        """
        subject = f"user {identity.user.id}"
        await self._limits.take(Action.LOGIN, subject)  # whoever has a stolen token may guess no faster
        stored = await queries.password_hash_of(identity.user.id)
        if not await passwords.verify_password(password, stored):
            raise WrongPasswordError("Check it and try again.")
        await self._limits.give_back(Action.LOGIN, subject)

    async def issue_ticket(self, identity: Identity) -> WebSocketTicket:
        """Return a pass for one WebSocket."""
        ticket, expires_at = new_secret("ticket"), utc_now() + TICKET_LIFE
        await queries.insert_token(
            kind="ticket",
            token_hash=digest(ticket),
            expires_at=expires_at,
            user_id=identity.user.id,
            parent_id=identity.token_id,
        )
        return WebSocketTicket(ticket=ticket, expires_at=expires_at)

    async def redeem_ticket(self, ticket: str) -> Identity:
        """Use up a WebSocket ticket.

        Raises:
            NotSignedInError: unknown, used, or older than 30 seconds.
        """
        return self._admit(await queries.redeem_ticket(digest(ticket)))

    async def issue_setup_token(self) -> str | None:
        """Return a fresh secret for the set-up link, or None when an administrator exists."""
        if await queries.has_admin():
            return None
        token = new_secret("setup")
        await queries.insert_token(
            kind="setup", token_hash=digest(token), expires_at=utc_now() + SETUP_LINK_LIFE, user_id=None
        )
        return token

    def _admit(self, found: queries.Found | None) -> Identity:
        if found is None:
            raise NotSignedInError("Sign in and send the token as 'Authorization: Bearer <token>'.")
        if found.is_disabled:
            raise AccountDisabledError("Ask the administrator of this server.")
        if found.is_stale:
            self._last_use.note(found.identity.token_id)
        return found.identity

    async def _prepare(self, command: Register, role: Literal["user", "admin"]) -> tuple[User, str]:
        await _refuse_taken(command)
        user = User(
            id=new_id(),
            username=command.username,
            email=command.email,
            display_name=command.display_name or command.username,
            role=role,
            created_at=utc_now(),
        )
        return user, await passwords.hash_password(command.password)

    async def _store(self, user: User, password_hash: str) -> None:
        try:
            await queries.insert_user(user, password_hash)
        except asyncpg.UniqueViolationError as error:  # somebody was faster than the check
            if error.constraint_name == "users_email":
                raise EmailTakenError("Sign in, or use another address.") from None
            raise UsernameTakenError("Choose another username.") from None

    async def _sign_in(self, user: User) -> SignIn:
        token, expires_at = new_secret("session"), utc_now() + self._token_life
        await queries.insert_token(
            kind="session", token_hash=digest(token), expires_at=expires_at, user_id=user.id
        )
        return SignIn(user=user, access_token=token, expires_at=expires_at)


async def _refuse_taken(command: Register) -> None:
    username_taken, email_taken = await queries.taken(command.username, command.email)
    if username_taken:
        raise UsernameTakenError("Choose another username.")
    if email_taken:
        raise EmailTakenError("Sign in, or use another address.")


def _refuse_common(password: str, pointer: str) -> None:
    if passwords.is_common(password):
        raise CommonPasswordError(pointer, "This password is among the most common ones. Choose another.")
