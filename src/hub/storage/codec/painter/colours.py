"""Colours as the painter mixes them."""

from __future__ import annotations

from msgspec import Struct


class Colour(Struct, frozen=True):
    """Red, green and blue, 0 to 255."""

    red: float
    green: float
    blue: float

    def mixed(self, other: Colour, share: float) -> Colour:
        """Return this colour with so much (0 to 1) of another."""
        return Colour(
            self.red + (other.red - self.red) * share,
            self.green + (other.green - self.green) * share,
            self.blue + (other.blue - self.blue) * share,
        )

    def lighter(self, share: float) -> Colour:
        """Return it mixed with a warm white."""
        return self.mixed(WARM_WHITE, share)

    def darker(self, share: float) -> Colour:
        """Return it mixed with a deep violet, as shadows are."""
        return self.mixed(SHADOW, share)

    @property
    def brightness(self) -> float:
        """From 0, black, to 1, white."""
        return (0.299 * self.red + 0.587 * self.green + 0.114 * self.blue) / 255

    @property
    def css(self) -> str:
        """As SVG writes it."""
        return f"#{round(self.red):02x}{round(self.green):02x}{round(self.blue):02x}"


def colour(code: str) -> Colour:
    """Return a colour from six hexadecimal digits."""
    return Colour(*(int(code[at : at + 2], 16) for at in (0, 2, 4)))


WARM_WHITE = colour("fff6e8")
SHADOW = colour("1d1636")
INK = colour("2c2438")
