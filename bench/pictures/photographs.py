"""The pictures that are measured with: made of photographs that scikit-image ships.

Nothing of scikit-image is imported: its photographs are read from where it is installed. The astronaut
(NASA), the Hubble deep field (NASA and ESA) and the rocket (SpaceX) are in the public domain, the cup of
coffee (Rachel Michetti) and the cat (Stefan van der Walt) are CC0; the motorcycle is of the Middlebury stereo
benchmark of 2014.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

from pyvips import Image

SIDE = 1024
LARGE_WIDTH, LARGE_HEIGHT = 6000, 4000
_LARGE_ACROSS = 6


class Cut(NamedTuple):
    """A square of a photograph that has its mirror images beside and below it, in pixels."""

    photograph: str
    left: int
    top: int
    side: int


#: Enlarged to ``SIDE``, each has the detail of a picture out of an image model: 1.0 to 1.6 MB as PNG, 1.4 MB
#: on average.
CUTS = (
    Cut("astronaut.png", 0, 0, 750),
    Cut("astronaut.png", 262, 0, 720),
    Cut("astronaut.png", 150, 250, 770),
    Cut("coffee.png", 100, 0, 400),
    Cut("coffee.png", 300, 200, 440),
    Cut("coffee.png", 500, 100, 420),
    Cut("motorcycle_left.png", 100, 0, 560),
    Cut("motorcycle_left.png", 400, 150, 600),
    Cut("motorcycle_left.png", 741, 200, 600),
    Cut("hubble_deep_field.jpg", 300, 250, 440),
    Cut("rocket.jpg", 213, 0, 750),
    Cut("chelsea.png", 100, 0, 600),
)


class NoPhotographsError(Exception):
    """scikit-image is not installed."""


def pictures(folder: Path) -> list[Path]:
    """Write twelve PNG files of 1024 x 1024 pixels, as well packed as image programs do it."""
    made = []
    for number, cut in enumerate(CUTS):
        path = folder / f"{number:02}.png"
        _enlarged(cut).pngsave(str(path), filter="all", keep="none")
        made.append(path)
    return made


def picture(number: int) -> Image:
    """Return one of these pictures, not written yet."""
    return _enlarged(CUTS[number])


def large_jpeg(folder: Path, *, quality: int = 90) -> Path:
    """Write a JPEG of 24 megapixels as cameras make them, of the twelve pictures side by side."""
    tiles = [_enlarged(cut) for cut in CUTS]
    joined = Image.arrayjoin([*tiles, *reversed(tiles)], across=_LARGE_ACROSS)
    path = folder / "large.jpg"
    joined.crop(0, 0, LARGE_WIDTH, LARGE_HEIGHT).jpegsave(str(path), Q=quality, keep="none")
    return path


def variation(picture: Path, number: int) -> Image:
    """Return another picture of the same kind and detail: one of many for each picture, no two the same."""
    image = Image.new_from_file(str(picture))
    turned = image if number % 2 == 0 else image.fliphor()
    shift = 61 * (number // 2) % image.width
    return turned.wrap(x=shift, y=shift // 2).copy_memory()


def _enlarged(cut: Cut) -> Image:
    photograph = Image.new_from_file(str(_photographs() / cut.photograph)).colourspace("srgb")
    beside = photograph.join(photograph.fliphor(), "horizontal")
    mirrored = beside.join(beside.flipver(), "vertical").copy_memory()
    square = mirrored.crop(cut.left, cut.top, cut.side, cut.side)
    return square.thumbnail_image(SIDE, height=SIDE, size="force").copy_memory()


def _photographs() -> Path:
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise NoPhotographsError("scikit-image is not installed; `make bench` installs it")
    return Path(package.origin).parent / "data"
