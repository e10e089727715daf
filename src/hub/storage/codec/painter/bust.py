"""The person on a card: a head without a face, hair and shoulders.

Drawn on a grid of its own: (0, 0) is the middle of the head, which is 2 wide and 2.5 high. Looks follow from
the name alone, so that a companion keeps them from card to card.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from hub.storage.codec.painter.chance import Chance
from hub.storage.codec.painter.colours import Colour, colour
from hub.storage.codec.painter.light import Light
from hub.storage.codec.painter.sheet import Point, Sheet

_SKINS: Final = ("f6d5bd", "eebf9d", "e0a67e", "c98a62", "a86b48", "7f4d36", "f2cbb0")
_HAIRS: Final = (
    "2b2230",
    "3d2a28",
    "5c3a2a",
    "7d4a30",
    "a8643a",
    "d29a55",
    "e6c684",
    "8e3b38",
    "b9b3b4",
    "5a4a78",
)
_BLOOD: Final = colour("5e2536")
_OUTLINE_DOWN: Final = 9.0  # so far clothes go down; text or the rim hides the end

Draw = Callable[[Sheet, "Looks"], None]


class Looks(Struct, frozen=True, kw_only=True):
    """Colours of skin, hair and clothes in the light of the card, how hair and clothes are cut."""

    skin: Colour
    hair: Colour
    dye: Colour
    style: str
    cut: str
    parting: float


def looks_of(name: str, cut: str, dye: Colour, light: Light) -> Looks:
    """Return how somebody of this name looks in these clothes and this light."""
    chance = Chance("looks", name)
    skin, hair = colour(chance.one_of(_SKINS)), colour(chance.one_of(_HAIRS))
    dim = light.dark * 0.32
    return Looks(
        skin=skin.mixed(light.middle, 0.04 + dim * 0.5),
        hair=hair.mixed(light.high, dim * 0.6),
        dye=dye.mixed(light.high, dim),
        style=chance.one_of(tuple(_STYLES)),
        cut=cut,
        parting=chance.between(0.15, 0.5) * chance.one_of((-1, 1)),
    )


def bust(sheet: Sheet, looks: Looks, middle: Point, size: float, *, lit_from_left: bool) -> None:
    """Paint somebody; ``size``: half the width of the head in pixels."""
    back, front = _STYLES[looks.style]
    flip = 1 if lit_from_left else -1
    sheet.add(
        f'<g transform="translate({middle[0]:.2f} {middle[1]:.2f}) scale({size * flip:.4f} {size:.4f})">'
    )
    back(sheet, looks)
    _neck(sheet, looks)
    _clothes(sheet, looks)
    _head(sheet, looks)
    front(sheet, looks)
    sheet.add("</g>")


def _head(sheet: Sheet, looks: Looks) -> None:
    skin = looks.skin
    for side in (-1, 1):
        sheet.oval((side * 1.0, 0.18), 0.17, _shaded(skin, 0.12), tall=1.45)
    shape = "M-1 -.2C-1 -1.7 1 -1.7 1 -.2C1 .75 .52 1.36 0 1.36C-.52 1.36 -1 .75 -1 -.2Z"
    fade = sheet.down_fade(
        [(0, skin.lighter(0.22), 1), (0.55, skin, 1), (1, _shaded(skin, 0.14), 1)], sideways=0.72
    )
    sheet.path(shape, fade)
    for side in (-1, 1):
        sheet.glow(
            (side * 0.56, 0.46),
            0.34,
            skin.mixed(colour("e8604f"), 0.55),
            strength=0.12 + 0.3 * skin.brightness,
            tall=0.8,
        )


def _shaded(skin: Colour, share: float) -> Colour:
    """Return skin in the shade: warmer than the shadow of things."""
    return skin.mixed(_BLOOD, share)


def _neck(sheet: Sheet, looks: Looks) -> None:
    skin = looks.skin
    fade = sheet.down_fade([(0.0, _shaded(skin, 0.3), 1), (0.5, _shaded(skin, 0.2), 1), (1, skin, 1)])
    sheet.path("M-.46 .6H.46V1.5C.5 2 1.1 2.15 1.5 2.3L1.2 4.4H-1.2L-1.5 2.3C-1.1 2.15 -.5 2 -.46 1.5Z", fade)


def _clothes(sheet: Sheet, looks: Looks) -> None:
    dye = looks.dye
    cloth = sheet.down_fade([(0, dye.lighter(0.2), 1), (0.4, dye, 1), (1, dye.darker(0.25), 1)], sideways=0.4)
    neckline = _NECKLINES[looks.cut]
    sheet.path(
        f"M-1.06 1.92C-1.9 2.14 -2.62 2.36 -2.86 3.3C-3.05 4.1 -3.2 6 -3.25 {_OUTLINE_DOWN}H3.25"
        f"C3.2 6 3.05 4.1 2.86 3.3C2.62 2.36 1.9 2.14 1.06 1.92{neckline}Z",
        cloth,
    )
    for side in (-1, 1):  # where the arms begin
        sheet.line(
            f"M{side * 2.02} 4.1C{side * 2.1} 4.8 {side * 2.08} 5.6 {side * 2.12} 7",
            dye.darker(0.34),
            0.05,
            opacity=0.7,
        )
    _TRIMS[looks.cut](sheet, looks)


_NECKLINES: Final = {
    "round": "C.9 2.75 -.9 2.75 -1.06 1.92",
    "high": "L.62 1.5C.3 1.7 -.3 1.7 -.62 1.5L-1.06 1.92",
    "collar": "L0 3.3L-1.06 1.92",
    "hood": "C.8 2.6 -.8 2.6 -1.06 1.92",
    "straps": "L1.2 2.9C.9 3.75 -.9 3.75 -1.2 2.9L-1.06 1.92",
}


def _trim_round(sheet: Sheet, looks: Looks) -> None:
    sheet.line("M1.06 1.94C.9 2.76 -.9 2.76 -1.06 1.94", looks.dye.darker(0.2), 0.1)


def _trim_high(sheet: Sheet, looks: Looks) -> None:
    band = sheet.down_fade([(0, looks.dye.lighter(0.25), 1), (1, looks.dye.darker(0.16), 1)])
    sheet.path(
        "M-.52 1.2C-.3 1.44 .3 1.44 .52 1.2C.7 1.2 .74 1.4 .8 2.02C.4 2.34 -.4 2.34 -.8 2.02C-.74 1.4 -.7 1.2 -.52 1.2Z",
        band,
    )
    for step in range(-3, 4):
        sheet.line(
            f"M{step * 0.18} {1.52 - abs(step) * 0.05}L{step * 0.21} {2.1 - abs(step) * 0.03}",
            looks.dye.darker(0.3),
            0.025,
            opacity=0.6,
        )


def _trim_collar(sheet: Sheet, looks: Looks) -> None:
    shirt = looks.dye.lighter(0.72) if looks.dye.brightness < 0.75 else looks.dye.darker(0.3)  # noqa: PLR2004
    for side in (-1, 1):
        sheet.path(f"M{side * 0.5} 1.5L{side * 1.1} 1.9L{side * 0.86} 2.75L0 3.3Z", shirt)
        sheet.path(
            f"M{side * 1.06} 1.9L{side * 1.56} 2.5L{side * 1.12} 2.72L{side * 1.2} 3L0 4.5V3.3Z",
            looks.dye.darker(0.18),
        )
    for down in (5.0, 5.9):
        sheet.oval((0.0, down), 0.07, looks.dye.darker(0.45))


def _trim_hood(sheet: Sheet, looks: Looks) -> None:
    dye = looks.dye
    for side in (-1, 1):
        sheet.path(
            f"M{side * 1.0} 1.5C{side * 1.7} 1.7 {side * 1.75} 2.4 {side * 0.9} 2.85C{side * 0.5} 3.05 {side * 0.2} 3.1 0 3.1"
            f"C{side * 0.5} 2.7 {side * 0.9} 2.2 {side * 1.0} 1.5Z",
            dye.darker(0.16),
        )
        sheet.line(
            f"M{side * 0.36} 2.98C{side * 0.42} 3.4 {side * 0.36} 3.8 {side * 0.4} 4.2",
            dye.lighter(0.7),
            0.07,
        )


def _trim_straps(sheet: Sheet, looks: Looks) -> None:
    sheet.line("M1.2 2.9C.9 3.75 -.9 3.75 -1.2 2.9", looks.dye.lighter(0.4), 0.06)
    sheet.line("M-.62 1.9C-.4 2.5 .4 2.5 .62 1.9", colour("f0cf7a"), 0.035, opacity=0.9)
    sheet.oval((0, 2.39), 0.08, colour("f0cf7a"))


_TRIMS: Final[dict[str, Draw]] = {
    "round": _trim_round,
    "high": _trim_high,
    "collar": _trim_collar,
    "hood": _trim_hood,
    "straps": _trim_straps,
}


def _no_back(sheet: Sheet, looks: Looks) -> None:
    """Short hair does not show behind the head."""


def _fringe(sheet: Sheet, looks: Looks, *, low: float = -0.02, full: float = 1.0) -> None:
    """Paint the hair over the forehead, parted, with a shine."""
    part, hair = looks.parting, looks.hair
    fade = sheet.down_fade(
        [(0, hair.lighter(0.2), 1), (0.6, hair, 1), (1, hair.darker(0.2), 1)], sideways=0.4
    )
    out = 1.08 * full
    sheet.path(
        f"M-1.04 {low + 0.3:.2f}C-{out + 0.16:.2f} -.5 -{out:.2f} -1.62 0 -1.62C{out:.2f} -1.62 {out + 0.16:.2f} -.5 "
        f"1.04 {low + 0.3:.2f}C1.02 {low - 0.2:.2f} .86 {low - 0.46:.2f} {part + 0.34:.2f} {low - 0.62:.2f}"
        f"C{part + 0.16:.2f} {low - 0.72:.2f} {part + 0.04:.2f} {low - 0.86:.2f} {part:.2f} {low - 0.98:.2f}"
        f"C{part - 0.06:.2f} {low - 0.72:.2f} -.84 {low - 0.6:.2f} -1.04 {low + 0.3:.2f}Z",
        fade,
    )
    sheet.line("M-.78 -.86C-.62 -1.2 -.3 -1.36 .06 -1.4", hair.lighter(0.5), 0.07, opacity=0.4)


def _long_back(sheet: Sheet, looks: Looks) -> None:
    fade = sheet.down_fade([(0, looks.hair, 1), (1, looks.hair.darker(0.35), 1)])
    sheet.path(
        "M0 -1.64C1.3 -1.64 1.44 -.5 1.4 .5C1.36 1.6 1.9 2.4 1.62 3.8C1.2 4.5 -1.2 4.5 -1.62 3.8"
        "C-1.9 2.4 -1.36 1.6 -1.4 .5C-1.44 -.5 -1.3 -1.64 0 -1.64Z",
        fade,
    )


def _long_front(sheet: Sheet, looks: Looks) -> None:
    hair = looks.hair
    for side in (-1, 1):
        lock = sheet.down_fade([(0, hair.lighter(0.1), 1), (1, hair.darker(0.15), 1)])
        sheet.path(
            f"M{side * 0.9} -.7C{side * 1.36} -.2 {side * 1.24} .8 {side * 1.16} 1.5C{side * 1.1} 2.3 {side * 1.6} 2.9 {side * 1.2} 3.9"
            f"C{side * 1.75} 3.4 {side * 1.72} 2.4 {side * 1.52} 1.7C{side * 1.4} 1 {side * 1.6} -.4 {side * 0.9} -1.2Z",
            lock,
        )
    _fringe(sheet, looks, low=0.0, full=1.1)


def _bob_back(sheet: Sheet, looks: Looks) -> None:
    fade = sheet.down_fade([(0, looks.hair, 1), (1, looks.hair.darker(0.35), 1)])
    sheet.path(
        "M0 -1.66C1.5 -1.66 1.52 -.4 1.5 .4C1.48 1.1 1.42 1.5 1.02 1.62C.5 1.74 -.5 1.74 -1.02 1.62"
        "C-1.42 1.5 -1.48 1.1 -1.5 .4C-1.52 -.4 -1.5 -1.66 0 -1.66Z",
        fade,
    )


def _bob_front(sheet: Sheet, looks: Looks) -> None:
    hair = looks.hair
    for side in (-1, 1):
        side_fade = sheet.down_fade([(0, hair.lighter(0.08), 1), (1, hair.darker(0.1), 1)])
        sheet.path(
            f"M{side * 0.8} -1C{side * 1.6} -.6 {side * 1.54} .3 {side * 1.5} .8C{side * 1.46} 1.3 {side * 1.3} 1.56 {side * 0.94} 1.58"
            f"C{side * 1.1} 1.1 {side * 1.06} .5 {side * 1.0} .1C{side * 0.98} -.2 {side * 0.9} -.6 {side * 0.8} -1Z",
            side_fade,
        )
    _fringe(sheet, looks, low=0.06, full=1.14)


def _short_front(sheet: Sheet, looks: Looks) -> None:
    part, hair = (1 if looks.parting > 0 else -1), looks.hair
    fade = sheet.down_fade([(0, hair.lighter(0.22), 1), (1, hair.darker(0.12), 1)], sideways=0.4)
    sheet.path(
        f"M{-part * 1.04} .2C{-part * 1.16} -.4 {-part * 1.22} -1.1 {-part * 0.8} -1.5C{-part * 0.3} -2 {part * 0.7} -1.9 {part * 1.0} -1.4"
        f"C{part * 1.26} -1 {part * 1.14} -.3 {part * 1.04} .2C{part * 0.98} -.1 {part * 0.94} -.4 {part * 0.82} -.66"
        f"C{part * 0.3} -.5 {-part * 0.5} -.6 {-part * 0.76} -.86C{-part * 0.94} -.5 {-part * 0.98} -.2 {-part * 1.04} .2Z",
        fade,
    )
    sheet.line(
        f"M{-part * 0.7} -1.2C{-part * 0.3} -1.6 {part * 0.3} -1.62 {part * 0.66} -1.36",
        hair.lighter(0.5),
        0.06,
        opacity=0.4,
    )


def _bun_back(sheet: Sheet, looks: Looks) -> None:
    hair = looks.hair
    knot = sheet.down_fade([(0, hair.lighter(0.25), 1), (1, hair.darker(0.2), 1)], sideways=0.4)
    sheet.oval((0, -1.86), 0.62, knot, tall=0.92)
    sheet.line("M-.34 -1.98C-.16 -2.2 .2 -2.2 .36 -1.96", hair.lighter(0.45), 0.05, opacity=0.5)
    sheet.oval((0, -0.3), 1.14, hair.darker(0.3), tall=1.12)


def _curls_back(sheet: Sheet, looks: Looks) -> None:
    hair = looks.hair.darker(0.22)
    for x, y, size in (
        (-1.15, -0.9, 0.62), (1.15, -0.9, 0.62), (-1.38, -0.1, 0.6), (1.38, -0.1, 0.6), (-1.35, 0.7, 0.55),
        (1.35, 0.7, 0.55), (-1.1, 1.3, 0.45), (1.1, 1.3, 0.45), (-0.5, -1.45, 0.62), (0.5, -1.45, 0.62),
    ):  # fmt: skip
        sheet.oval((x, y), size, hair)
    sheet.oval((0, -0.3), 1.3, hair, tall=1.05)


def _curls_front(sheet: Sheet, looks: Looks) -> None:
    hair = looks.hair
    curl = sheet.down_fade([(0, hair.lighter(0.2), 1), (1, hair.darker(0.12), 1)], sideways=0.4)
    for x, y, size in (
        (-1.02, -0.35, 0.3), (1.02, -0.35, 0.3), (-0.86, -0.78, 0.4), (0.86, -0.78, 0.4), (-0.5, -1.08, 0.44),
        (0.5, -1.08, 0.44), (0, -1.2, 0.46), (-0.74, -1.36, 0.42), (0.74, -1.36, 0.42), (0, -1.62, 0.44),
    ):  # fmt: skip
        sheet.oval((x, y), size, curl)


def _tail_back(sheet: Sheet, looks: Looks) -> None:
    hair = looks.hair
    fade = sheet.down_fade([(0, hair.lighter(0.1), 1), (1, hair.darker(0.3), 1)])
    sheet.path(
        "M.5 -1.5C1.7 -1.9 2.3 -.8 2.05 .3C1.9 1.1 2 1.8 2.3 2.4C1.5 2.2 1.2 1.4 1.3 .5C1.36 -.2 1.2 -.8 .5 -1.1Z",
        fade,
    )
    sheet.oval((0, -0.3), 1.12, hair.darker(0.3), tall=1.12)
    sheet.oval((0.98, -1.24), 0.17, looks.dye.lighter(0.2))


def _plain_front(sheet: Sheet, looks: Looks) -> None:
    _fringe(sheet, looks)


_STYLES: Final[dict[str, tuple[Draw, Draw]]] = {
    "long": (_long_back, _long_front),
    "bob": (_bob_back, _bob_front),
    "short": (_no_back, _short_front),
    "bun": (_bun_back, _plain_front),
    "curls": (_curls_back, _curls_front),
    "tail": (_tail_back, _plain_front),
}
