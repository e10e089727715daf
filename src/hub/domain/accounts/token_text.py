"""What secrets look like: made here, told apart here, and never kept but as their SHA-256."""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from typing import Literal

Kind = Literal["session", "ticket", "setup", "invite"]

PERSONAL = "chub_pat_"

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_LENGTH = 6
_PERSONAL = re.compile(rf"{PERSONAL}[A-Za-z0-9_-]{{43}}[0-9A-Za-z]{{{_CHECKSUM_LENGTH}}}\Z")
_HINT_LENGTH = 4


def new_secret(kind: Kind) -> str:
    """Return a new secret of 256 random bits that says what it is for."""
    return f"chub_{kind}_{secrets.token_urlsafe(32)}"


def new_personal_token() -> str:
    """Return a new personal access token: the prefix, 256 random bits, and a checksum of both.

    The prefix lets scanners find a token where none should be. The checksum, CRC32 in six digits to the base
    of 62, tells a mistyped one from a real one without a look into the database: the idea is GitHub's
    (github.blog/engineering, "Behind GitHub's new authentication token formats", 2021). It guards nothing:
    anybody can compute it.
    """
    body = PERSONAL + secrets.token_urlsafe(32)
    return body + _checksum(body)


def may_be_real(token: str) -> bool:
    """Tell whether a token can be one of ours; False for a personal one that was mistyped or cut."""
    if not token.startswith(PERSONAL):
        return True
    body, checksum = token[:-_CHECKSUM_LENGTH], token[-_CHECKSUM_LENGTH:]
    return _PERSONAL.match(token) is not None and _checksum(body) == checksum


def digest(token: str) -> bytes:
    """Return what is stored of a token; its 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def hint_of(token: str) -> str:
    """Return the end of a token, by which its owner tells it from others."""
    return token[-_HINT_LENGTH:]


def _checksum(body: str) -> str:
    rest, text = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text
