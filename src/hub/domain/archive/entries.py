"""What a conversation's file holds, whichever form it has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO, Literal, TypeVar

import msgspec
from msgspec import Struct

from hub.core.errors import FieldError
from hub.core.validation import invalid_part

T = TypeVar("T")

#: Bytes of a line: the longest message with every character escaped, and much that is not taken over.
LINE_LIMIT = 4 * 1024 * 1024
#: Messages of a conversation that is imported.
MOST_MESSAGES = 100_000
#: Texts of one message to choose from, and of all messages together.
MOST_ALTERNATIVES = 10_000
MOST_TEXTS = 200_000

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Header(Struct, frozen=True, kw_only=True):
    """What the file says of the whole; ``created_at`` is None where it does not say."""

    title: str
    created_at: datetime | None


class Text(Struct, frozen=True, kw_only=True):
    """One of several texts of a message."""

    content: str
    created_at: datetime
    picture: str | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """One message; ``picture`` is the SHA-256 of the one that went with it.

    ``alternatives`` are all its texts, if it has several; ``chosen`` counts from 1.
    """

    role: Literal["user", "assistant"]
    content: str
    created_at: datetime
    picture: str | None = None
    edited_at: datetime | None = None
    alternatives: tuple[Text, ...] = ()
    chosen: int = 1

    @property
    def texts(self) -> int:
        """How many texts have to be stored for it."""
        return 1 + len(self.alternatives)

    @property
    def pictures(self) -> set[str]:
        """The pictures of all its texts."""
        found = {self.picture, *(each.picture for each in self.alternatives)}
        return {each for each in found if each is not None}


class NumberedLine(Struct, frozen=True):
    """A line that is not blank; ``number`` counts all lines from 1."""

    number: int
    data: bytes

    @property
    def pointer(self) -> str:
        """The place of the line, as errors name it."""
        return f"/{self.number}"


def lines_of(file: BinaryIO) -> Iterator[NumberedLine]:
    """Yield the lines of a file that are not blank.

    Raises:
        FieldError: one is too long.
    """
    number = 0
    while data := file.readline(LINE_LIMIT + 1):
        number += 1
        if len(data) > LINE_LIMIT:
            raise FieldError(f"/{number}", f"A line may have up to {LINE_LIMIT // 1024 // 1024} MB.")
        if number == 1:
            data = data.removeprefix(_BYTE_ORDER_MARK)
        if not data.isspace() and data:
            yield NumberedLine(number, data)


def decode(decoder: msgspec.json.Decoder[T], line: NumberedLine) -> T:
    """Decode a line.

    Raises:
        FieldError: it is not as it should be.
    """
    try:
        return decoder.decode(line.data)
    except msgspec.ValidationError as error:
        part = invalid_part(line.pointer, error)
        raise FieldError(part.pointer, part.detail) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FieldError(line.pointer, "This line is not well-formed JSON in UTF-8.") from None


def in_bounds(moment: datetime) -> datetime | None:
    """Return a time in UTC, or None when no message was sent then."""
    if not _FIRST.year <= moment.year <= _LAST.year:
        return None
    found = moment.astimezone(UTC)
    return found if _FIRST <= found < _LAST else None
