"""How the original writes pictures down (data: URL, bare base64, address of a file), and back into bytes."""

from __future__ import annotations

import binascii
import os
import re
from collections.abc import AsyncIterator
from typing import Literal

from hub.storage.errors import disk_errors

#: Bytes of the largest picture that is taken; the original set no limit to what it wrote as base64.
LIMIT = 50_000_000
#: The same written down: base64 with line breaks needs less than half as much again.
LONGEST = LIMIT * 3 // 2

Form = Literal["data", "base64", "file", "remote", "unknown"]

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BARE = re.compile(r"[A-Za-z0-9+/\-_=\s]*\Z")
_HEAD = re.compile(r"\s*data:([^,]{0,500}),", re.IGNORECASE)


class UnreadablePictureError(Exception):
    """A picture of the original that cannot be had; the text says why, without the picture."""


def form_of(start: str) -> Form:
    """Tell how a picture is written, from how it begins."""
    beginning = start[:30].lower()
    if beginning.startswith("data:"):
        return "data"
    if beginning.startswith(("http://", "https://", "//")):
        return "remote"
    if beginning.startswith("/uploads/"):
        return "file"
    return "base64" if _BARE.match(start) else "unknown"


async def write_base64(slices: AsyncIterator[str], descriptor: int, *, is_url: bool) -> int:
    """Write what a text stands for into a file; return how many bytes that is.

    White space, the URL-safe alphabet and missing padding are taken as they come.

    Args:
        slices: the text, in parts of any length; the first one holds all of a data: URL's head.
        descriptor: of an empty file.
        is_url: it begins with a data: URL's head.

    Raises:
        UnreadablePictureError: it is not base64, or too large.
        NoRoomError, StorageFailedError: the disk refuses.
    """
    decoder = _Decoder()
    size = 0
    async for part in slices:
        text = _body(part) if is_url else part
        is_url = False
        size = _append(descriptor, decoder.feed(text), size)
    return _append(descriptor, decoder.end(), size)


def _body(first: str) -> str:
    head = _HEAD.match(first)
    if head is None:
        raise UnreadablePictureError("its data: URL has no beginning that makes sense")
    if not head[1].strip().lower().endswith("base64"):
        raise UnreadablePictureError("its data: URL is not written in base64")
    return first[head.end() :]


def _append(descriptor: int, data: bytes, size: int) -> int:
    if size + len(data) > LIMIT:
        raise too_large()
    rest = memoryview(data)
    with disk_errors():
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    return size + len(data)


class _Decoder:
    """Base64 (RFC 4648) in parts."""

    def __init__(self) -> None:
        self._left = b""
        self._padded = False

    def feed(self, text: str) -> bytes:
        """Return the bytes of a part."""
        try:
            clean = "".join(text.split()).encode("ascii").translate(_URL_SAFE)
        except UnicodeEncodeError:
            raise _not_base64() from None
        data = clean.rstrip(b"=")
        if data and (self._padded or data.translate(None, _ALPHABET)):
            raise _not_base64()
        self._padded = self._padded or len(data) < len(clean)
        data = self._left + data
        whole = len(data) // 4 * 4
        self._left = data[whole:]
        return binascii.a2b_base64(data[:whole])

    def end(self) -> bytes:
        """Return the last bytes."""
        if len(self._left) == 1:
            raise UnreadablePictureError("its base64 is cut off")
        return binascii.a2b_base64(self._left + b"=" * (-len(self._left) % 4))


def too_large() -> UnreadablePictureError:
    """Return the error for a picture beyond the limit."""
    return UnreadablePictureError(f"it is larger than {LIMIT // 1_000_000} MB")


def _not_base64() -> UnreadablePictureError:
    return UnreadablePictureError("it holds characters that base64 does not have")
