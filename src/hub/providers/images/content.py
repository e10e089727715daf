"""What is common to every answer that holds a picture."""

from __future__ import annotations

import base64
import binascii
import re

from hub.providers.images.failures import failure

_LONGEST_DATA_PREFIX = 100
_DATA_PREFIX = re.compile(r"data:[\w.+/-]*(?:;[\w=.+-]+)*;base64,", re.ASCII | re.IGNORECASE)
_WHITE = str.maketrans("", "", " \t\r\n")


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


def read_base64(text: str) -> bytes:
    """Return the picture that is written in base64, with or without ``data:`` before it.

    Raises ``ImageServerError`` if it is none.
    """
    prefix = _DATA_PREFIX.match(text[:_LONGEST_DATA_PREFIX])
    if prefix is not None:
        text = text[prefix.end() :]
    try:
        return checked(binascii.a2b_base64(text, strict_mode=True))
    except ValueError:  # binascii.Error is one; a text that is not ASCII too
        pass
    try:  # lines, and a missing padding, harm nobody
        tidy = text.translate(_WHITE).rstrip("=")
        return checked(base64.b64decode(tidy + "=" * (-len(tidy) % 4), validate=True))
    except ValueError:
        raise failure("image_bad_answer", detail="broken base64") from None


def plain(text: object, *, longest: int) -> str:
    """Return a server's text as it may be stored: bounded and without NUL; "" for what is no text."""
    return text.replace("\x00", "")[:longest] if isinstance(text, str) else ""
