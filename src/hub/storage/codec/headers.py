"""What a picture says of itself, checked before anything of it is decoded."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pyvips

from hub.storage.codec.errors import TooManyPixelsError, UnreadableImageError
from hub.storage.codec.sniff import PNG_SIGNATURE

MAX_SIDE = 16_384
MAX_PIXELS = 40_000_000
# Progressive JPEG and interlaced PNG cannot be read in rows: all of it stands in memory at once, as two
# bytes a sample (JPEG) or as the pixels themselves (PNG). The usual ones fit with 40 megapixels; JPEG without
# chroma subsampling and RGB with 16 bits up to 33, CMYK and RGBA with 16 bits up to 25. So a process stays
# below 300 MB whatever it reads.
MAX_HELD_BYTES = 200_000_000

_PNG_CHUNKS = 1_000  # before the first IDAT; real ones have about ten
_PNG_HEADER = struct.Struct(">II")
_PNG_CHUNK = struct.Struct(">I4s")

Read = Callable[[int, int], bytes]


def check_png(read: Read) -> None:
    """Look at what libvips does not tell: the size it refuses to open at all, and whether it moves.

    Args:
        read: gives so many bytes from a position.

    Raises:
        TooManyPixelsError, UnreadableImageError: it is not taken.
    """
    for kind, start in _png_chunks(read):
        if kind == b"IHDR":
            size = read(start, _PNG_HEADER.size)
            if len(size) == _PNG_HEADER.size:
                check_size(*_PNG_HEADER.unpack(size))
        if kind == b"acTL" and read(start, 4) != b"\0\0\0\1":
            raise _moving()


def _png_chunks(read: Read) -> Iterator[tuple[bytes, int]]:
    """Yield name and place of the data of each chunk before the pixels."""
    position = len(PNG_SIGNATURE)
    for _ in range(_PNG_CHUNKS):
        head = read(position, _PNG_CHUNK.size)
        if len(head) < _PNG_CHUNK.size:
            return
        length, kind = _PNG_CHUNK.unpack(head)
        if kind == b"IDAT":
            return
        yield kind, position + _PNG_CHUNK.size
        position += _PNG_CHUNK.size + length + 4
    raise UnreadableImageError("The picture is damaged. Please save it anew, or send another one.")


def check_header(header: pyvips.Image) -> None:
    """Look at a picture that is opened but not decoded.

    Raises:
        TooManyPixelsError, UnreadableImageError: it is not taken.
    """
    check_size(header.width, header.height)
    if "n-pages" in header.get_fields() and header.get("n-pages") > 1:
        raise _moving()
    if _held_bytes(header) > MAX_HELD_BYTES:
        raise TooManyPixelsError(
            "The picture is too large for how it is saved. Please save it without the option "
            "'progressive' or 'interlaced', or with fewer pixels."
        )


def check_size(width: int, height: int) -> None:
    """Raises ``TooManyPixelsError`` for more than :data:`MAX_SIDE` or :data:`MAX_PIXELS`."""
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise TooManyPixelsError(
            f"The picture has {width:,} x {height:,} pixels. At most {MAX_PIXELS // 1_000_000} megapixels "
            f"and {MAX_SIDE:,} pixels a side are taken: please make it smaller and send it again."
        )


def _held_bytes(header: pyvips.Image) -> int:
    """Return how much has to stand in memory to decode it; 0 where rows are enough."""
    fields = header.get_fields()
    pixels, bands = int(header.width * header.height), int(header.bands)
    if "jpeg-multiscan" in fields and header.get("jpeg-multiscan"):
        # libvips calls all subsampling 4:2:0; that of 4:2:2 has the most, 2 samples a pixel.
        return 2 * pixels * (2 if header.get("jpeg-chroma-subsample") == "4:2:0" else bands)
    if "interlaced" in fields:
        return pixels * bands * (1 if header.format == "uchar" else 2)
    return 0


def _moving() -> UnreadableImageError:
    return UnreadableImageError("The picture is an animation. Please send a picture that stands still.")
