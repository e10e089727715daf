"""The person on a card: a head without a face, hair and shoulders.

Drawn on a grid of its own: (0, 0) is the middle of the head, which is 2 wide and 2.5 high.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hub.storage.codec.painter import hair
from hub.storage.codec.painter.colours import Colour, colour
from hub.storage.codec.painter.looks import Looks
from hub.storage.codec.painter.sheet import Point, Sheet

_SIDES: Final = ("scale(1 1)", "scale(-1 1)")
_BLOOD: Final = colour("5e2536")
_BLUSH: Final = colour("e8604f")
_GOLD: Final = colour("f0cf7a")
_BRIGHT: Final = 0.75  # clothes that are brighter have a shirt below that is darker
_HEAD: Final = "M-1 -.2C-1 -1.7 1 -1.7 1 -.2C1 .75 .52 1.36 0 1.36C-.52 1.36 -1 .75 -1 -.2Z"
_NECK: Final = "M-.46 .6H.46V1.5C.5 2 1.1 2.15 1.5 2.3L1.2 4.4H-1.2L-1.5 2.3C-1.1 2.15 -.5 2 -.46 1.5Z"
_LEFT_SHOULDER: Final = "M-1.06 1.92C-1.9 2.14 -2.62 2.36 -2.86 3.3C-3.05 4.1 -3.2 6 -3.25 9"
_RIGHT_SHOULDER: Final = "H3.25C3.2 6 3.05 4.1 2.86 3.3C2.62 2.36 1.9 2.14 1.06 1.92"
_NECKLINES: Final = {
    "round": "C.9 2.75 -.9 2.75 -1.06 1.92Z",
    "high": "L.62 1.5C.3 1.7 -.3 1.7 -.62 1.5L-1.06 1.92Z",
    "collar": "L0 3.3L-1.06 1.92Z",
    "hood": "C.8 2.6 -.8 2.6 -1.06 1.92Z",
    "straps": "L1.2 2.9C.9 3.75 -.9 3.75 -1.2 2.9L-1.06 1.92Z",
}


def bust(sheet: Sheet, looks: Looks, middle: Point, size: float, *, lit_from_left: bool) -> None:
    """Paint somebody; ``size``: half the width of the head in pixels."""
    wide = size if lit_from_left else -size
    with sheet.moved(f"translate({middle[0]:.2f} {middle[1]:.2f}) scale({wide:.4f} {size:.4f})"):
        hair.behind(sheet, looks.style, looks.hair)
        _neck(sheet, looks.skin)
        _clothes(sheet, looks)
        _head(sheet, looks.skin)
        hair.before(sheet, looks.style, looks.hair, looks.parting)


def _shaded(skin: Colour, share: float) -> Colour:
    """Return skin in the shade: warmer than the shadow of things."""
    return skin.mixed(_BLOOD, share)


def _head(sheet: Sheet, skin: Colour) -> None:
    for side in (-1, 1):
        sheet.oval((side * 1.0, 0.18), 0.17, _shaded(skin, 0.12), tall=1.45)
    fade = [(0, skin.lighter(0.22), 1), (0.55, skin, 1), (1, _shaded(skin, 0.14), 1)]
    sheet.path(_HEAD, sheet.down_fade(fade, sideways=0.72))
    for side in (-1, 1):
        sheet.glow((side * 0.56, 0.46), 0.34, skin.mixed(_BLUSH, 0.55), strength=0.12 + 0.3 * skin.brightness)


def _neck(sheet: Sheet, skin: Colour) -> None:
    fade = [(0.0, _shaded(skin, 0.3), 1), (0.5, _shaded(skin, 0.2), 1), (1, skin, 1)]
    sheet.path(_NECK, sheet.down_fade(fade))


def _clothes(sheet: Sheet, looks: Looks) -> None:
    dye = looks.dye
    cloth = sheet.down_fade([(0, dye.lighter(0.2), 1), (0.4, dye, 1), (1, dye.darker(0.25), 1)], sideways=0.4)
    sheet.path(_LEFT_SHOULDER + _RIGHT_SHOULDER + _NECKLINES[looks.cut], cloth)
    for side in _SIDES:  # where the arms begin
        with sheet.moved(side):
            sheet.line("M2.02 4.1C2.1 4.8 2.08 5.6 2.12 7", dye.darker(0.34), 0.05, opacity=0.7)
    _TRIMS[looks.cut](sheet, dye)


def _trim_round(sheet: Sheet, dye: Colour) -> None:
    sheet.line("M1.06 1.94C.9 2.76 -.9 2.76 -1.06 1.94", dye.darker(0.2), 0.1)


def _trim_high(sheet: Sheet, dye: Colour) -> None:
    band = sheet.down_fade([(0, dye.lighter(0.25), 1), (1, dye.darker(0.16), 1)])
    right = "M-.52 1.2C-.3 1.44 .3 1.44 .52 1.2C.7 1.2 .74 1.4 .8 2.02"
    sheet.path(right + "C.4 2.34 -.4 2.34 -.8 2.02C-.74 1.4 -.7 1.2 -.52 1.2Z", band)
    for step in range(-3, 4):
        top, low = 1.52 - abs(step) * 0.05, 2.1 - abs(step) * 0.03
        rib = f"M{step * 0.18:.2f} {top:.2f}L{step * 0.21:.2f} {low:.2f}"
        sheet.line(rib, dye.darker(0.3), 0.025, opacity=0.6)


def _trim_collar(sheet: Sheet, dye: Colour) -> None:
    shirt = dye.darker(0.3) if dye.brightness > _BRIGHT else dye.lighter(0.72)
    for side in _SIDES:
        with sheet.moved(side):
            sheet.path("M.5 1.5L1.1 1.9L.86 2.75L0 3.3Z", shirt)
            sheet.path("M1.06 1.9L1.56 2.5L1.12 2.72L1.2 3L0 4.5V3.3Z", dye.darker(0.18))
    for down in (5.0, 5.9):
        sheet.oval((0.0, down), 0.07, dye.darker(0.45))


def _trim_hood(sheet: Sheet, dye: Colour) -> None:
    for side in _SIDES:
        with sheet.moved(side):
            fold = "M1 1.5C1.7 1.7 1.75 2.4 .9 2.85C.5 3.05 .2 3.1 0 3.1C.5 2.7 .9 2.2 1 1.5Z"
            sheet.path(fold, dye.darker(0.16))
            sheet.line("M.36 2.98C.42 3.4 .36 3.8 .4 4.2", dye.lighter(0.7), 0.07)


def _trim_straps(sheet: Sheet, dye: Colour) -> None:
    sheet.line("M1.2 2.9C.9 3.75 -.9 3.75 -1.2 2.9", dye.lighter(0.4), 0.06)
    sheet.line("M-.62 1.9C-.4 2.5 .4 2.5 .62 1.9", _GOLD, 0.035, opacity=0.9)
    sheet.oval((0, 2.39), 0.08, _GOLD)


_TRIMS: Final[dict[str, Callable[[Sheet, Colour], None]]] = {
    "round": _trim_round,
    "high": _trim_high,
    "collar": _trim_collar,
    "hood": _trim_hood,
    "straps": _trim_straps,
}
