"""How large a picture says it is: read from its first blocks, without decoding it.

Formats: JPEG (ITU-T T.81, B.2.2), PNG (11.2.2 IHDR), WebP (RFC 9649, 2.5 to 2.7).
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # C4, C8 and CC are no frames
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_FOURTEEN_BITS = 0x3FFF
_HEAD = 30  # bytes within which PNG and WebP say it


def dimensions(file: BinaryIO) -> tuple[int, int] | None:
    """Return (width, height) in pixels as stored, or None when the file does not say.

    The orientation that a camera noted is not applied.
    """
    head = file.read(_HEAD)
    try:
        if head.startswith(b"\xff\xd8"):
            file.seek(2)
            return _jpeg(file)
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack(">II", head[16:24])
            return width, height
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return _webp(head)
    except (struct.error, IndexError):
        pass
    return None


def _jpeg(file: BinaryIO) -> tuple[int, int] | None:
    while True:
        marker = file.read(2)
        while len(marker) == 2 and marker[1] == 0xFF:  # noqa: PLR2004 - fill bytes before a marker
            marker = marker[1:] + file.read(1)
        if len(marker) < 2 or marker[0] != 0xFF:  # noqa: PLR2004 - as the format has it
            return None
        if marker[1] in _JPEG_ALONE:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if marker[1] in _JPEG_FRAMES:
            _, height, width = struct.unpack(">BHH", file.read(5))
            return width, height
        file.seek(length - 2, 1)


def _webp(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & _FOURTEEN_BITS, height & _FOURTEEN_BITS
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & _FOURTEEN_BITS) + 1, (bits >> 14 & _FOURTEEN_BITS) + 1
    if kind == b"VP8X" and len(head) == _HEAD:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return None


def fits(original: tuple[int, int], stored: tuple[int, int], box: int) -> bool:
    """Tell whether a picture of the original's size, fitted into a box and never enlarged, is this large.

    A pixel more or less is rounding; lying and standing may be exchanged by the camera's note.
    """
    scale = min(1.0, box / max(*original, 1))
    width, height = (max(1, round(side * scale)) for side in original)
    return any(
        abs(stored[0] - one) <= 1 and abs(stored[1] - two) <= 1
        for one, two in ((width, height), (height, width))
    )
