"""Which files are not taken, and why: other types, damage, animations, bombs."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable

import pytest
import pyvips

from hub.core import children
from hub.storage.images import TooManyPixelsError, UnreadableImageError, UnsupportedImageError
from tests.services import pictures
from tests.services.pictures import Desk, memory_of, photo, plain


def _zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.html", "<script>alert(1)</script>")
    return packed.getvalue()


def _gif() -> bytes:
    pixel = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    return b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + pixel + b"\x3b"


def _tiff() -> bytes:
    content: bytes = photo(16, 16).tiffsave_buffer()
    return content


def _avif() -> bytes:
    content: bytes = photo(16, 16).heifsave_buffer(compression="av1", effort=0)
    return content


NOT_TAKEN = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>',
    "xml": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "html": b"<!doctype html><script>alert(1)</script>",
    "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
    "gif": _gif(),
    "gifar": _gif() + _zip(),
    "tiff": _tiff(),
    "bmp": b"BM"
    + struct.pack("<IHHIIiiHHIIiiII", 58, 0, 0, 54, 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0)
    + bytes(4),
    "avif": _avif(),
    "heic": b"\0\0\0\x18ftypheic" + bytes(64),
    "jxl": b"\xff\x0a" + bytes(64),
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64),
    "zip": _zip(),
    "elf": b"\x7fELF" + bytes(64),
    "pdf before a jpeg": b"%PDF-1.7\n" + photo(16, 16).jpegsave_buffer(),
    "riff but no webp": b"RIFF\x24\0\0\0WAVEfmt " + bytes(64),
    "one byte": b"\xff",
    "part of a signature": b"\x89PNG\r\n",
    "vips": b"\xb6\xa6\xf2\x08" + bytes(64),
    "zeros": bytes(4096),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
async def test_other_files_are_not_supported(desk: Desk, name: str) -> None:
    with pytest.raises(UnsupportedImageError, match="JPEG, PNG or WebP") as caught:
        await desk.encode(NOT_TAKEN[name])
    assert caught.value.status == 415
    assert desk.main.stat().st_size == desk.thumb.stat().st_size == 0


async def test_an_empty_file_is_said_to_be_empty(desk: Desk) -> None:
    with pytest.raises(UnreadableImageError, match="empty") as caught:
        await desk.encode(b"")
    assert caught.value.status == 422


def _cuts(whole: bytes) -> list[bytes]:
    """Return it cut off at points all along; the last few bytes may be only an end mark."""
    return [whole[: len(whole) * part // 40] for part in range(2, 40)]


@pytest.mark.parametrize(
    "kind", ["jpeg", "progressive jpeg", "png", "interlaced png", "webp", "lossless webp"]
)
async def test_what_is_cut_off_is_not_taken(desk: Desk, kind: str) -> None:
    for cut in _cuts(_saved(kind, photo(300, 200))):
        with pytest.raises(UnreadableImageError, match="damaged or incomplete"):
            await desk.encode(cut)


def _saved(kind: str, image: pyvips.Image) -> bytes:
    content: bytes
    match kind:
        case "jpeg" | "progressive jpeg":
            content = image.jpegsave_buffer(Q=85, interlace="progressive" in kind)
        case "png" | "interlaced png":
            content = image.pngsave_buffer(interlace="interlaced" in kind, compression=1)
        case _:
            content = image.webpsave_buffer(lossless="lossless" in kind, effort=0)
    return content


async def test_animations_are_not_taken(desk: Desk) -> None:
    frames = pyvips.Image.arrayjoin([plain(40, 40), photo(40, 40)], across=1).copy()
    frames.set_type(pyvips.GValue.gint_type, "page-height", 40)
    still = photo(40, 40).pngsave_buffer()
    control = pictures.png_chunk(b"acTL", struct.pack(">II", 2, 0))
    for moving in (frames.webpsave_buffer(), still[:33] + control + still[33:]):
        with pytest.raises(UnreadableImageError, match="animation"):
            await desk.encode(moving)


async def test_a_png_without_an_end_of_chunks_is_not_followed_for_ever(desk: Desk) -> None:
    still = photo(40, 40).pngsave_buffer()
    chunks = pictures.png_chunk(b"tEXt", b"a\0b") * 200_000
    with pytest.raises(UnreadableImageError, match="damaged"):
        await desk.encode(still[:33] + chunks + still[33:])


def _jpeg_of(width: int, height: int, *, bands: int = 3) -> bytes:
    """Return a JPEG that lies about its size; one of four bands is CMYK and progressive."""
    image = plain(16, 16, bands=bands).copy(interpretation="cmyk" if bands == 4 else "srgb")
    content: bytes = image.jpegsave_buffer(interlace=bands == 4)
    size = content.index(b"\xff\xc2" if bands == 4 else b"\xff\xc0") + 5
    return content[:size] + struct.pack(">HH", height, width) + content[size + 4 :]


def _deep_png_of(width: int, height: int) -> bytes:
    """Return an interlaced PNG with 16 bits that lies about its size."""
    header = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 1)
    content: bytes = plain(16, 16, bands=4, deep=True).pngsave_buffer(interlace=True)
    return content[:8] + pictures.png_chunk(b"IHDR", header) + content[33:]


BOMBS: dict[str, Callable[[], bytes]] = {
    "400 MP": lambda: pictures.flat_png(20_000, 20_000),
    "40.3 MP": lambda: pictures.flat_png(6_400, 6_300),
    "wide": lambda: pictures.flat_png(16_385, 1),
    "high": lambda: pictures.flat_png(1, 16_385),
    "beyond libvips": lambda: pictures.flat_png(8, 8).replace(
        struct.pack(">II", 8, 8), struct.pack(">II", 2**31 - 1, 2**31 - 1)
    ),
    "jpeg 4 GP": lambda: _jpeg_of(65_500, 65_500),
    "wide jpeg": lambda: _jpeg_of(16_385, 8),
    "jpeg 40.01 MP": lambda: _jpeg_of(8_000, 5_001),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_bombs_are_refused_by_their_header(desk: Desk, name: str) -> None:
    with pytest.raises(TooManyPixelsError, match="megapixels") as caught:
        await desk.encode(BOMBS[name]())
    assert caught.value.status == 413
    assert memory_of(desk.processes.pids[0], "VmRSS") < 100


async def test_what_must_be_held_whole_has_a_lower_limit_when_it_is_deep(desk: Desk) -> None:
    for content in (_deep_png_of(6_400, 6_200), _jpeg_of(6_400, 6_200, bands=4)):
        with pytest.raises(TooManyPixelsError, match="progressive"):
            await desk.encode(content)


OPENING = """
import sys
import pyvips
from hub.storage.codec import pictures
image = pyvips.Image.black(9, 9)
files = {
    "image/jpeg": image.jpegsave_buffer(),
    "image/png": image.pngsave_buffer(),
    "image/webp": image.webpsave_buffer(),
    "image/avif": image.heifsave_buffer(compression="av1"),
    "image/tiff": image.tiffsave_buffer(),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "gif": bytes.fromhex(sys.argv[2]),
}
pictures.allow_only(sys.argv[1])
for name, content in files.items():
    try:
        pyvips.Image.new_from_buffer(content, "").avg()
    except pyvips.Error:
        continue
    print(name)
"""


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/webp", "image/avif"])
async def test_libvips_opens_one_type_and_no_other(kind: str) -> None:
    process = await children.spawn("-c", OPENING, kind, _gif().hex(), environment={})
    output, errors = await process.communicate()
    assert (output.decode().split(), errors) == ([kind], b"")
