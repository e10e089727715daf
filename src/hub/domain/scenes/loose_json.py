"""Reads what language models write when they are asked for JSON: JSON, and what is nearly JSON.

Beyond JSON it takes prose around an object, single quotes, names without quotes, Python's words, quotes
inside of strings, missing and superfluous commas, and an end that was cut off. It goes through the text once.
"""

from __future__ import annotations

import re

Value = str | float | bool | list["Value"] | dict[str, "Value"] | None

MAX_DEPTH = 32

_SKIPPED = re.compile(r"(?:[\s,]+|//[^\n]*)*")
_COLON = re.compile(r"\s*[:=]\s*")
# A quote ends a string where something follows that can follow a string; others are part of the text.
_STRINGS = {
    quote: re.compile(
        rf"{quote}((?:\\.|[^\\{quote}]|{quote}(?![ \t]*(?:[,:}}\]\r\n]|\Z)))*)({quote}?)", re.DOTALL
    )
    for quote in ('"', "'")
}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_BARE_NAME = re.compile(r"[^\s:=,{}\[\]\"']+")
_BARE_VALUE = re.compile(r"[^,{}\[\]\r\n]+")
_WORDS = {"true": True, "false": False, "null": None, "none": None, "undefined": None}


def objects(text: str) -> list[dict[str, Value]]:
    """Return the objects in a text, those within others inside of them. Never raises."""
    reader = _Reader(text)
    found = []
    while (start := text.find("{", reader.at)) >= 0:
        reader.at = start + 1
        found.append(reader.object(1))
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def object(self, depth: int) -> dict[str, Value]:
        """Read what follows an opening brace; the last one of equal names counts, as in JSON."""
        read: dict[str, Value] = {}
        while (mark := self._next()) not in ("", "}"):
            if mark in "{[":  # a value without a name
                read[f"#{len(read)}"] = self._value(depth)
                continue
            name = self._string() if mark in _STRINGS else self._bare(_BARE_NAME)
            colon = _COLON.match(self._text, self.at)
            if colon is None:
                self.at += 0 if name is not None else 1
                continue
            self.at = colon.end()
            value = self._value(depth)
            if name is not None:
                read[name] = value
        self.at += 1
        return read

    def _array(self, depth: int) -> list[Value]:
        read: list[Value] = []
        while (mark := self._next()) not in ("", "]"):
            if mark == "}":  # its own end is missing
                return read
            read.append(self._value(depth))
        self.at += 1
        return read

    def _value(self, depth: int) -> Value:
        mark = self._text[self.at : self.at + 1]
        if mark in ("{", "["):
            self.at += 1
            if depth >= MAX_DEPTH:  # nobody means it: what follows is not read
                self.at = len(self._text)
                return None
            return self.object(depth + 1) if mark == "{" else self._array(depth + 1)
        if mark in _STRINGS:
            return self._string()
        return _meant(self._bare(_BARE_VALUE))

    def _next(self) -> str:
        """Go to what is next; returns its first character, "" at the end."""
        skipped = _SKIPPED.match(self._text, self.at)
        self.at = skipped.end() if skipped is not None else self.at
        return self._text[self.at : self.at + 1]

    def _string(self) -> str | None:
        """Read a string; None if its end is missing: half a value is none."""
        found = _STRINGS[self._text[self.at]].match(self._text, self.at)
        if found is None:
            self.at = len(self._text)
            return None
        self.at = found.end()
        if not found[2]:
            return None
        text = _ESCAPE.sub(_unescaped, found[1])  # two escapes may be the halves of one character
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")

    def _bare(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0].strip() if self.at < len(self._text) else None  # else its end may be missing


def _unescaped(found: re.Match[str]) -> str:
    what = found[1]
    return chr(int(what[1:], 16)) if len(what) > 1 else _ESCAPED.get(what, what)


def _meant(word: str | None) -> Value:
    if word is None or word.lower() in _WORDS:
        return _WORDS.get((word or "null").lower())
    try:
        return float(word)
    except ValueError:
        return word
