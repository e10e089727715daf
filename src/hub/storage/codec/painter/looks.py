"""How somebody looks: from the name alone, so that a companion keeps its looks from card to card."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from hub.storage.codec.painter.chance import Chance
from hub.storage.codec.painter.colours import Colour, colour
from hub.storage.codec.painter.hair import STYLES
from hub.storage.codec.painter.light import Light

_SKINS: Final = ("f6d5bd", "eebf9d", "e0a67e", "c98a62", "a86b48", "7f4d36", "f2cbb0")
_HAIRS: Final = (
    "2b2230", "3d2a28", "5c3a2a", "7d4a30", "a8643a", "d29a55", "e6c684", "8e3b38", "b9b3b4", "5a4a78",
)  # fmt: skip


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
        style=chance.one_of(STYLES),
        cut=cut,
        parting=chance.between(0.15, 0.5) * chance.one_of((-1, 1)),
    )
