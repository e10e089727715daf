"""People's words as outlines: what can be drawn of them, how wide it is, where its lines break."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

from hub.storage.codec.painter.alphabet import CAPITAL, DESCENT, LETTERS, accented, taken_apart

_LONGEST: Final = 500  # characters of a text that are looked at
_LEGIBLE: Final = 0.5  # a text of which fewer letters can be drawn is left out: a torn one says nothing
_GAP: Final = 3.4  # between letters, on the letters' grid
_SPACE: Final = 5.6
_TORN: Final = 0.5  # a word is torn that would leave more than this share of its line empty
_ELLIPSIS: Final = "…"


def legible(text: str) -> str:
    """Return what can be drawn of a text, on one line; empty where that is less than half of its letters.

    There are letters for languages in Latin, Cyrillic and Greek script. Signs without one (emoji, controls,
    other scripts) are left out, and so is all that would only change the meaning of other signs.
    """
    kept: list[str] = []
    letters = drawn = 0
    for character in unicodedata.normalize("NFC", text[:_LONGEST]):
        known = _known(character)
        kept.append(known)
        if character.isalnum():
            letters += 1
            drawn += known not in {"", " "}
    if letters and drawn < _LEGIBLE * letters:
        return ""
    return " ".join("".join(kept).split())


def width(text: str, size: float, *, gap: float = _GAP) -> float:
    """Return how wide a legible text is in capitals of ``size``; ``gap`` as on the letters' grid."""
    advance = sum(_SPACE if each == " " else _letter(each)[0] + gap for each in text)
    return max(0.0, advance - gap) * size / CAPITAL


def wrapped(text: str, room: float, size: float, most: int) -> list[str]:
    """Break a legible text into at most so many lines of at most ``room``; what is left over becomes '…'."""
    lines: list[str] = []
    while text and len(lines) < most:
        if width(text, size) <= room:
            return [*lines, text]
        last = len(lines) == most - 1
        fitting = _fitting(text, room - (_end_width(size) if last else 0.0), size)
        at_word = text.rfind(" ", 0, fitting + 1)
        cut = at_word if at_word > fitting * _TORN else fitting
        line, text = text[:cut].rstrip(), text[cut:].lstrip()
        lines.append(line.rstrip(",;:.-\u2013\u2014") + _ELLIPSIS if last else line)
    return lines


def strokes(
    text: str, x: float, y: float, size: float, *, colour: str, weight: float, gap: float = _GAP
) -> str:
    """Return a legible text as SVG; its base line begins at (x, y).

    ``size`` is the height of a capital, ``weight`` that of a stroke as a share of it.
    """
    pen, drawn = 0.0, []
    for character in text:
        if character == " ":
            pen += _SPACE
            continue
        advance, path = _letter(character)
        drawn.append(f'<path transform="translate({pen:.2f} 0)" d="{path}"/>')
        drawn += _marks(character, pen + advance / 2)
        pen += advance + gap
    scale = size / CAPITAL
    return (
        f'<g transform="translate({x:.2f} {y - size:.2f}) scale({scale:.5f})" fill="none" stroke="{colour}" '
        f'stroke-width="{weight * CAPITAL:.3f}" stroke-linecap="round" stroke-linejoin="round">'
        f"{''.join(drawn)}</g>"
    )


def descent(size: float) -> float:
    """Return how far letters reach below the base line."""
    return size * DESCENT / CAPITAL


def _marks(character: str, middle: float) -> list[str]:
    if character in LETTERS:
        return []
    base, marks = taken_apart(character)
    return [
        f'<path transform="translate({middle:.2f} {down:.2f})" d="{path}"/>'
        for down, path in accented(base, marks) or []
    ]


@lru_cache(maxsize=512)
def _known(character: str) -> str:
    """Return how a character is drawn: as itself, as simpler ones, as a space, or not at all."""
    if character.isspace():
        return " "
    if _drawable(character):
        return character
    simpler = unicodedata.normalize("NFKC", character).replace("\u2044", "/")  # of fractions
    return simpler if simpler != character and all(_drawable(each) for each in simpler) else ""


def _drawable(character: str) -> bool:
    if character in LETTERS:
        return True
    base, marks = taken_apart(character)
    return base in LETTERS and bool(marks) and accented(base, marks) is not None


def _letter(character: str) -> tuple[float, str]:
    return LETTERS[character] if character in LETTERS else LETTERS[taken_apart(character)[0]]


def _end_width(size: float) -> float:
    return width(_ELLIPSIS, size) + _GAP * size / CAPITAL


def _fitting(text: str, room: float, size: float) -> int:
    """Return how many characters of a text fit, at least one."""
    left = room * CAPITAL / size
    for count, character in enumerate(text):
        advance = _SPACE if character == " " else _letter(character)[0] + _GAP
        left -= advance
        if left < -_GAP:
            return max(1, count)
    return len(text)
