"""A card: the place, the person before it, the words, and the band that says what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from hub.storage.codec.painter import indoors, outdoors
from hub.storage.codec.painter.bust import bust
from hub.storage.codec.painter.chance import Chance
from hub.storage.codec.painter.colours import INK, SHADOW, WARM_WHITE, colour
from hub.storage.codec.painter.light import View, light_of
from hub.storage.codec.painter.looks import looks_of
from hub.storage.codec.painter.sheet import Point, Sheet
from hub.storage.codec.painter.typesetting import descent, legible, strokes, width, wrapped
from hub.storage.codec.painter.words import Mood, mood_of

#: What every card says of itself; the second part where there is room for it.
MARK: Final = "PLACEHOLDER"
EXPLANATION: Final = "no image server is set up"

_SMALLEST_WITH_WORDS: Final = 200  # pixels of the shorter side; below, nobody could read them
_WIDE: Final = 1.15  # from this ratio on the words stand beside the person, not below
_MOST_CAPTIONS: Final = 4
_ACCENT_ROOM: Final = 0.14  # above a title, as a share of its size
_ACCENT: Final = colour("e0623f")
_BAND: Final = colour("2a2140")

_SCENES: Final[dict[str, Callable[[Sheet, View, Chance], None]]] = {
    "sea": outdoors.sea,
    "forest": outdoors.forest,
    "mountains": outdoors.mountains,
    "city": outdoors.city,
    "meadow": outdoors.meadow,
    "desert": outdoors.desert,
    "snow": outdoors.snow,
    "space": outdoors.space,
    "room": indoors.room,
    "kitchen": indoors.kitchen,
    "library": indoors.library,
    "cafe": indoors.cafe,
    "stage": indoors.stage,
}


class _Text(Struct, frozen=True, kw_only=True):
    """Lines as they are set: how large, how far apart, how wide the stroke."""

    lines: list[str]
    size: float
    weight: float

    @property
    def pitch(self) -> float:
        return self.size * 1.75

    @property
    def height(self) -> float:
        return self.size + (len(self.lines) - 1) * self.pitch + descent(self.size) if self.lines else 0.0


class _Words(Struct, frozen=True, kw_only=True):
    """All that a card says of its companion."""

    title: _Text
    captions: list[_Text]
    space: float

    @property
    def height(self) -> float:
        """Of all of it, with the spaces between."""
        accents = self.title.size * _ACCENT_ROOM if self.title.lines else 0.0
        parts = [each.height for each in (self.title, *self.captions) if each.lines]
        rule = bool(self.title.lines and self.captions)
        return accents + sum(parts) + self.space * (len(parts) - 1 + rule)


def card(*, seed: int, width: int, height: int, title: str, captions: tuple[str, ...]) -> str:
    """Return a card as SVG: the same for the same order, another one for another seed."""
    sheet = Sheet(width, height)
    chance = Chance(seed, title, *captions)
    mood = mood_of(captions, chance)
    band = _band_height(width, height)
    words = _words(title, captions, width, height)
    wide = width > height * _WIDE
    below = 0.0 if wide or words is None else _panel_height(words, width, height)
    _picture(sheet, title, mood, chance, seen=height - band - below * 0.9, beside=wide and words is not None)
    if words is not None:
        _panel(sheet, words, bottom=height - band, below=below)
    _band(sheet, band)
    return sheet.text()


def portrait(*, seed: int, width: int, height: int, title: str, captions: tuple[str, ...]) -> str:
    """Return a picture of somebody as SVG, without words and band: for those whom the hub brings along."""
    sheet = Sheet(width, height)
    chance = Chance(seed, title, *captions)
    _picture(sheet, title, mood_of(captions, chance), chance, seen=height, beside=False)
    return sheet.text()


def _picture(sheet: Sheet, title: str, mood: Mood, chance: Chance, *, seen: float, beside: bool) -> None:
    light, from_left = light_of(mood.time, chance), chance.happens(0.5)
    view = View(width=sheet.width, seen=seen, height=sheet.height, light=light, from_left=from_left)
    _SCENES[mood.place](sheet, view, chance)
    middle = sheet.width * (0.3 if beside else 0.5)
    room = sheet.width * (0.56 if beside else 1.0)
    size = min(room * 0.142, seen * 0.142)
    head = (middle, seen - size * 3.85)
    sheet.glow(
        (middle, head[1] + size * 0.4), size * 4.6, light.lamp.lighter(0.2), strength=0.5 - light.dark * 0.3
    )
    looks = looks_of(title, mood.cut, mood.dye, light)
    bust(sheet, looks, head, size, lit_from_left=from_left)
    veil = [(0.0, SHADOW, 0.0), (0.5, SHADOW, 0.0), (1.0, SHADOW, 0.45)]
    sheet.rect((0, 0), (sheet.width, sheet.height), sheet.down_fade(veil))


def _words(title: str, captions: tuple[str, ...], width: int, height: int) -> _Words | None:
    """Return the words that fit; None where there are none, or nobody could read them."""
    if min(width, height) < _SMALLEST_WITH_WORDS:
        return None
    wide = width > height * _WIDE
    measure = min(width * (0.4 if wide else 1.0), height)
    room = width * (0.41 if wide else 1.0) - 2 * (_margin(width, height) + _padding(width, height))
    small = measure * (0.037 if wide else 0.0215)
    name = _title(legible(title), room, measure * (0.1 if wide else 0.056))
    lines = 4 if wide else 2
    texts = [text for caption in captions[:_MOST_CAPTIONS] if (text := legible(caption))]
    indented = room - small * 1.5
    below = [_Text(lines=wrapped(text, indented, small, lines), size=small, weight=0.115) for text in texts]
    if not name.lines and not below:
        return None
    return _Words(title=name, captions=below, space=small * 1.05)


def _title(text: str, room: float, size: float) -> _Text:
    """Set a name on one line if need be smaller, else on two."""
    smallest = size * 0.6
    fitting = size * room / max(width(text, size), 1.0)
    if fitting >= smallest:
        size = min(size, fitting * 0.995)
        return _Text(lines=[text] if text else [], size=size, weight=0.15)
    return _Text(lines=wrapped(text, room, smallest, 2), size=smallest, weight=0.15)


def _panel_height(words: _Words, width: int, height: int) -> float:
    return words.height + 2 * _padding(width, height) + _margin(width, height)


def _panel(sheet: Sheet, words: _Words, *, bottom: float, below: float) -> None:
    margin, padding = _margin(sheet.width, sheet.height), _padding(sheet.width, sheet.height)
    if below:
        corner, size = (margin, bottom - below), (sheet.width - 2 * margin, below - margin)
    else:
        high = words.height + 2 * padding
        corner = (sheet.width * 0.59, (bottom - high) / 2)
        size = (sheet.width * 0.41 - margin, high)
    radius = margin * 0.9
    for step in (3, 2, 1):  # a soft shadow
        spread = margin * 0.12 * step
        sheet.rect(
            (corner[0] - spread * 0.5, corner[1] + spread * 0.6), (size[0] + spread, size[1] + spread * 0.5),
            SHADOW, radius=radius + spread / 2, opacity=0.09,
        )  # fmt: skip
    sheet.rect(corner, size, WARM_WHITE.lighter(0.4), radius=radius, opacity=0.95)
    _set(sheet, words, (corner[0] + padding, corner[1] + padding))


def _set(sheet: Sheet, words: _Words, corner: Point) -> None:
    left, top = corner
    if words.title.lines:
        top = _lines(sheet, words.title, (left, top + words.title.size * _ACCENT_ROOM), INK.css)
    if words.title.lines and words.captions:
        rule = words.space * 0.22
        sheet.rect((left, top + words.space * 0.55), (words.title.size * 2.2, rule), _ACCENT, radius=rule / 2)
        top += words.space * 2
    for text in words.captions:
        dot = text.size * 0.26
        sheet.oval((left + dot, top + text.size * 0.55), dot, _ACCENT)
        top = _lines(sheet, text, (left + text.size * 1.5, top), INK.lighter(0.22).css) + words.space


def _lines(sheet: Sheet, text: _Text, corner: Point, ink: str) -> float:
    """Put lines below each other and return where they end."""
    left, top = corner
    for number, line in enumerate(text.lines):
        base = top + text.size + number * text.pitch
        sheet.add(strokes(line, left, base, text.size, colour=ink, weight=text.weight))
    return top + text.height


def _band(sheet: Sheet, band: float) -> None:
    """Paint the band at the bottom: nobody shall take a card for a picture that a model has made."""
    top = sheet.height - band
    sheet.rect((0, top), (sheet.width, band), _BAND)
    sheet.rect((0, top), (sheet.width, max(1.0, band * 0.07)), _ACCENT)
    gap, size = 5.2, band * 0.34
    room = sheet.width * 0.92
    mark = width(MARK, size, gap=gap)
    if mark > room or min(sheet.width, sheet.height) < _SMALLEST_WITH_WORDS:
        size *= min(room / mark, 1.5)
        _centred(sheet, [(MARK, size, gap, 0.18, colour("ffd9a0").css)], band)
        return
    second = band * 0.27
    parts = [(MARK, size, gap, 0.17, colour("ffd9a0").css), (EXPLANATION, second, 3.6, 0.12, WARM_WHITE.css)]
    whole = mark + width(EXPLANATION, second, gap=3.6) + band * 0.6
    shrink = min(1.0, room / whole)
    _centred(sheet, [(text, s * shrink, g, w, ink) for text, s, g, w, ink in parts], band)


def _centred(sheet: Sheet, parts: list[tuple[str, float, float, float, str]], band: float) -> None:
    space = band * 0.5
    whole = sum(width(text, size, gap=gap) for text, size, gap, _, _ in parts) + space * (len(parts) - 1)
    left = (sheet.width - whole) / 2
    base = sheet.height - band * 0.48 + parts[0][1] / 2
    for text, size, gap, weight, ink in parts:
        sheet.add(strokes(text, left, base, size, colour=ink, weight=weight, gap=gap))
        left += width(text, size, gap=gap) + space


def _band_height(width: int, height: int) -> float:
    return max(min(width, height) * 0.058, min(12.0, height / 4))


def _margin(width: int, height: int) -> float:
    return min(width, height) * 0.035


def _padding(width: int, height: int) -> float:
    return min(width, height) * 0.04
