"""What a file is by its first bytes, whatever its name or the sender says."""

from __future__ import annotations

from typing import Literal

Kind = Literal["image/jpeg", "image/png", "image/webp"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: So many first bytes decide.
SNIFF_BYTES = 12


def sniff(first_bytes: bytes) -> Kind | None:
    """Return the type of an uploaded picture from at least :data:`SNIFF_BYTES` bytes; None: not supported."""
    if first_bytes.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if first_bytes.startswith(PNG_SIGNATURE):
        return "image/png"
    if first_bytes[:4] == b"RIFF" and first_bytes[8:12] == b"WEBP":
        return "image/webp"
    return None


def sniff_stored(first_bytes: bytes) -> Literal["image/avif"] | Kind | None:
    """Return the type of a picture that we wrote: AVIF too."""
    return "image/avif" if first_bytes[4:12] == b"ftypavif" else sniff(first_bytes)
