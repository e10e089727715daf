"""The same work with Pillow, as its own documentation does it."""

from __future__ import annotations

import sys

import msgspec
import PIL
from PIL import Image, ImageOps, features

from bench.pictures.rivals import Work

#: libvips' effort 0 is libaom's speed 9.
_FASTEST = 9


def main() -> None:
    """Do the work that comes line by line."""
    libraries = f"libjpeg-turbo {features.version('libjpeg_turbo')}, libavif {features.version('avif')}"
    print(f'{{"ready": "Pillow {PIL.__version__} with {libraries}"}}', flush=True)
    for line in sys.stdin:
        number = msgspec.json.decode(line)["id"]
        _encode(msgspec.json.decode(line, type=Work))
        print(f'{{"id": {number}}}', flush=True)


def _encode(work: Work) -> None:
    with Image.open(work.source) as opened:
        picture = ImageOps.exif_transpose(_fitted(opened, work)).convert("RGB")
    thumb = picture.copy()
    thumb.thumbnail((work.thumb_box, work.thumb_box))
    for each, path in ((picture, work.main), (thumb, work.thumb)):
        each.save(
            path, "AVIF", quality=work.quality, speed=_FASTEST - work.effort, codec="aom", max_threads=1
        )


def _fitted(opened: Image.Image, work: Work) -> Image.Image:
    if work.contain:
        return ImageOps.contain(opened, (work.box, work.box))
    # This one lets the JPEG decoder shrink to no less than twice the size.
    opened.thumbnail((work.box, work.box))
    return opened


if __name__ == "__main__":
    main()
