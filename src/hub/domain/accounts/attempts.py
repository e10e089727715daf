"""Attempts to sign in: how many one may make, and how long one waits after those that failed.

Each is taken for a failure until it has succeeded, so that guesses made at the same time are counted before
any of them is looked at.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
from msgspec import Struct

from hub.core import metrics
from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS, ENGINE
from hub.domain.accounts import attempt_queries as queries
from hub.domain.accounts.errors import AccountDisabledError
from hub.domain.limits.errors import TooManyRequestsError
from hub.domain.limits.service import Action, Limits, cannot_count, try_again
from hub.domain.limits.standing import Standing, note

logger = get_logger(__name__)


class _Delay(Struct, frozen=True, kw_only=True):
    """A delay that doubles with each failure, for one account or one address."""

    action: str
    longest: timedelta
    words: str


# Anybody can fail at somebody else's account, so that one has to stay within reach of its owner.
_ACCOUNT = _Delay(
    action="login_account",
    longest=timedelta(seconds=60),
    words="Somebody has failed to sign in like this several times.",
)
_ADDRESS = _Delay(
    action="login_address",
    longest=timedelta(minutes=15),
    words="Signing in has failed several times from your address.",
)


class Attempts:
    """Counts attempts to sign in; nothing is counted where limits are off."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    @asynccontextmanager
    async def counted(self, login: str, *, address: str) -> AsyncIterator[None]:
        """Count an attempt before it is made; one that goes through is given back.

        Whether there is such an account makes no difference.

        Args:
            login: the username or email address that was given.
            address: where it comes from.

        Raises:
            TooManyRequestsError: there were too many, or the last one that failed was not long enough ago.
            CannotCountError: the database does not count, so nobody signs in.
        """
        if not self._limits.are_on:
            yield
            return
        account = _fingerprint(login)
        try:
            async with ENGINE.transaction():
                failures = await self._count(account, address)
        except DATABASE_ERRORS as error:
            raise cannot_count(error) from error
        try:
            yield
        except AccountDisabledError:  # the password was right
            await self._give_back(account, address, failures)
            raise
        await self._give_back(account, address, failures)

    async def _count(self, account: str, address: str) -> int:
        """Count it everywhere or nowhere; return how many at this address have not succeeded, with this."""
        standing = await self._limits.take(Action.LOGIN, _pair(account, address))
        try:
            await _fail(_ACCOUNT, account)
            failures = await _fail(_ADDRESS, address)
        except TooManyRequestsError:
            _note(standing, more=1)  # as before: an attempt that is refused for another reason does not count
            raise
        _note(standing)
        return failures

    async def _give_back(self, account: str, address: str, failures: int) -> None:
        try:
            async with ENGINE.transaction():
                await self._limits.give_back(Action.LOGIN, _pair(account, address))
                await queries.forget(_ACCOUNT.action, account)
                await queries.take_back(_ADDRESS.action, address, failures=failures, longest=_ADDRESS.longest)
        except DATABASE_ERRORS as error:  # it stays counted, and who is signed in stays so
            logger.warning("attempt not given back", reason=type(error).__name__)


async def _fail(delay: _Delay, subject: str) -> int:
    left, failures = await queries.fail(delay.action, subject, longest=delay.longest)
    if left is not None:
        seconds = max(math.ceil(left), 1)
        metrics.REFUSALS.labels(Action.LOGIN.value).inc()
        logger.info("limit reached", action=delay.action)
        raise TooManyRequestsError(f"{delay.words} {try_again(seconds)}", retry_after=seconds)
    return failures


def _note(standing: Standing | None, *, more: int = 0) -> None:
    """Tell how it stands, also where the attempt fails."""
    if standing is not None:
        remaining = standing.remaining + more
        note(msgspec.structs.replace(standing, remaining=remaining, is_settled=True))


def _pair(account: str, address: str) -> str:
    return f"{address} {account}"


def _fingerprint(login: str) -> str:
    """Return what stands for an account, known or not: at least as coarse as how logins are compared.

    It is a hash, since people type passwords into the wrong field.
    """
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", login).casefold())
    plain = "".join(each for each in parts if not unicodedata.combining(each))
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:32]
