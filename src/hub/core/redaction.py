"""The last line of defence of the logs: values that look secret or private never reach a line.

Code must not log them in the first place; this catches what a careless call or a library lets slip.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import PurePath
from uuid import UUID

from hub.core.settings.addresses import Secret

MASK = "***"

_HIDDEN_ANYWHERE = frozenset({"password", "passwd", "secret", "authorization", "cookie", "cookies", "ticket"})
# As the last word only: prompt_tokens, content_type or text_length are figures that logs need.
_HIDDEN_LAST = frozenset({"token", "content", "prompt", "text", "credentials", "apikey", "email"})
_KEY_OWNERS = frozenset({"api", "access", "private", "llm", "signing", "session"})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_MAX_DEPTH = 5

# A word that has to be there (cheap to look for), what to look for then, and what to put in its place.
_SCRUBS = (
    ("://", re.compile(r"(\w://)[^/\s@]+@"), rf"\1{MASK}@"),
    ("earer", re.compile(r"(?i)\b(bearer\s+)[^\s\"',]+"), rf"\1{MASK}"),
    ("=", re.compile(r"(?i)([?&;\s](?:ticket|\w*token|\w*key|password)=)[^&\s\"']+"), rf"\1{MASK}"),
    ("chub_", re.compile(r"\bchub_[\w-]{8,}"), MASK),
    ("whsec_", re.compile(r"whsec_[\w+/=-]*"), MASK),
    ("sk", re.compile(r"\bsk[-_][\w-]{8,}"), MASK),
    # PostgreSQL's and asyncpg's messages repeat the row or the argument.
    ("DETAIL:", re.compile(r"(DETAIL:).*"), rf"\1 {MASK}"),
    ("query argument", re.compile(r"(query argument \$\d+:).*"), rf"\1 {MASK}"),
)


def redact(event: dict[str, object]) -> dict[str, object]:
    """Mask ``event`` in place and return it.

    Values under keys named like a secret or a text become ``***``; inside other values, nested ones too,
    URLs lose their credentials and known shapes of keys disappear. What is no plain value (a Struct, a
    request, a row, bytes) is shown as its type.
    """
    for key, value in event.items():
        if value is None or isinstance(value, bool):
            continue
        event[key] = MASK if _hides(key) else _clean(value, 1)
    return event


def scrub(text: str) -> str:
    """Return ``text`` without the credentials that have a known shape."""
    for word, pattern, replacement in _SCRUBS:
        if word in text:
            text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=2048)
def _hides(key: str) -> bool:
    words = [word.lower() for word in _WORD.findall(key)]
    if not words:
        return False
    if words[-1] == "key":
        return "secret" in words or (len(words) > 1 and words[-2] in _KEY_OWNERS)
    return words[-1] in _HIDDEN_LAST or not _HIDDEN_ANYWHERE.isdisjoint(words)


def _clean(value: object, depth: int) -> object:
    if isinstance(value, str):
        return value.masked() if isinstance(value, Secret) else scrub(str(value))
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, UUID | PurePath | Decimal | date | time | timedelta):
        return str(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _nested(value, depth) if depth < _MAX_DEPTH else "..."
    if isinstance(value, BaseException):
        return scrub(f"{type(value).__name__}: {value}")
    size = f" of {len(value)} bytes" if isinstance(value, bytes | bytearray) else ""
    return f"<{type(value).__qualname__}{size}>"


def _nested(value: Mapping[object, object] | Iterable[object], depth: int) -> object:
    if isinstance(value, Mapping):
        return {_name(key): _member(_name(key), item, depth) for key, item in value.items()}
    items = list(value)
    if isinstance(value, tuple) and len(items) == 2 and isinstance(items[0], str | bytes):  # noqa: PLR2004 - a pair
        # Headers come as pairs of name and value.
        return [_name(items[0]), _member(_name(items[0]), items[1], depth)]
    return [_clean(item, depth + 1) for item in items]


def _member(key: str, value: object, depth: int) -> object:
    return MASK if _hides(key) else _clean(value, depth + 1)


def _name(key: object) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)
