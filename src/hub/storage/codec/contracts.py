"""What the hub and its image processes say to each other: a line of JSON an order, and its answers."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

MediaType = Literal["image/avif", "image/webp", "image/jpeg"]
Refusal = Literal["unsupported_image", "unreadable_image", "too_many_pixels"]


class Encoding(Struct, frozen=True, kw_only=True):
    """How stored pictures are encoded.

    ``quality`` is 1 to 100; ``effort`` 0 (fast) to 9 for AVIF, to 6 for WebP, and means nothing for JPEG.
    """

    media_type: MediaType
    quality: int
    effort: int


class Encoded(Struct, frozen=True, kw_only=True, tag="encoded"):
    """What was written: the main file's size in pixels, both files' in bytes, sha256 as hex."""

    width: int
    height: int
    bytes: int
    sha256: str
    thumb_bytes: int
    thumb_sha256: str


class EncodeOrder(Struct, frozen=True, kw_only=True, tag="encode"):
    """Read somebody's picture and write it and its thumbnail; paths as the file system has them."""

    source: bytes
    main: bytes
    thumb: bytes
    box: int
    encoding: Encoding


class ConvertOrder(Struct, frozen=True, kw_only=True, tag="convert"):
    """Write a picture that is stored here in another type."""

    source: bytes
    target: bytes
    encoding: Encoding


class PaintOrder(Struct, frozen=True, kw_only=True, tag="paint"):
    """Paint a card and write it as PNG; ``seed``, ``title`` and ``captions`` decide on what is seen.

    A ``portrait`` has neither words nor band: who is painted, and where.
    """

    target: bytes
    seed: int
    width: int
    height: int
    title: str
    captions: tuple[str, ...]
    portrait: bool = False


Order = EncodeOrder | ConvertOrder | PaintOrder


class Ready(Struct, frozen=True, tag="ready"):
    """The process takes orders: said once, first of all."""


class Begun(Struct, frozen=True, tag="begun"):
    """An order has been read; what happens from here on is due to its picture."""


class Converted(Struct, frozen=True, tag="converted"):
    """The file is written, in the other type."""


class Painted(Struct, frozen=True, tag="painted"):
    """The card is written."""


class Refused(Struct, frozen=True, kw_only=True, tag="refused"):
    """An order cannot be carried out; ``code`` is that of the error class, ``detail`` for the user."""

    code: Refusal
    detail: str


class DiskFailed(Struct, frozen=True, kw_only=True, tag="disk_failed"):
    """Our own files cannot be read or written, which says nothing about the picture."""

    number: int
    text: str


Result = Encoded | Converted | Painted | Refused | DiskFailed
Answer = Ready | Begun | Result
