"""Reading a conversation's file: which form it has, and whether every line of it can be taken over.

All of it blocks, so it runs in threads. A file is read twice, once to check it and once to store it, so that
no more of it than a few lines is ever in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from hub.core.errors import FieldError
from hub.domain.archive import sillytavern
from hub.domain.archive.entries import (
    MOST_MESSAGES,
    MOST_TEXTS,
    Entry,
    Header,
    NumberedLine,
    Text,
    decode,
    in_bounds,
    lines_of,
)
from hub.domain.archive.lines import FirstLine, LastLine, Line, MessageLine, Picture

#: Fields of the first line by which SillyTavern's chats are known.
_SILLYTAVERN = frozenset({"user_name", "character_name", "chat_metadata", "mes"})

_any_object = msgspec.json.Decoder[dict[str, msgspec.Raw]](dict[str, msgspec.Raw])
_line = msgspec.json.Decoder(Line)


class Summary(Struct, frozen=True, kw_only=True):
    """A file that can be taken over as a whole; ``pictures`` are the hashes of those that it names.

    ``left_out`` counts messages that are not taken over.
    """

    title: str
    created_at: datetime | None
    messages: int
    left_out: int
    pictures: frozenset[str]


def check(path: Path) -> Summary:
    """Read a file to its end.

    Raises:
        FieldError: it cannot be taken over; the pointer begins with the number of the line, from 1.
    """
    header, pictures = Header(title="", created_at=None), set[str]()
    count, texts, left_out = 0, 0, 0
    for each in _read(path):
        if isinstance(each, Header):
            header = each
            continue
        if each is None:
            left_out += 1
            continue
        count += 1
        if count > MOST_MESSAGES:
            raise FieldError("", f"A conversation may have up to {MOST_MESSAGES:,} messages.")
        texts += each.texts
        if texts > MOST_TEXTS:
            raise FieldError("", f"The messages may have up to {MOST_TEXTS:,} texts to choose from.")
        pictures |= each.pictures
    return Summary(
        title=header.title,
        created_at=header.created_at,
        messages=count,
        left_out=left_out,
        pictures=frozenset(pictures),
    )


class Entries:
    """The messages of a file, some at a time."""

    def __init__(self, path: Path) -> None:
        self._entries = (each for each in _read(path) if isinstance(each, Entry))

    def take(self, count: int) -> list[Entry]:
        """Return the next messages, with about so many texts together; none at the end."""
        taken: list[Entry] = []
        texts = 0
        while texts < count and (each := next(self._entries, None)) is not None:
            taken.append(each)
            texts += each.texts
        return taken

    def close(self) -> None:
        """Close the file."""
        self._entries.close()


def _read(path: Path) -> Iterator[Header | Entry | None]:
    with path.open("rb") as file:
        lines = lines_of(file)
        first = next(lines, None)
        if first is None:
            raise FieldError("", "The file is empty.")
        names = frozenset(decode(_any_object, first).keys())
        if {"type", "format"} <= names:
            found = _read_own(first, lines)
        elif names & _SILLYTAVERN:
            found = sillytavern.read(first, names, lines)
        else:
            raise FieldError(
                first.pointer, "This is neither a conversation that a hub exported nor a chat of SillyTavern."
            )
        yield from found


def _read_own(first: NumberedLine, rest: Iterator[NumberedLine]) -> Iterator[Header | Entry | None]:
    beginning = decode(_line, first)
    if not isinstance(beginning, FirstLine):
        raise FieldError(f"{first.pointer}/type", "The first line has to be of type 'conversation'.")
    yield Header(title=beginning.title, created_at=_moment(beginning.created_at, first))
    count, position = 0, 0
    for line in rest:
        each = decode(_line, line)
        if isinstance(each, LastLine):
            _check_end(each, line, rest, count=count)
            return
        if isinstance(each, FirstLine):
            raise FieldError(f"{line.pointer}/type", "A second conversation begins here. Send one at a time.")
        if each.position <= position:
            raise FieldError(f"{line.pointer}/position", "Positions have to rise from line to line.")
        count, position = count + 1, each.position
        yield _entry(each, line)
    raise FieldError("", "The file is cut off: its last line, of type 'end', is missing. Export it again.")


def _entry(each: MessageLine, line: NumberedLine) -> Entry:
    chosen = [number for number, text in enumerate(each.alternatives, start=1) if text.chosen]
    if each.alternatives and [each.alternatives[number - 1].content for number in chosen] != [each.content]:
        detail = "One of the alternatives has to be chosen, and its text has to be the message's."
        raise FieldError(f"{line.pointer}/alternatives", detail)
    return Entry(
        role=each.role,
        content=each.content,
        created_at=_moment(each.created_at, line),
        picture=_hash(each.image),
        edited_at=_moment(each.edited_at, line, "edited_at") if each.edited_at is not None else None,
        alternatives=tuple(
            Text(
                content=text.content,
                created_at=_moment(text.created_at, line, f"alternatives/{place}/created_at"),
                picture=_hash(text.image),
            )
            for place, text in enumerate(each.alternatives)
        ),
        chosen=chosen[0] if chosen else 1,
    )


def _hash(picture: Picture | None) -> str | None:
    return picture.sha256 if picture is not None else None


def _check_end(end: LastLine, line: NumberedLine, rest: Iterator[NumberedLine], *, count: int) -> None:
    if end.messages != count:
        detail = f"{end.messages} messages were exported, and {count} are here: the file is not whole."
        raise FieldError(f"{line.pointer}/messages", detail)
    more = next(rest, None)
    if more is not None:
        raise FieldError(more.pointer, "Nothing may stand behind the last line.")


def _moment(written: datetime, line: NumberedLine, field: str = "created_at") -> datetime:
    moment = in_bounds(written)
    if moment is None:
        raise FieldError(f"{line.pointer}/{field}", "The time has to be in the years 1970 to 2199.")
    return moment
