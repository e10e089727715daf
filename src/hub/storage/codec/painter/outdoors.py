"""Places under the sky."""

from __future__ import annotations

import math

from hub.storage.codec.painter.chance import Chance
from hub.storage.codec.painter.colours import Colour, colour
from hub.storage.codec.painter.light import View, is_night, sky
from hub.storage.codec.painter.sheet import Sheet

_LAYERS = 4


def sea(sheet: Sheet, view: View, chance: Chance) -> None:
    """Water up to the horizon, its light on it, and a beach."""
    lamp = sky(sheet, view, chance)
    horizon = view.seen * chance.between(0.48, 0.56)
    light = view.light
    _hills(sheet, view, chance, base=horizon, high=5, tint=light.on(colour("4d6f86"), far=0.55))
    deep, near = light.on(colour("2f7f9e")), light.on(colour("5cc0bf"))
    water = sheet.down_fade([(0.0, deep.mixed(light.low, 0.35), 1.0), (1.0, near, 1.0)])
    sheet.rect((0, horizon), (view.width, view.seen - horizon), water)
    for row in range(16):
        down = horizon + (row + 0.7) ** 1.5 * view.unit * 0.62
        long = view.unit * chance.between(4, 9) * (1 + row * 0.12)
        left = lamp + chance.between(-1, 1) * view.unit * (2 + row) - long / 2
        sheet.rect((left, down), (long, view.unit * 0.7), light.lamp, radius=view.unit * 0.35, opacity=0.5)
    shore = view.seen * chance.between(0.8, 0.86)
    sand, swing = light.on(colour("f0d3a0")), view.unit * chance.between(-9, 9)
    for lift, paint, opacity in ((3.2, light.lamp, 0.55), (0.0, sand, 1.0)):
        top = shore - lift * view.unit
        sheet.path(
            f"M0 {top - swing:.1f}C{view.width * 0.35:.1f} {top + swing:.1f} {view.width * 0.6:.1f} "
            f"{top - swing:.1f} {view.width:.1f} {top + swing:.1f}V{view.height}H0Z",
            paint,
            opacity=opacity,
        )


def meadow(sheet: Sheet, view: View, chance: Chance) -> None:
    """Rolling green with flowers."""
    sky(sheet, view, chance)
    tints = [colour("8fb8a0"), colour("7fb582"), colour("69a468"), colour("55905a")]
    _waves(sheet, view, chance, tints, top=0.52)
    petals = (colour("f7c9d4"), colour("fff3d6"), colour("f2a65a"), colour("c9b6f0"))
    for _ in range(60):
        down = chance.between(0.76, 1.0)
        place = (chance.between(0, view.width), view.seen * down)
        size = view.unit * chance.between(0.5, 1.1) * (down * 2 - 0.7)
        sheet.oval(place, size, view.light.on(chance.one_of(petals)), opacity=0.9)


def desert(sheet: Sheet, view: View, chance: Chance) -> None:
    """Dunes, one behind the other."""
    sky(sheet, view, chance)
    tints = [colour("e3b48c"), colour("dba070"), colour("cc8a58"), colour("b87248")]
    _waves(sheet, view, chance, tints, top=0.56)


def snow(sheet: Sheet, view: View, chance: Chance) -> None:
    """White hills, firs and flakes."""
    sky(sheet, view, chance)
    tints = [colour("c3d4e6"), colour("d5e2ee"), colour("e6eef5"), colour("f6f9fb")]
    _waves(sheet, view, chance, tints, top=0.5)
    _firs(sheet, view, chance, base=0.74, count=9, tint=colour("4d7474"))
    for _ in range(90):
        place = (chance.between(0, view.width), chance.between(0, view.seen))
        sheet.oval(
            place, view.unit * chance.between(0.25, 0.9), colour("ffffff"), opacity=chance.between(0.4, 0.9)
        )


def forest(sheet: Sheet, view: View, chance: Chance) -> None:
    """Firs in the haze, the nearer the darker."""
    sky(sheet, view, chance)
    for layer in range(_LAYERS):
        near = layer / (_LAYERS - 1)
        tint = colour("6fa08a").mixed(colour("23483f"), near)
        base = 0.6 + near * 0.3
        ground = view.light.on(tint, far=0.6 * (1 - near))
        _hills(sheet, view, chance, base=view.seen * base, high=4, tint=ground)
        _firs(
            sheet,
            view,
            chance,
            base=base,
            count=13 - 2 * layer,
            tint=tint,
            size=13 + 9 * near,
            far=0.6 * (1 - near),
        )
    if is_night(view.light):
        _sparks(sheet, view, chance)


def mountains(sheet: Sheet, view: View, chance: Chance) -> None:
    """Ridges with snow on the highest."""
    sky(sheet, view, chance)
    for layer in range(_LAYERS):
        near = layer / (_LAYERS - 1)
        tint = view.light.on(colour("8496bd").mixed(colour("3f5f66"), near), far=0.55 * (1 - near))
        base, high = view.seen * (0.66 + 0.16 * layer), view.unit * (46 - 7 * layer)
        count = 3 + layer
        for at in range(count + 1):
            middle = (at + chance.between(-0.3, 0.3)) * view.width / count
            _peak(
                sheet, view, (middle, base - high * chance.between(0.62, 1.0)), base, tint, capped=layer == 0
            )
        _hills(sheet, view, chance, base=base - view.unit * 4, high=4, tint=tint.darker(0.06))
    _hills(sheet, view, chance, base=view.seen * 0.9, high=7, tint=view.light.on(colour("456b60")))


def city(sheet: Sheet, view: View, chance: Chance) -> None:
    """Houses in the haze, with windows in the dark."""
    sky(sheet, view, chance)
    for layer in range(3):
        near = layer / 2
        tint = view.light.on(colour("7f8fb5").mixed(colour("3b3f63"), near), far=0.5 * (1 - near))
        left = -view.unit * chance.between(0, 8)
        while left < view.width:
            wide = view.unit * chance.between(8, 15)
            top = view.seen * (0.42 + 0.13 * layer) + view.unit * chance.between(-12, 14)
            sheet.rect((left, top), (wide, view.height - top), tint)
            _windows(sheet, view, chance, (left, top), wide=wide, near=near)
            left += wide + view.unit * chance.between(-1.5, 1.2) * (1 - near)


def space(sheet: Sheet, view: View, chance: Chance) -> None:
    """A planet with a ring among the stars."""
    high, low = colour("0b0c2a"), chance.one_of((colour("4a2a6e"), colour("1f4a6e"), colour("6e2a52")))
    sheet.rect((0, 0), (view.width, view.height), sheet.down_fade([(0.0, high, 1.0), (0.85, low, 1.0)]))
    for _ in range(140):
        place = (chance.between(0, view.width), chance.between(0, view.seen))
        sheet.oval(
            place, view.unit * chance.between(0.1, 0.45), colour("fff6e8"), opacity=chance.between(0.3, 1)
        )
    for _ in range(3):
        place = (chance.between(0, view.width), chance.between(0.1, 0.8) * view.seen)
        sheet.glow(place, view.unit * chance.between(30, 50), low.lighter(0.35), strength=0.35)
    tint = chance.one_of((colour("e9a36b"), colour("7fb8c9"), colour("d98aa8")))
    size = view.unit * chance.between(11, 16)
    middle = (view.width * (0.8 if view.from_left else 0.2), view.seen * chance.between(0.2, 0.32))
    with sheet.moved(f"translate({middle[0]:.1f} {middle[1]:.1f}) rotate(-18) scale({size:.2f})"):
        ring = tint.lighter(0.6)
        sheet.line("M-1.75 0A1.75 .42 0 0 1 1.75 0", ring, 0.1, opacity=0.6)
        sheet.oval(
            (0, 0), 1, sheet.down_fade([(0, tint.lighter(0.4), 1), (1, tint.darker(0.4), 1)], sideways=0.6)
        )
        sheet.line("M-1.75 0A1.75 .42 0 0 0 1.75 0", ring, 0.12, opacity=0.9)


def _waves(sheet: Sheet, view: View, chance: Chance, tints: list[Colour], *, top: float) -> None:
    for layer, tint in enumerate(tints):
        far = 0.5 * (1 - layer / (len(tints) - 1))
        base = view.seen * (top + (0.98 - top) * 0.27 * layer)
        paint = view.light.on(tint, far=far)
        _hills(sheet, view, chance, base=base, high=9 - layer, tint=paint)


def _hills(sheet: Sheet, view: View, chance: Chance, *, base: float, high: float, tint: Colour) -> None:
    """Paint soft hills that hide all below them."""
    first, second = (view.unit * high * chance.between(0.2, 1.4) * chance.one_of((-1, 1)) for _ in "ab")
    fade = sheet.down_fade([(0.0, tint.lighter(0.12), 1.0), (0.6, tint, 1.0), (1.0, tint.darker(0.12), 1.0)])
    if high < 6:  # noqa: PLR2004 - low ones are seen far away, as humps
        first, second = abs(first), abs(second)
    sheet.path(
        f"M0 {base - first:.1f}C{view.width * 0.28:.1f} {base - first * 1.6:.1f} {view.width * 0.42:.1f} "
        f"{base + second:.1f} {view.width * 0.62:.1f} {base:.1f}S{view.width * 0.9:.1f} {base - second:.1f} "
        f"{view.width:.1f} {base - second * 0.7:.1f}V{view.height}H0Z",
        fade,
    )


def _firs(
    sheet: Sheet,
    view: View,
    chance: Chance,
    *,
    base: float,
    count: int,
    tint: Colour,
    size: float = 15,
    far: float = 0.2,
) -> None:
    for at in range(count):
        left = (at + chance.between(0.1, 0.9)) / count * view.width
        foot = view.seen * base + view.unit * chance.between(-1, 4)
        high = view.unit * size * chance.between(0.7, 1.25)
        paint = view.light.on(tint, far=far * chance.between(0.8, 1.1))
        sheet.rect((left - high * 0.03, foot - high * 0.2), (high * 0.06, high * 0.25), paint.darker(0.3))
        for step in range(3):
            low, wide = foot - high * (0.12 + 0.24 * step), high * (0.26 - 0.055 * step)
            tip = low - high * 0.42
            sheet.polygon(((left - wide, low), (left, tip), (left + wide, low)), paint)
            sheet.polygon(((left, tip), (left + wide, low), (left, low)), paint.darker(0.12), opacity=0.6)


def _peak(
    sheet: Sheet, view: View, tip: tuple[float, float], base: float, tint: Colour, *, capped: bool
) -> None:
    half = (base - tip[1]) * 0.95
    sheet.polygon(((tip[0] - half, base), tip, (tip[0] + half, base)), tint.lighter(0.1))
    sheet.polygon((tip, (tip[0] + half, base), (tip[0] + half * 0.15, base)), tint.darker(0.1))
    if capped:
        down, wide = (base - tip[1]) * 0.22, half * 0.22
        points = [tip, (tip[0] + wide, tip[1] + down), (tip[0] + wide * 0.35, tip[1] + down * 0.75)]
        points += [
            (tip[0], tip[1] + down * 1.1),
            (tip[0] - wide * 0.4, tip[1] + down * 0.8),
            (tip[0] - wide, tip[1] + down),
        ]
        sheet.polygon(points, view.light.low.lighter(0.7), opacity=0.9)


def _windows(
    sheet: Sheet, view: View, chance: Chance, corner: tuple[float, float], *, wide: float, near: float
) -> None:
    lit = 0.5 if view.light.dark > 0.1 else 0.25  # noqa: PLR2004 - more lamps from dusk on
    pane, step = view.unit * 1.1, view.unit * 2.7
    columns = int((wide - pane) // step)
    rows = int((view.seen - corner[1]) // step)
    indent = (wide - (columns - 1) * step - pane) / 2
    for row in range(rows):
        for column in range(columns):
            if chance.happens(lit * (0.35 + 0.65 * near)):
                place = (corner[0] + indent + column * step, corner[1] + step * (row + 0.7))
                sheet.rect(
                    place,
                    (pane, pane * 1.3),
                    colour("ffd98a"),
                    opacity=0.3 + 0.5 * math.sqrt(view.light.dark),
                )


def _sparks(sheet: Sheet, view: View, chance: Chance) -> None:
    for _ in range(22):
        place = (chance.between(0, view.width), view.seen * chance.between(0.45, 0.95))
        sheet.glow(place, view.unit * chance.between(1.2, 2.6), colour("ffe9a0"), strength=0.9)
