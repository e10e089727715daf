"""SillyTavern's chats: a line on the chat, then a line for each message, as any of its versions wrote them.

What counts of a message is ``mes``, ``is_user``, ``is_system``, ``send_date``, and in ``swipes`` the texts
that the character wrote to choose from. A text may be an object with the text in ``message``. Times are ISO
8601, milliseconds since 1970, ``2023-6-9 @20h 04m 52s 123ms`` or ``June 19, 2023 2:20pm``; those without a
zone are taken for UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from hub.core.clock import utc_now
from hub.core.text import NO_NUL
from hub.domain.archive.entries import (
    MOST_ALTERNATIVES,
    Entry,
    Header,
    NumberedLine,
    Text,
    decode,
    in_bounds,
)
from hub.domain.chat.schemas import MESSAGE_CEILING

_TITLE_LENGTH = 200
_UNSAID = ("", "unused", "You")  # what the header says where it says nothing
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NUMBER = re.compile(r"\d{9,14}(?:\.\d{1,6})?")
_WITH_AT = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)\s*@\s*(\d\d?)h\s*(\d\d?)m\s*(?:(\d\d?)s\s*)?(?:(\d{1,3})ms\s*)?"
)
_IN_WORDS = re.compile(r"([A-Za-z]{3,9})\s+(\d\d?),\s*(\d{4})\s+(\d\d?):(\d\d)\s*([ap]m)?", re.IGNORECASE)
_LONGEST_TIME = 64
#: Above this a number counts milliseconds, not seconds: as seconds it would be the year 5138.
_MILLISECONDS_FROM = 100_000_000_000

Written = str | int | float | None
Said = Annotated[str, Meta(max_length=MESSAGE_CEILING, pattern=NO_NUL)]


class ChubText(Struct, frozen=True):
    """A message's text as another program writes it into the same form."""

    message: Said


class ChatHeader(Struct, frozen=True):
    """The first line."""

    character_name: Annotated[str, Meta(pattern=NO_NUL)] | None = None
    create_date: Written = None


class ChatLine(Struct, frozen=True):
    """A message."""

    mes: Said | ChubText
    is_user: bool | int | None = None
    is_system: bool | int | None = None
    send_date: Written = None
    swipes: Annotated[list[Said | ChubText | None], Meta(max_length=MOST_ALTERNATIVES)] | None = None
    swipe_id: int | float | None = None

    @property
    def text(self) -> str:
        """What was said."""
        return _text(self.mes)

    @property
    def texts(self) -> tuple[list[str], int]:
        """All that the character wrote to choose from, and the place of what was chosen."""
        texts = [_text(each) for each in self.swipes or []]
        if self.swipe_id in range(len(texts)):
            chosen = int(self.swipe_id or 0)
            texts[chosen] = self.text  # which may have been edited
        else:
            chosen = len(texts)
            texts.append(self.text)
        return [each for each in texts if each.strip()], sum(bool(each.strip()) for each in texts[:chosen])


_header = msgspec.json.Decoder(ChatHeader)
_line = msgspec.json.Decoder(ChatLine)


def read(
    first: NumberedLine, names: frozenset[str], rest: Iterator[NumberedLine]
) -> Iterator[Header | Entry | None]:
    """Yield what the file says of the whole, then its messages; None for one of the system or an empty one.

    Args:
        first: the first line.
        names: of the fields in it.
        rest: the lines behind it.

    Raises:
        FieldError: a line is not as it should be.
    """
    chat = decode(_header, first)
    begun = moment_of(chat.create_date)
    name = chat.character_name or ""
    yield Header(title="" if name in _UNSAID else name[:_TITLE_LENGTH], created_at=begun)
    before = begun or utc_now()
    if "mes" in names:  # some write no header
        rest = _with(first, rest)
    for line in rest:
        message = decode(_line, line)
        before = moment_of(message.send_date) or before
        yield _entry(message, before)


def _text(said: str | ChubText | None) -> str:
    return said.message if isinstance(said, ChubText) else said or ""


def _with(first: NumberedLine, rest: Iterator[NumberedLine]) -> Iterator[NumberedLine]:
    yield first
    yield from rest


def _entry(message: ChatLine, moment: datetime) -> Entry | None:
    if message.is_system or not message.text.strip():
        return None
    if message.is_user:
        return Entry(role="user", content=message.text, created_at=moment)
    texts, chosen = message.texts
    return Entry(
        role="assistant",
        content=message.text,
        created_at=moment,
        alternatives=tuple(Text(content=each, created_at=moment) for each in texts) if len(texts) > 1 else (),
        chosen=chosen + 1 if len(texts) > 1 else 1,
    )


def moment_of(written: Written) -> datetime | None:
    """Read a time in one of the forms that SillyTavern has had; None when there is none to be read."""
    text = str(written)[:_LONGEST_TIME].strip() if written is not None else ""
    try:
        moment = _read_number(text) or _read_with_at(text) or _read_in_words(text) or _read_iso(text)
        return in_bounds(moment) if moment is not None else None
    except (ValueError, OverflowError):
        return None


def _read_number(text: str) -> datetime | None:
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    seconds = number / 1000 if number >= _MILLISECONDS_FROM else number
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _read_with_at(text: str) -> datetime | None:
    match = _WITH_AT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, milliseconds = (int(each or 0) for each in match.groups())
    return datetime(year, month, day, hour, minute, second, milliseconds * 1000, tzinfo=UTC)


def _read_in_words(text: str) -> datetime | None:
    match = _IN_WORDS.fullmatch(text)
    if match is None:
        return None
    name, half = match[1][:3].lower(), (match[6] or "").lower()
    hour = int(match[4])
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return datetime(int(match[3]), _MONTHS.index(name) + 1, int(match[2]), hour, int(match[5]), tzinfo=UTC)


def _read_iso(text: str) -> datetime | None:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
