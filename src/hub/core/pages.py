"""Lists in pages: a cursor says after which entry the next page begins, so nothing is skipped or doubled."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct

from hub.core.errors import FieldError

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAX_MICROSECONDS = 2**53
#: No entry of a list that is ordered by position has a greater one.
LAST_POSITION = 2**31 - 1


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list; ``next_cursor`` is null on the last."""

    items: list[T]
    next_cursor: str | None


class Dated(Protocol):
    """An entry of a list that is ordered by time and id."""

    @property
    def id(self) -> UUID: ...

    @property
    def created_at(self) -> datetime: ...


DatedT = TypeVar("DatedT", bound=Dated)


def by_time(items: list[DatedT], *, limit: int) -> Page[DatedT]:
    """Make a page of ``limit`` entries; ``items`` has one more if there is another page."""
    last = items[limit - 1] if len(items) > limit else None
    cursor = TimeCursor(last.created_at, last.id).encode() if last else None
    return Page(items=items[:limit], next_cursor=cursor)


class TimeCursor(Struct, frozen=True):
    """The last entry of a page in a list ordered by time and id, both descending."""

    created_at: datetime
    id: UUID

    def encode(self) -> str:
        """Return the cursor as clients carry it."""
        microseconds = (self.created_at - _EPOCH) // _MICROSECOND
        return _pack(f"{microseconds}.{self.id.hex}")

    @classmethod
    def decode(cls, cursor: str) -> TimeCursor:
        """Read a cursor that a client sent back.

        Raises:
            FieldError: it is not one of ours.
        """
        try:
            text, identifier = _unpack(cursor).split(".")
            microseconds, entry = int(text), UUID(hex=identifier)
        except ValueError:
            raise _bad_cursor() from None
        if not 0 <= microseconds < _MAX_MICROSECONDS:
            raise _bad_cursor()
        return cls(_EPOCH + microseconds * _MICROSECOND, entry)


def encode_position(position: int) -> str:
    """Return a cursor for a list ordered by position."""
    return _pack(str(position))


def decode_position(cursor: str) -> int:
    """Read a position cursor that a client sent back.

    Raises:
        FieldError: it is not one of ours.
    """
    try:
        position = int(_unpack(cursor))
    except ValueError:
        raise _bad_cursor() from None
    if not 0 <= position <= LAST_POSITION:
        raise _bad_cursor()
    return position


def encode_id(last: UUID) -> str:
    """Return a cursor for a list ordered by id."""
    return _pack(last.hex)


def decode_id(cursor: str) -> UUID:
    """Read an id cursor that a client sent back.

    Raises:
        FieldError: it is not one of ours.
    """
    try:
        return UUID(hex=_unpack(cursor))
    except ValueError:
        raise _bad_cursor() from None


def _pack(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unpack(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode(
            "ascii"
        )
    except (binascii.Error, UnicodeError) as error:
        raise ValueError from error


def _bad_cursor() -> FieldError:
    return FieldError("/cursor", "This cursor is not one that a list gave out. Start again without one.")
