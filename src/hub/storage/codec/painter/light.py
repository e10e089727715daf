"""The light of a time of day, and the sky that gives it."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from hub.storage.codec.painter.chance import Chance
from hub.storage.codec.painter.colours import Colour, colour
from hub.storage.codec.painter.sheet import Sheet


class Light(Struct, frozen=True, kw_only=True):
    """Three colours of the sky, downwards, that of sun or moon, and how much of all is in the dark."""

    high: Colour
    middle: Colour
    low: Colour
    lamp: Colour
    dark: float

    def on(self, thing: Colour, *, far: float = 0.0) -> Colour:
        """Return how a thing looks in it; ``far``: 0 here, 1 so far away that it is all haze."""
        return thing.mixed(self.high, self.dark * 0.75).mixed(self.middle, far * 0.85)


class View(Struct, frozen=True, kw_only=True):
    """What of the picture is seen: its width, its height down to where text begins, and the whole height.

    ``from_left`` is where the light comes from, on things and on people.
    """

    width: float
    seen: float
    height: float
    light: Light
    from_left: bool

    @property
    def unit(self) -> float:
        """A length that things are measured with: a hundredth of the shorter side seen."""
        return min(self.width, self.seen) / 100


def _light(high: str, middle: str, low: str, lamp: str, dark: float) -> Light:
    return Light(high=colour(high), middle=colour(middle), low=colour(low), lamp=colour(lamp), dark=dark)


_LIGHTS: Final = {
    "dawn": (
        _light("8b9fd4", "e9b3bd", "ffe0bd", "fff1d0", 0.05),
        _light("7fb0cf", "f2c6b4", "ffeccb", "fff4d8", 0.03),
    ),
    "day": (
        _light("5aa5d8", "9fd0e8", "f3efdc", "fff8dc", 0.0),
        _light("4fa3b8", "a5d8d0", "f8f0d2", "fff8dc", 0.0),
    ),
    "dusk": (
        _light("4a3d7c", "c75f7d", "fdb777", "ffe2a6", 0.22),
        _light("36457f", "a0628f", "f79a7c", "ffd49a", 0.25),
        _light("6a3b6e", "e0706a", "ffc979", "ffedb3", 0.18),
    ),
    "night": (
        _light("0e1538", "252f6b", "5b5596", "f5efd8", 0.55),
        _light("0b2238", "1c4763", "4f7f8f", "eef3e0", 0.52),
        _light("1c1140", "41286f", "8a5590", "f8e9d6", 0.5),
    ),
    "grey": (
        _light("66788d", "9db0bd", "dadfda", "f4f4ea", 0.12),
        _light("5d6f80", "8fa5a8", "d5d8cf", "f2f2e6", 0.15),
    ),
}


def light_of(time: str, chance: Chance) -> Light:
    """Return the light of a time; there are several kinds of each."""
    return chance.one_of(_LIGHTS[time])


def sky(sheet: Sheet, view: View, chance: Chance) -> float:
    """Paint the sky with sun or moon and what else is there; return where the light stands, from left."""
    light, unit = view.light, view.unit
    fade = [(0.0, light.high, 1.0), (0.5, light.middle, 1.0), (0.85, light.low, 1.0), (1.0, light.low, 1.0)]
    sheet.rect((0, 0), (view.width, view.seen), sheet.down_fade(fade))
    sheet.rect((0, view.seen - 1), (view.width, view.height - view.seen + 1), light.low)
    left = view.width * (chance.between(0.14, 0.3) + (0.0 if view.from_left else 0.56))
    top = view.seen * chance.between(0.14, 0.3)
    size = unit * chance.between(6, 9)
    if light.dark > _NIGHT:
        _stars(sheet, view, chance)
    sheet.glow((left, top), size * 6, light.lamp, strength=0.6)
    sheet.oval((left, top), size, light.lamp, opacity=0.96)
    if light.dark > _NIGHT:  # a moon has a shade
        sheet.oval((left + size * 0.3, top - size * 0.25), size * 0.16, light.low, opacity=0.35)
        sheet.oval((left - size * 0.35, top + size * 0.3), size * 0.24, light.low, opacity=0.3)
    else:
        _clouds(sheet, view, chance)
    return left


_NIGHT: Final = 0.4


def is_night(light: Light) -> bool:
    """Tell whether lamps are on."""
    return light.dark > _NIGHT


def _stars(sheet: Sheet, view: View, chance: Chance) -> None:
    for _ in range(70):
        place = (chance.between(0, view.width), chance.between(0, view.seen * 0.7))
        sheet.oval(
            place, view.unit * chance.between(0.12, 0.42), view.light.lamp, opacity=chance.between(0.3, 0.95)
        )


def _clouds(sheet: Sheet, view: View, chance: Chance) -> None:
    paint = view.light.low.lighter(0.5)
    for _ in range(5):
        left, top = chance.between(-0.1, 1.0) * view.width, chance.between(0.05, 0.45) * view.seen
        long, high = view.unit * chance.between(16, 36), view.unit * chance.between(2.6, 4.6)
        strength = chance.between(0.2, 0.5)
        sheet.rect((left, top), (long, high), paint, radius=high / 2, opacity=strength)
        sheet.rect(
            (left + long * 0.22, top - high * 0.6),
            (long * 0.5, high),
            paint,
            radius=high / 2,
            opacity=strength,
        )
