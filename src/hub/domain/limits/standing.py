"""How a caller stands with the limits that a request touched, for whoever writes the answer to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import Struct

from hub.domain.limits.rules import Action, Rule


class Standing(Struct, frozen=True, kw_only=True):
    """``remaining`` more may come within ``reset`` seconds.

    What was counted in a transaction of the caller (``is_settled`` false) is not counted if that fails.
    """

    action: Action
    rule: Rule
    remaining: int
    reset: int
    is_settled: bool = True


_noted: ContextVar[dict[Action, Standing] | None] = ContextVar("standings", default=None)


@contextmanager
def noting() -> Iterator[dict[Action, Standing]]:
    """Collect the standings that are noted within the context, the last of each action."""
    standings: dict[Action, Standing] = {}
    token = _noted.set(standings)
    try:
        yield standings
    finally:
        _noted.reset(token)


def note(standing: Standing) -> None:
    """Tell whoever collects standings here; where nobody does, nothing happens."""
    standings = _noted.get()
    if standings is not None:
        standings[standing.action] = standing
