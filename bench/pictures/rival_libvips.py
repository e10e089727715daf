"""The bare work of our image processes: what libvips itself takes in a warm process, without a hub."""

from __future__ import annotations

import sys

import msgspec
import pyvips

from bench.pictures.rivals import Work


def main() -> None:
    """Do the work that comes line by line."""
    pyvips.cache_set_max(0)
    version = ".".join(str(pyvips.version(part)) for part in range(3))
    print(f'{{"ready": "pyvips with libvips {version}"}}', flush=True)
    for line in sys.stdin:
        number = msgspec.json.decode(line)["id"]
        _encode(msgspec.json.decode(line, type=Work))
        print(f'{{"id": {number}}}', flush=True)


def _encode(work: Work) -> None:
    main_picture = pyvips.Image.thumbnail(work.source, work.box, height=work.box, size="down").copy_memory()
    thumb = main_picture.thumbnail_image(work.thumb_box, height=work.thumb_box, size="down")
    for picture, path in ((main_picture, work.main), (thumb, work.thumb)):
        picture.heifsave(path, compression="av1", Q=work.quality, effort=work.effort, bitdepth=8, keep="none")


if __name__ == "__main__":
    main()
