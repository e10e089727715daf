"""What commands about people share: finding somebody, and showing when."""

from __future__ import annotations

from datetime import datetime

from hub.core.errors import StartError
from hub.domain.accounts import queries
from hub.domain.accounts.schemas import User


async def find_user(login: str) -> User:
    """Return who has a username or an email address.

    Raises:
        StartError: nobody has.
    """
    found = await queries.by_login(login)
    if found is None:
        raise StartError(f"Nobody here is called {login!r}: hub admin list --all shows who is there.")
    return found[0]


def day(moment: datetime | None) -> str:
    """Return a day, or a dash."""
    return f"{moment:%Y-%m-%d}" if moment else "-"
