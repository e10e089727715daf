"""Places with walls."""

from __future__ import annotations

from hub.storage.codec.painter.chance import Chance
from hub.storage.codec.painter.colours import Colour, colour
from hub.storage.codec.painter.light import View, is_night
from hub.storage.codec.painter.sheet import Sheet

_WALLS = ("d9a78b", "a9b99a", "9fb4c6", "e2bd7c", "e3b8ae", "8f7a9c", "6f9796")
_LAMP = colour("ffdf9e")


def room(sheet: Sheet, view: View, chance: Chance) -> None:
    """A wall with a window, pictures, a plant and a lamp."""
    wall = _wall(sheet, view, chance)
    left = view.from_left
    _window(sheet, view, chance, at=0.2 if left else 0.8)
    for step in range(2):
        _picture(sheet, view, chance, (0.84 if left else 0.16, 0.2 + 0.22 * step), wall)
    _plant(sheet, view, chance, at=0.9 if left else 0.1)
    _standing_lamp(sheet, view, at=0.08 if left else 0.92)


def kitchen(sheet: Sheet, view: View, chance: Chance) -> None:
    """Tiles, shelves with pots and cups, lamps over the table."""
    wall = _wall(sheet, view, chance)
    _tiles(sheet, view, wall)
    _window(sheet, view, chance, at=0.2 if view.from_left else 0.8)
    for level in (0.26, 0.46):
        _shelf(sheet, view, chance, level, left=not view.from_left)
    for at in (0.2, 0.8):
        _hanging_lamp(sheet, view, at, chance.between(0.1, 0.16), chance)


def library(sheet: Sheet, view: View, chance: Chance) -> None:
    """Shelves full of books up to the ceiling."""
    wood = view.light.on(chance.one_of((colour("8a5a3c"), colour("6b4a3a"), colour("9a6f48"))))
    sheet.rect(
        (0, 0),
        (view.width, view.height),
        sheet.down_fade([(0, wood.darker(0.35), 1), (1, wood.darker(0.55), 1)]),
    )
    high = view.unit * 17
    down = view.unit * 2
    while down < view.seen:
        _books(sheet, view, chance, down, high)
        sheet.rect((0, down + high), (view.width, view.unit * 1.6), wood)
        down += high + view.unit * 1.6
    for at in (0.34, 0.66):
        sheet.rect((view.width * at - view.unit, 0), (view.unit * 2, view.height), wood.darker(0.1))
    _lamplight(sheet, view)


def cafe(sheet: Sheet, view: View, chance: Chance) -> None:
    """A large window on the street, lights out of focus, lamps above."""
    wall = _wall(sheet, view, chance)
    _window(sheet, view, chance, at=0.24, wide=36)
    _window(sheet, view, chance, at=0.76, wide=36)
    sheet.rect((0, view.seen * 0.66), (view.width, view.height), wall.darker(0.45))
    sheet.rect((0, view.seen * 0.66), (view.width, view.unit * 1.2), wall.lighter(0.25), opacity=0.6)
    for _ in range(16):
        place = (chance.between(0, view.width), view.seen * chance.between(0.1, 0.9))
        sheet.oval(place, view.unit * chance.between(1.5, 4.5), _LAMP, opacity=chance.between(0.08, 0.25))
    for at in (0.12, 0.37, 0.63, 0.88):
        _hanging_lamp(sheet, view, at, chance.between(0.08, 0.17), chance)


def stage(sheet: Sheet, view: View, chance: Chance) -> None:
    """Beams of light in the dark."""
    high, low = colour("150f2e"), chance.one_of((colour("5a2a6b"), colour("27406e"), colour("6b2a46")))
    sheet.rect((0, 0), (view.width, view.height), sheet.down_fade([(0, high, 1), (0.9, low, 1)]))
    beams = (colour("ff9ec7"), colour("8fd3ff"), colour("ffd58a"), colour("b9a2ff"))
    for at in range(5):
        source = view.width * (at + 0.5) / 5
        aim = view.width * chance.between(0, 1)
        spread = view.unit * chance.between(9, 16)
        tint = chance.one_of(beams)
        beam = sheet.down_fade([(0, tint, 0.6), (1, tint, 0.0)])
        tip = view.unit * 1.2
        points = ((source - tip, 0), (source + tip, 0), (aim + spread, view.seen), (aim - spread, view.seen))
        sheet.polygon(points, beam)
        sheet.glow((source, 0), view.unit * 9, tint, strength=0.9)
    for _ in range(40):
        place = (chance.between(0, view.width), chance.between(0, view.seen))
        sheet.oval(
            place,
            view.unit * chance.between(0.2, 1.0),
            chance.one_of(beams),
            opacity=chance.between(0.2, 0.8),
        )


def _wall(sheet: Sheet, view: View, chance: Chance) -> Colour:
    wall = colour(chance.one_of(_WALLS)).mixed(view.light.high, view.light.dark * 0.9)
    fade = [(0.0, wall.lighter(0.22), 1.0), (0.7, wall, 1.0), (1.0, wall.darker(0.18), 1.0)]
    sheet.rect((0, 0), (view.width, view.height), sheet.down_fade(fade))
    return wall


def _window(sheet: Sheet, view: View, chance: Chance, *, at: float, wide: float = 27) -> None:
    """Paint a window with the sky in it, and its light on the wall."""
    half, top, low = view.unit * wide / 2, view.seen * 0.1, view.seen * 0.52
    middle, light = view.width * at, view.light
    frame = view.light.on(colour("fbf3e6"))
    edge = view.unit * 1.3
    glass = sheet.down_fade([(0, light.high, 1), (0.6, light.middle, 1), (1, light.low, 1)])
    for grown, paint in ((edge, frame), (0.0, glass)):
        size = (2 * half + 2 * grown, low - top + 2 * grown)
        sheet.rect((middle - half - grown, top - grown), size, paint, radius=view.unit * 1.2)
    lamp = (middle + half * chance.between(-0.5, 0.5), top + (low - top) * chance.between(0.25, 0.5))
    sheet.oval(lamp, view.unit * 2.6, light.lamp, opacity=0.9)
    hill = light.on(colour("6f9a86"), far=0.3)
    rise = (low - top) * chance.between(0.16, 0.3)
    sheet.path(
        f"M{middle - half:.1f} {low - rise:.1f}Q{middle:.1f} {low - rise * 1.7:.1f} {middle + half:.1f} "
        f"{low - rise * 0.6:.1f}V{low:.1f}H{middle - half:.1f}Z",
        hill,
    )
    sheet.rect((middle - edge / 2, top), (edge, low - top), frame)
    sheet.rect((middle - half, top + (low - top) * 0.42), (2 * half, edge), frame)
    sheet.rect(
        (middle - half - edge * 2, low + edge * 0.6), (2 * half + edge * 4, edge * 1.2), frame.darker(0.08)
    )
    sheet.glow((middle, (top + low) / 2), view.unit * wide * 1.5, light.lamp, strength=0.32)


def _picture(sheet: Sheet, view: View, chance: Chance, place: tuple[float, float], wall: Colour) -> None:
    wide, high = view.unit * chance.between(10, 13), view.unit * chance.between(12, 16)
    corner = (view.width * place[0] - wide / 2, view.seen * place[1] - high / 2)
    sheet.rect(corner, (wide, high), wall.lighter(0.75), radius=view.unit * 0.5)
    inner = (corner[0] + view.unit * 1.3, corner[1] + view.unit * 1.3)
    size = (wide - view.unit * 2.6, high - view.unit * 2.6)
    tint = view.light.on(colour(chance.one_of(_WALLS)))
    sheet.rect(inner, size, tint)
    sheet.oval((inner[0] + size[0] / 2, inner[1] + size[1] * 0.6), size[0] * 0.3, tint.lighter(0.5))


def _plant(sheet: Sheet, view: View, chance: Chance, *, at: float) -> None:
    middle, foot = view.width * at, view.seen * 0.93
    green, root = view.light.on(colour("4f8a63")), foot - view.unit * 9
    for leaf in range(-3, 4):
        reach, bend = leaf * view.unit * 4.2, view.unit * 3.4
        high = view.unit * (34 - abs(leaf) * 5) * chance.between(0.85, 1.1)
        left, right, top = middle + reach * 0.2 - bend, middle + reach * 0.7 + bend, foot - high
        sheet.path(
            f"M{middle:.1f} {root:.1f}Q{left:.1f} {top + high * 0.35:.1f} {middle + reach:.1f} {top:.1f}"
            f"Q{right:.1f} {top + high * 0.5:.1f} {middle:.1f} {root:.1f}Z",
            green if leaf % 2 else green.lighter(0.12),
        )
    pot = view.light.on(colour("c8775a"))
    wide = view.unit * 6
    points = ((middle - wide, foot - view.unit * 11), (middle + wide, foot - view.unit * 11))
    sheet.polygon(
        (*points, (middle + wide * 0.7, foot + view.unit * 2), (middle - wide * 0.7, foot + view.unit * 2)),
        pot,
    )


def _standing_lamp(sheet: Sheet, view: View, *, at: float) -> None:
    middle, top = view.width * at, view.seen * 0.6
    sheet.rect((middle - view.unit * 0.5, top), (view.unit, view.height), view.light.on(colour("5b4a44")))
    sheet.glow((middle, top), view.unit * 34, _LAMP, strength=0.4 + view.light.dark * 0.7)
    wide = view.unit * 7.5
    shade = ((middle - wide * 0.6, top - view.unit * 6), (middle + wide * 0.6, top - view.unit * 6))
    sheet.polygon((*shade, (middle + wide, top + view.unit * 6), (middle - wide, top + view.unit * 6)), _LAMP)


def _hanging_lamp(sheet: Sheet, view: View, at: float, low: float, chance: Chance) -> None:
    middle, down = view.width * at, view.seen * low
    sheet.rect((middle - view.unit * 0.25, 0), (view.unit * 0.5, down), view.light.on(colour("4b4048")))
    sheet.glow((middle, down + view.unit * 3), view.unit * 22, _LAMP, strength=0.45 + view.light.dark * 0.6)
    shade = view.light.on(colour(chance.one_of(("c8775a", "5f8f86", "d9a64e"))))
    wide = view.unit * 5.5
    sheet.oval((middle, down + wide * 0.72), wide * 0.42, _LAMP)
    sheet.path(
        f"M{middle - wide:.1f} {down + wide * 0.75:.1f}A{wide:.1f} {wide:.1f} 0 0 1 {middle + wide:.1f} "
        f"{down + wide * 0.75:.1f}Z",
        shade,
    )


def _tiles(sheet: Sheet, view: View, wall: Colour) -> None:
    side, top = view.unit * 9, view.seen * 0.58
    seam = wall.lighter(0.35)
    sheet.rect((0, top), (view.width, view.height - top), wall.lighter(0.5), opacity=0.6)
    for row in range(int((view.seen - top) / side) + 2):
        sheet.rect((0, top + row * side), (view.width, view.unit * 0.35), seam)
    for column in range(int(view.width / side) + 2):
        sheet.rect((column * side, top), (view.unit * 0.35, view.height - top), seam)


def _shelf(sheet: Sheet, view: View, chance: Chance, level: float, *, left: bool) -> None:
    down = view.seen * level
    start = 0.0 if left else view.width * 0.64
    long = view.width * 0.36
    tints = ("c8775a", "f1e6d2", "5f8f86", "d9a64e", "7f93b5")
    at = start + view.unit * 3
    while at < start + long - view.unit * 7:
        wide, high = view.unit * chance.between(4, 7), view.unit * chance.between(4, 9)
        sheet.rect(
            (at, down - high),
            (wide, high),
            view.light.on(colour(chance.one_of(tints))),
            radius=view.unit * 1.4,
        )
        at += wide + view.unit * chance.between(1, 3)
    sheet.rect(
        (start, down), (long, view.unit * 1.6), view.light.on(colour("a06d4a")), radius=view.unit * 0.6
    )


def _books(sheet: Sheet, view: View, chance: Chance, down: float, high: float) -> None:
    tints = ("b5544a", "d9a64e", "5f8f86", "41597f", "8a6a94", "e6d5b3", "7d8a54", "99503f")
    at = 0.0
    while at < view.width:
        wide = view.unit * chance.between(1.6, 3.6)
        if chance.happens(0.93):
            tall = high * chance.between(0.68, 0.94)
            tint = view.light.on(colour(chance.one_of(tints))).darker(0.15)
            sheet.rect((at, down + high - tall), (wide * 0.94, tall), tint, radius=view.unit * 0.3)
            sheet.rect(
                (at, down + high - tall * 0.82),
                (wide * 0.94, view.unit * 0.6),
                tint.lighter(0.4),
                opacity=0.7,
            )
        at += wide


def _lamplight(sheet: Sheet, view: View) -> None:
    at = 0.18 if view.from_left else 0.82
    strength = 0.75 if is_night(view.light) else 0.5
    sheet.glow((view.width * at, view.seen * 0.42), view.unit * 62, _LAMP, strength=strength)
