"""Pictures in and out: from whatever people send to one small, upright, anonymous sRGB picture."""

from __future__ import annotations

import hashlib
import os
import stat

import pyvips

from hub.storage.codec.contracts import ConvertOrder, Encoded, EncodeOrder, Encoding
from hub.storage.codec.errors import UnreadableImageError, UnsupportedImageError
from hub.storage.codec.headers import check_header, check_png
from hub.storage.codec.sniff import SNIFF_BYTES, sniff, sniff_stored

THUMB_BOX = 256

_LOADERS = {
    "image/jpeg": "VipsForeignLoadJpeg",
    "image/png": "VipsForeignLoadPng",
    "image/webp": "VipsForeignLoadWebp",
    "image/avif": "VipsForeignLoadHeif",  # for what we wrote ourselves
}
# "error": what is cut off or cannot be decoded is refused; a doubtful colour profile or bytes after the
# end of a picture, as phones write them, are only warnings.
_STRICT = "[fail_on=error]"
_CHUNK = 1 << 20
_WHITE = [255.0, 255.0, 255.0]


def encode(order: EncodeOrder) -> Encoded:
    """Read a picture, write it and its thumbnail, and see both on the disk.

    Raises:
        UnsupportedImageError, UnreadableImageError, TooManyPixelsError: it is the picture's fault.
        OSError: it is the disk's.
    """
    source = os.open(order.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        main = _decode_upload(source, order.box)
        encoded = _save(main, order.encoding)
        thumb = _save(_fit(main, THUMB_BOX), order.encoding)
    except pyvips.Error:
        _read_through(source)
        raise _damaged() from None
    finally:
        os.close(source)
    overwrite(order.main, encoded)
    overwrite(order.thumb, thumb)
    return Encoded(
        width=main.width,
        height=main.height,
        bytes=len(encoded),
        sha256=hashlib.sha256(encoded).hexdigest(),
        thumb_bytes=len(thumb),
        thumb_sha256=hashlib.sha256(thumb).hexdigest(),
    )


def convert(order: ConvertOrder) -> None:
    """Write a picture of ours in another type.

    Raises:
        UnreadableImageError: it is damaged.
        OSError: it cannot be read or written.
    """
    source = os.open(order.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        kind = sniff_stored(os.pread(source, SNIFF_BYTES, 0))
        if kind is None:
            raise _damaged()
        allow_only(kind)
        converted = _save(_open(source), order.encoding)
    except pyvips.Error:
        _read_through(source)
        raise _damaged() from None
    finally:
        os.close(source)
    overwrite(order.target, converted)


def allow_only(kind: str | None) -> None:
    """Let libvips open files of this type and of no other; None: of none at all."""
    pyvips.operation_block_set("VipsForeignLoad", state=True)
    if kind is not None:
        pyvips.operation_block_set(_LOADERS[kind], state=False)


def _decode_upload(source: int, box: int) -> pyvips.Image:
    """Return the picture in memory: inside ``box`` x ``box``, upright, sRGB, 8 bits, 3 or 4 bands."""
    status = os.fstat(source)
    if status.st_size == 0 or not stat.S_ISREG(status.st_mode):
        raise UnreadableImageError("The file is empty. Please choose a picture and send it again.")
    kind = sniff(os.pread(source, SNIFF_BYTES, 0))
    if kind is None:
        raise UnsupportedImageError(
            "This is no picture that can be used here. Please send a JPEG, PNG or WebP."
        )
    allow_only(kind)
    if kind == "image/png":
        check_png(lambda position, size: os.pread(source, size, position))
    space, has_profile = _colours(source)
    if space == "cmyk":
        shrunk = _shrink_cmyk(source, box)
    else:
        shrink = _shrink_jpeg if kind == "image/jpeg" else _shrink
        shrunk = shrink(source, box, convert=has_profile)
    return _without_idle_alpha(_plain(shrunk).copy_memory())


def _colours(source: int) -> tuple[str, bool]:
    """Check the header and return the colour space, and whether the picture brings a profile.

    What is opened for it holds memory until this returns.
    """
    header = _open(source)
    check_header(header)
    return str(header.interpretation), "icc-profile-data" in header.get_fields()


def _shrink(source: int, box: int, *, convert: bool) -> pyvips.Image:
    # Where there is nothing to convert from, it would still take eight times as long as decoding.
    conversion = {"output_profile": "srgb"} if convert else {}
    return pyvips.Image.thumbnail_source(
        _rewound(source), box, height=box, size="down", option_string=_STRICT, **conversion
    )


def _shrink_jpeg(source: int, box: int, *, convert: bool) -> pyvips.Image:
    """Decode at a fraction of the size, and shrink the rest.

    By itself libvips' thumbnail decodes at twice the final size or more; a tenth slower for 24 megapixels,
    and nobody sees it.
    """
    image = _open_smaller(source, round(1.5 * box))
    conversion = {"output_profile": "srgb"} if convert else {}
    return image.thumbnail_image(box, height=box, size="down", **conversion)


def _shrink_cmyk(source: int, box: int) -> pyvips.Image:
    """Shrink first and convert what is left: libvips' thumbnail does it in the other order, 3 s a picture."""
    image = _open_smaller(source, box)
    scale = box / _longer_side(image)
    small = (image.resize(scale) if scale < 1 else image).copy_memory()
    return small.icc_transform("srgb", embedded=True, input_profile="cmyk").autorot()


def _open_smaller(source: int, least: int) -> pyvips.Image:
    """Open a JPEG at a half, a quarter or an eighth of its size, if ``least`` pixels are left."""
    whole = _longer_side(_open(source))
    on_load = next(factor for factor in (8, 4, 2, 1) if factor == 1 or whole >= factor * least)
    return pyvips.Image.jpegload_source(
        _rewound(source), access="sequential", fail_on="error", shrink=on_load
    )


def _longer_side(image: pyvips.Image) -> int:
    return int(max(image.width, image.height))


def _open(source: int) -> pyvips.Image:
    return pyvips.Image.new_from_source(_rewound(source), _STRICT, access="sequential")


def _rewound(source: int) -> pyvips.Source:
    """Return the file as libvips reads it: by descriptor, as a name may hold what it takes for options."""
    os.lseek(source, 0, os.SEEK_SET)
    return pyvips.Source.new_from_descriptor(source)


def _plain(image: pyvips.Image) -> pyvips.Image:
    """Return it as sRGB with 8 bits, whether it was grey, 16 bits deep or in another space."""
    image = image.colourspace("srgb")
    return image if image.format == "uchar" else image.cast("uchar")


def _without_idle_alpha(image: pyvips.Image) -> pyvips.Image:
    """Drop an alpha channel that hides nothing, as screenshots have it: it only costs bytes."""
    if not image.hasalpha() or image[image.bands - 1].min() < 255:  # noqa: PLR2004 - opaque
        return image
    return image.extract_band(0, n=image.bands - 1).copy_memory()


def _fit(image: pyvips.Image, box: int) -> pyvips.Image:
    return image.thumbnail_image(box, height=box, size="down")


def _save(image: pyvips.Image, encoding: Encoding) -> bytes:
    """Return the encoded file, with no metadata at all."""
    quality, effort = encoding.quality, encoding.effort
    if encoding.media_type == "image/avif":
        return as_bytes(
            image.heifsave_buffer(compression="av1", Q=quality, effort=effort, bitdepth=8, keep="none")
        )
    if encoding.media_type == "image/webp":
        return as_bytes(image.webpsave_buffer(Q=quality, effort=effort, keep="none"))
    opaque = image.flatten(background=_WHITE) if image.hasalpha() else image
    return as_bytes(opaque.jpegsave_buffer(Q=quality, optimize_coding=True, keep="none"))


def as_bytes(saved: object) -> bytes:
    """Narrow what pyvips gives back, which has no type."""
    if not isinstance(saved, bytes):
        raise TypeError(type(saved).__name__)
    return saved


def _read_through(source: int) -> None:
    """Raises OSError if the file cannot be read: then it was the disk, not the picture."""
    position = 0
    while chunk := os.pread(source, _CHUNK, position):
        position += len(chunk)


def overwrite(path: bytes, content: bytes) -> None:
    """Fill a file that is there already, and return when it is on the disk."""
    target = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(target, rest) :]
        os.fsync(target)
    finally:
        os.close(target)


def _damaged() -> UnreadableImageError:
    return UnreadableImageError(
        "The picture is damaged or incomplete. Please save it anew, or send another one."
    )
