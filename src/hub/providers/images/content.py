"""What is common to every answer that holds a picture."""

from __future__ import annotations

import binascii
import re

from hub.providers.images.failures import failure
from hub.providers.images.protocol import ImageServerError

_LONGEST_DATA_PREFIX = 100
_DATA_PREFIX = re.compile(r"data:[\w.+/-]*(?:;[\w=.+-]+)*;base64,", re.ASCII | re.IGNORECASE)
_WHITE = str.maketrans("", "", " \t\r\n")
_SLICE = 128 * 1024  # characters, in whole groups of four; while one is decoded, no other thread runs


def is_picture(content: bytes) -> bool:
    """Whether these bytes begin as a PNG, a JPEG or a WebP does."""
    return content.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or (
        content.startswith(b"RIFF") and content[8:12] == b"WEBP"
    )


def checked(content: bytes) -> bytes:
    """Return a picture's bytes; raises ``ImageServerError`` if they are none."""
    if not content:
        raise failure("image_empty", detail="no bytes")
    if not is_picture(content):
        raise failure("image_bad_answer", detail="neither PNG nor JPEG nor WebP")
    return content


def unread(body: bytes) -> ImageServerError:
    """Say what a body means that cannot be read as JSON: where no length was told, it may have broken off."""
    broken_off = body.startswith(b"{") and not body[-8:].rstrip().endswith(b"}")
    return failure("image_truncated" if broken_off else "image_bad_answer", detail="no JSON")


def read_base64(text: str) -> bytes:
    """Return the picture that is written in base64, with or without ``data:`` before it.

    Raises ``ImageServerError`` if it is none.
    """
    prefix = _DATA_PREFIX.match(text[:_LONGEST_DATA_PREFIX])
    if prefix is not None:
        text = text[prefix.end() :]
    try:
        return checked(_decoded(text))
    except ValueError:  # binascii.Error is one; a text that is not ASCII too
        pass
    try:  # lines, and a missing padding, harm nobody
        tidy = text.translate(_WHITE).rstrip("=")
        return checked(_decoded(tidy + "=" * (-len(tidy) % 4)))
    except ValueError:
        raise failure("image_bad_answer", detail="broken base64") from None


def _decoded(text: str) -> bytes:
    slices = (text[at : at + _SLICE] for at in range(0, len(text), _SLICE))
    return b"".join(binascii.a2b_base64(each, strict_mode=True) for each in slices)


def plain(text: object, *, longest: int) -> str:
    """Return a server's text as it may be stored: bounded and without NUL; "" for what is no text."""
    return text.replace("\x00", "")[:longest] if isinstance(text, str) else ""
