"""How often something may be done, counted for all processes together."""

from __future__ import annotations

import math
from collections.abc import Callable
from uuid import UUID

from msgspec import Struct

from hub.core import metrics
from hub.core.logging import get_logger
from hub.core.settings import Settings
from hub.db.engine import DATABASE_ERRORS, ENGINE
from hub.domain.limits import queries
from hub.domain.limits.errors import CannotCountError, TooManyRequestsError
from hub.domain.limits.queries import Count
from hub.domain.limits.rules import Action, Rule, rules_of
from hub.domain.limits.standing import Standing, note

__all__ = ["Action", "Limits", "Taking", "cannot_count", "try_again"]

logger = get_logger(__name__)

#: Seconds from which a wait is told in minutes, and beyond which in hours.
_MINUTES_FROM = 120
_HOURS_BEYOND = 7200


class Taking(Struct, frozen=True, kw_only=True):
    """For a statement that holds :func:`queries.taking`: its parameters, and who judges what it counted."""

    values: tuple[object, ...]
    weigh: Callable[[Count], object]
    """Notes how it stands; raises TooManyRequestsError if it was too often."""


class Limits:
    """The limits that the settings name; none where they are off."""

    def __init__(self, settings: Settings) -> None:
        self.are_on = settings.limits
        self._rules = rules_of(settings)

    async def take(self, action: Action, subject: UUID | str) -> Standing | None:
        """Count one more, in the caller's transaction if there is one: what fails then does not count.

        A caller that changes rows takes first of all, so that locks are taken in one order everywhere;
        one that takes several takes them in the order of :class:`Action`.

        Args:
            action: what is about to be done.
            subject: who does it: a user's id or an address, at most 100 characters.

        Returns:
            What is left, which is noted for the answer already; None where limits are off.

        Raises:
            TooManyRequestsError: it was done too often in this window.
            CannotCountError: the database does not count, so it is refused.
        """
        if not self.are_on:
            return None
        rule = self._rules[action]
        try:
            count = await queries.take(action, str(subject), limit=rule.limit, window=rule.window)
        except DATABASE_ERRORS as error:
            raise cannot_count(error) from error
        return self._weigh(action, rule, count)

    async def give_back(self, action: Action, subject: UUID | str) -> None:
        """Count one less, since what was taken for does not count after all.

        Raises:
            CannotCountError: the database does not count.
        """
        if not self.are_on:
            return
        rule = self._rules[action]
        try:
            count = await queries.give_back(action, str(subject), limit=rule.limit)
        except DATABASE_ERRORS as error:
            raise cannot_count(error) from error
        _note(action, rule, count or Count(0, rule.window.total_seconds()))

    def taking(self, action: Action, subject: UUID | str) -> Taking | None:
        """Return what a larger statement needs to count one more; None where limits are off."""
        if not self.are_on:
            return None
        rule = self._rules[action]
        values = queries.taking_values(action, str(subject), limit=rule.limit, window=rule.window)
        return Taking(values=values, weigh=lambda count: self._weigh(action, rule, count))

    def _weigh(self, action: Action, rule: Rule, count: Count) -> Standing:
        standing = _note(action, rule, count)
        if count.used > rule.limit:
            metrics.REFUSALS.labels(action.value).inc()
            logger.info("limit reached", action=action.value)
            words = f"{rule.words} {try_again(standing.reset)}"
            raise TooManyRequestsError(words, retry_after=standing.reset)
        return standing


def _note(action: Action, rule: Rule, count: Count) -> Standing:
    standing = Standing(
        action=action,
        rule=rule,
        remaining=max(rule.limit - count.used, 0),
        reset=max(math.ceil(count.left), 1),
        is_settled=ENGINE.current_transaction.get() is None or count.used > rule.limit,
    )
    note(standing)
    return standing


def cannot_count(error: Exception) -> CannotCountError:
    """Return what to raise where the database does not count; the log has the reason."""
    logger.warning("cannot count", reason=type(error).__name__)
    return CannotCountError("So it does not do what has to be counted. Try again in a few seconds.")


def try_again(seconds: int) -> str:
    """Say when, in a sentence."""
    if seconds < _MINUTES_FROM:
        return f"Try again in {seconds} s."
    if seconds <= _HOURS_BEYOND:
        return f"Try again in {math.ceil(seconds / 60)} min."
    return f"Try again in {math.ceil(seconds / 3600)} hours."
