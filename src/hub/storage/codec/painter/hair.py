"""Hair, on the grid of the head: what is behind the head, and what is before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hub.storage.codec.painter.colours import Colour
from hub.storage.codec.painter.sheet import Sheet

_SIDES: Final = ("scale(1 1)", "scale(-1 1)")
_LONG_BACK: Final = (
    "M0 -1.64C1.3 -1.64 1.44 -.5 1.4 .5C1.36 1.6 1.9 2.4 1.62 3.8C1.2 4.5 -1.2 4.5 -1.62 3.8"
    "C-1.9 2.4 -1.36 1.6 -1.4 .5C-1.44 -.5 -1.3 -1.64 0 -1.64Z"
)
_LONG_LOCK: Final = (
    "M.9 -.7C1.36 -.2 1.24 .8 1.16 1.5C1.1 2.3 1.6 2.9 1.2 3.9C1.75 3.4 1.72 2.4 1.52 1.7"
    "C1.4 1 1.6 -.4 .9 -1.2Z"
)
_BOB_BACK: Final = (
    "M0 -1.66C1.5 -1.66 1.52 -.4 1.5 .4C1.48 1.1 1.42 1.5 1.02 1.62C.5 1.74 -.5 1.74 -1.02 1.62"
    "C-1.42 1.5 -1.48 1.1 -1.5 .4C-1.52 -.4 -1.5 -1.66 0 -1.66Z"
)
_BOB_SIDE: Final = (
    "M.8 -1C1.6 -.6 1.54 .3 1.5 .8C1.46 1.3 1.3 1.56 .94 1.58C1.1 1.1 1.06 .5 1 .1C.98 -.2 .9 -.6 .8 -1Z"
)
_SHORT: Final = (
    "M-1.04 .2C-1.16 -.4 -1.22 -1.1 -.8 -1.5C-.3 -2 .7 -1.9 1 -1.4C1.26 -1 1.14 -.3 1.04 .2"
    "C.98 -.1 .94 -.4 .82 -.66C.3 -.5 -.5 -.6 -.76 -.86C-.94 -.5 -.98 -.2 -1.04 .2Z"
)
_TAIL: Final = (
    "M.5 -1.5C1.7 -1.9 2.3 -.8 2.05 .3C1.9 1.1 2 1.8 2.3 2.4C1.5 2.2 1.2 1.4 1.3 .5C1.36 -.2 1.2 -.8 .5 -1.1Z"
)
_CURLS_BEHIND: Final = (  # of the right half: x, y, size
    (1.15, -0.9, 0.62), (1.38, -0.1, 0.6), (1.35, 0.7, 0.55), (1.1, 1.3, 0.45), (0.5, -1.45, 0.62),
)  # fmt: skip
_CURLS_BEFORE: Final = ((1.02, -0.35, 0.3), (0.86, -0.78, 0.4), (0.5, -1.08, 0.44), (0.74, -1.36, 0.42))


def behind(sheet: Sheet, style: str, hair: Colour) -> None:
    """Paint what the head will hide in part."""
    _STYLES[style][0](sheet, hair)


def before(sheet: Sheet, style: str, hair: Colour, parting: float) -> None:
    """Paint what hides the head in part; ``parting`` is where hair is parted, -0.5 to 0.5."""
    _STYLES[style][1](sheet, hair, parting)


def _downwards(sheet: Sheet, hair: Colour) -> str:
    return sheet.down_fade([(0, hair.lighter(0.06), 1), (1, hair.darker(0.33), 1)])


def _shining(sheet: Sheet, hair: Colour) -> str:
    fade = [(0, hair.lighter(0.2), 1), (0.6, hair, 1), (1, hair.darker(0.16), 1)]
    return sheet.down_fade(fade, sideways=0.4)


def _none_behind(sheet: Sheet, hair: Colour) -> None:
    """Short hair does not show behind the head."""


def _short(sheet: Sheet, hair: Colour, parting: float) -> None:
    with sheet.moved(_SIDES[parting < 0]):
        sheet.path(_SHORT, _shining(sheet, hair))
        sheet.line("M-.7 -1.2C-.3 -1.6 .3 -1.62 .66 -1.36", hair.lighter(0.5), 0.06, opacity=0.4)


def _fringe(sheet: Sheet, hair: Colour, parting: float, *, low: float = -0.02, full: float = 1.08) -> None:
    """Paint the hair over the forehead: it ends at ``low`` on both sides and is ``full`` wide."""
    end, outer, part = low + 0.3, full + 0.16, parting
    way = (
        f"M-1.04 {end:.2f}C-{outer:.2f} -.5 -{full:.2f} -1.62 0 -1.62"
        f"C{full:.2f} -1.62 {outer:.2f} -.5 1.04 {end:.2f}"
        f"C1.02 {low - 0.2:.2f} .86 {low - 0.46:.2f} {part + 0.34:.2f} {low - 0.62:.2f}"
        f"C{part + 0.16:.2f} {low - 0.72:.2f} {part + 0.04:.2f} {low - 0.86:.2f} {part:.2f} {low - 0.98:.2f}"
        f"C{part - 0.06:.2f} {low - 0.72:.2f} -.84 {low - 0.6:.2f} -1.04 {end:.2f}Z"
    )
    sheet.path(way, _shining(sheet, hair))
    sheet.line("M-.78 -.86C-.62 -1.2 -.3 -1.36 .06 -1.4", hair.lighter(0.5), 0.07, opacity=0.4)


def _long_behind(sheet: Sheet, hair: Colour) -> None:
    sheet.path(_LONG_BACK, _downwards(sheet, hair))


def _long(sheet: Sheet, hair: Colour, parting: float) -> None:
    for side in _SIDES:
        with sheet.moved(side):
            sheet.path(_LONG_LOCK, _downwards(sheet, hair.lighter(0.06)))
    _fringe(sheet, hair, parting, low=0.0, full=1.19)


def _bob_behind(sheet: Sheet, hair: Colour) -> None:
    sheet.path(_BOB_BACK, _downwards(sheet, hair))


def _bob(sheet: Sheet, hair: Colour, parting: float) -> None:
    for side in _SIDES:
        with sheet.moved(side):
            sheet.path(_BOB_SIDE, _downwards(sheet, hair.lighter(0.1)))
    _fringe(sheet, hair, parting, low=0.06, full=1.23)


def _bun_behind(sheet: Sheet, hair: Colour) -> None:
    sheet.oval((0, -1.86), 0.62, _shining(sheet, hair), tall=0.92)
    sheet.line("M-.34 -1.98C-.16 -2.2 .2 -2.2 .36 -1.96", hair.lighter(0.45), 0.05, opacity=0.5)
    sheet.oval((0, -0.3), 1.14, hair.darker(0.3), tall=1.12)


def _curls_behind(sheet: Sheet, hair: Colour) -> None:
    dark = hair.darker(0.22)
    for side in (-1, 1):
        for x, y, size in _CURLS_BEHIND:
            sheet.oval((side * x, y), size, dark)
    sheet.oval((0, -0.3), 1.3, dark, tall=1.05)


def _curls(sheet: Sheet, hair: Colour, _parting: float) -> None:
    curl = _shining(sheet, hair)
    for x, y, size in _CURLS_BEFORE:
        for side in (-1, 1):
            sheet.oval((side * x, y), size, curl)
    sheet.oval((0, -1.2), 0.46, curl)
    sheet.oval((0, -1.62), 0.44, curl)


def _tail_behind(sheet: Sheet, hair: Colour) -> None:
    sheet.path(_TAIL, _downwards(sheet, hair))
    sheet.oval((0, -0.3), 1.12, hair.darker(0.3), tall=1.12)
    sheet.oval((0.98, -1.24), 0.17, hair.lighter(0.7))


_STYLES: Final[dict[str, tuple[Callable[[Sheet, Colour], None], Callable[[Sheet, Colour, float], None]]]] = {
    "long": (_long_behind, _long),
    "bob": (_bob_behind, _bob),
    "short": (_none_behind, _short),
    "bun": (_bun_behind, _fringe),
    "curls": (_curls_behind, _curls),
    "tail": (_tail_behind, _fringe),
}
STYLES: Final = tuple(_STYLES)
