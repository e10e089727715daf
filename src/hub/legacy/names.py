"""Making names and addresses of the original fit, since its checks of lengths were never called."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterator
from uuid import UUID

USERNAME_LENGTH = 20
_USERNAME_MINIMUM = 3
_NAME_LENGTH = 100
_EMAIL_LENGTH = 254
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_MANY = 1000


def usernames(wanted: str) -> Iterator[str]:
    """Yield usernames that are allowed here, the one closest to ``wanted`` first, without an end."""
    plain = unicodedata.normalize("NFKD", wanted.strip()).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9_]", "_", plain).ljust(_USERNAME_MINIMUM, "_")
    yield base[:USERNAME_LENGTH]
    for number in range(2, _MANY):
        yield base[: USERNAME_LENGTH - len(str(number)) - 1] + f"_{number}"
    while True:
        yield base[:11] + "_" + secrets.token_hex(4)


def email_or_none(given: str) -> str | None:
    """Return the address that was meant, or None when it is none."""
    address = given.strip()
    return address if len(address) <= _EMAIL_LENGTH and _EMAIL.fullmatch(address) else None


def no_email(user_id: UUID) -> str:
    """Return an address that nobody can have, for an account that needs one (RFC 2606)."""
    return f"{user_id}@email.invalid"


def short_name(given: str, fallback: str) -> str:
    """Return a name that is not blank and has at most 100 characters."""
    return given[:_NAME_LENGTH] if given.strip() and given[:_NAME_LENGTH].strip() else fallback
