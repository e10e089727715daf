"""What pictures become: small, upright, sRGB, anonymous; and which are not taken."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pyvips

from hub.core import children
from hub.core.errors import HubError
from hub.storage.images import (
    Encoding,
    ImageProcesses,
    NoRoomError,
    TooManyPixelsError,
    UnreadableImageError,
    UnsupportedImageError,
    sniff,
)
from tests.services import pictures
from tests.services.pictures import AVIF, JPEG, WEBP, Desk, memory_of, photo, plain

HELD_LIMIT_MB = 300


@pytest.fixture(scope="module")
async def processes() -> AsyncIterator[ImageProcesses]:
    made = ImageProcesses(count=1, timeout=20)
    yield made
    await made.close()


@pytest.fixture
def desk(processes: ImageProcesses, tmp_path: Path) -> Desk:
    return Desk(tmp_path, processes)


@pytest.mark.parametrize(
    ("size", "box", "expected", "thumb"),
    [
        ((1600, 1000), 800, (800, 500), (256, 160)),
        ((1000, 1600), 800, (500, 800), (160, 256)),
        ((2500, 2500), 1920, (1920, 1920), (256, 256)),
        ((300, 200), 800, (300, 200), (256, 171)),
        ((120, 90), 800, (120, 90), (120, 90)),
        ((1, 1), 800, (1, 1), (1, 1)),
        ((7, 1), 800, (7, 1), (7, 1)),
        ((16384, 3), 800, (800, 1), (256, 1)),
    ],
)
async def test_a_picture_fits_its_box_and_is_never_enlarged(
    desk: Desk, size: tuple[int, int], box: int, expected: tuple[int, int], thumb: tuple[int, int]
) -> None:
    encoded = await desk.encode(plain(*size).pngsave_buffer(), box=box)
    assert (encoded.width, encoded.height) == expected
    stored, small = desk.stored(), desk.small()
    assert (stored.width, stored.height) == expected
    assert (small.width, small.height) == thumb


@pytest.mark.parametrize("encoding", [AVIF, WEBP, JPEG], ids=lambda each: str(each.media_type))
async def test_each_stored_type_is_what_it_says(desk: Desk, encoding: Encoding) -> None:
    encoded = await desk.encode(photo(640, 400).jpegsave_buffer(Q=90), encoding=encoding)
    main, thumb = desk.main.read_bytes(), desk.thumb.read_bytes()
    assert (encoded.bytes, encoded.thumb_bytes) == (len(main), len(thumb))
    assert encoded.sha256 == hashlib.sha256(main).hexdigest()
    assert encoded.thumb_sha256 == hashlib.sha256(thumb).hexdigest()
    for content in (main, thumb):
        assert (content[4:12] == b"ftypavif") == (encoding is AVIF)
        assert sniff(content) == (None if encoding is AVIF else encoding.media_type)
        assert pictures.open_bytes(content).interpretation == "srgb"


async def test_the_same_picture_gives_the_same_file(desk: Desk) -> None:
    content = photo(900, 700).pngsave_buffer()
    first = await desk.encode(content)
    await desk.encode(photo(64, 64).pngsave_buffer())
    assert await desk.encode(content) == first


async def test_a_shorter_picture_leaves_nothing_of_a_longer_one(desk: Desk) -> None:
    await desk.encode(photo(800, 800).pngsave_buffer())
    encoded = await desk.encode(plain(8, 8).pngsave_buffer())
    assert desk.main.stat().st_size == encoded.bytes < 1000


@pytest.mark.parametrize(
    ("orientation", "expected"),
    list(enumerate(["RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB"], start=1)),
)
async def test_orientation_is_applied(desk: Desk, orientation: int, expected: str) -> None:
    image = pictures.quarters().copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    encoded = await desk.encode(image.jpegsave_buffer(Q=95))
    assert (encoded.width < encoded.height) == (orientation >= 5)
    for shown in (desk.stored(), desk.small()):
        assert pictures.corners(shown) == expected
        assert "orientation" not in shown.get_fields() or shown.get("orientation") == 1


@pytest.mark.parametrize("encoding", [AVIF, WEBP, JPEG], ids=lambda each: str(each.media_type))
async def test_nothing_is_left_of_who_took_it_where(desk: Desk, encoding: Encoding) -> None:
    image = photo(200, 100).copy()
    for field, value in {
        "exif-ifd0-Artist": "Ada Canary",
        "exif-ifd0-Make": "Canary Cameras",
        "exif-ifd3-GPSLatitude": "52/1 31/1 12/1",
        "exif-ifd3-GPSLongitude": "13/1 24/1 18/1",
        "exif-ifd2-UserComment": "Canary was here",
    }.items():
        image.set_type(pyvips.GValue.gstr_type, field, value)
    image.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x:xmpmeta>Canary</x:xmpmeta>")
    content = image.jpegsave_buffer(profile="srgb")
    assert b"Canary" in content
    assert "exif-ifd3-GPSLatitude" in pictures.open_bytes(content).get_fields()
    await desk.encode(content, encoding=encoding)
    converted = await desk.convert("image/webp" if encoding is JPEG else "image/jpeg")
    for path, shown in ((desk.main, desk.stored()), (desk.thumb, desk.small()), (desk.other, converted)):
        assert b"Canary" not in path.read_bytes()
        fields = [name for name in shown.get_fields() if "GPS" in name or name.startswith("exif-ifd0-Make")]
        assert not fields
        assert not {"xmp-data", "icc-profile-data"} & set(shown.get_fields())


def _grey(image: pyvips.Image) -> bytes:
    content: bytes = image.colourspace("b-w").pngsave_buffer()
    return content


def _deep(image: pyvips.Image) -> bytes:
    content: bytes = (image.cast("ushort") * 257).copy(interpretation="rgb16").pngsave_buffer()
    return content


def _deep_grey(image: pyvips.Image) -> bytes:
    deep = (image.colourspace("b-w").cast("ushort") * 257).cast("ushort")
    content: bytes = deep.copy(interpretation="grey16").pngsave_buffer()
    return content


def _cmyk(image: pyvips.Image) -> bytes:
    content: bytes = image.icc_transform("cmyk").jpegsave_buffer(Q=95)
    return content


def _wide_gamut(image: pyvips.Image) -> bytes:
    content: bytes = image.icc_transform("p3", input_profile="srgb").jpegsave_buffer(Q=95)
    return content


def _palette(image: pyvips.Image) -> bytes:
    content: bytes = image.pngsave_buffer(palette=True)
    return content


@pytest.mark.parametrize("save", [_grey, _deep, _deep_grey, _cmyk, _wide_gamut, _palette])
async def test_every_kind_of_colour_becomes_the_same_srgb(
    desk: Desk, save: Callable[[pyvips.Image], bytes]
) -> None:
    image = photo(320, 240)
    await desk.encode(save(image))
    stored = desk.stored()
    assert (stored.bands, stored.format, stored.interpretation) == (3, "uchar", "srgb")
    expected = image.colourspace("b-w").colourspace("srgb") if "grey" in save.__name__ else image
    assert (stored - expected).abs().avg() < 6


async def test_colours_beyond_srgb_are_converted_not_relabelled(desk: Desk) -> None:
    vivid = pictures.quarters().icc_transform("p3", input_profile="srgb")
    assert vivid(5, 5)[1] > 30, "the red of sRGB is a mixture there"
    await desk.encode(vivid.pngsave_buffer(profile="p3"))
    assert desk.stored()(5, 5)[1] < 10


@pytest.mark.parametrize("save", ["pngsave_buffer", "webpsave_buffer"])
async def test_orientation_is_applied_whatever_the_type(desk: Desk, save: str) -> None:
    image = pictures.quarters().copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    await desk.encode(getattr(image, save)())
    assert pictures.corners(desk.stored()) == "BRWG"


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


async def test_a_large_cmyk_picture_fits_and_stands_upright(desk: Desk) -> None:
    image = pictures.quarters(1400).icc_transform("cmyk", input_profile="srgb").copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    content = image.jpegsave_buffer(Q=90, interlace=True)
    encoded = await desk.encode(content)
    assert (encoded.width, encoded.height) == (400, 800)
    expected = pyvips.Image.thumbnail_buffer(content, 800, height=800, output_profile="srgb")
    assert (desk.stored() - expected).abs().avg() < 3


async def test_transparency_is_kept_where_the_type_has_it(desk: Desk) -> None:
    left = pyvips.Image.black(50, 60) + 255
    alpha = left.join(pyvips.Image.black(50, 60), "horizontal").cast("uchar")
    content = plain(100, 60).bandjoin(alpha).copy(interpretation="srgb").pngsave_buffer()
    for encoding in (AVIF, WEBP):
        await desk.encode(content, encoding=encoding)
        assert desk.stored().bands == 4
        assert desk.stored()(10, 30)[3] > 250
        assert desk.stored()(90, 30)[3] < 5
    for shown in (await desk.convert("image/jpeg"), await _as_jpeg(desk, content)):
        assert shown.bands == 3
        assert max(shown(10, 30)) < 5
        assert min(shown(90, 30)) > 250, "what is see-through is white in a JPEG"


async def _as_jpeg(desk: Desk, content: bytes) -> pyvips.Image:
    await desk.encode(content, encoding=JPEG)
    return desk.stored()


async def test_an_alpha_channel_that_hides_nothing_is_dropped(desk: Desk) -> None:
    opaque = photo(64, 64).bandjoin(255).copy(interpretation="srgb")
    await desk.encode(opaque.pngsave_buffer())
    assert desk.stored().bands == 3


@pytest.mark.parametrize("encoding", [AVIF, WEBP, JPEG], ids=lambda each: str(each.media_type))
@pytest.mark.parametrize("wanted", ["image/webp", "image/jpeg"])
async def test_stored_pictures_can_be_had_in_other_types(desk: Desk, encoding: Encoding, wanted: str) -> None:
    image = photo(400, 300)
    await desk.encode(image.pngsave_buffer(), encoding=encoding)
    converted = await desk.convert("image/webp" if wanted == "image/webp" else "image/jpeg", quality=85)
    assert sniff(desk.other.read_bytes()) == wanted
    assert (converted.width, converted.height) == (400, 300)
    assert (converted - image).abs().avg() < 6


async def test_a_damaged_stored_file_says_so(desk: Desk) -> None:
    await desk.encode(photo(400, 300).pngsave_buffer())
    whole = desk.main.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"nothing we wrote"):
        desk.main.write_bytes(damaged)
        with pytest.raises(UnreadableImageError):
            await desk.convert("image/webp")


async def test_bytes_after_the_end_are_left_behind(desk: Desk) -> None:
    for content in (photo(99, 70).jpegsave_buffer(), photo(99, 70).pngsave_buffer()):
        encoded = await desk.encode(content + b"\0" * 1000 + b"Canary" + content)
        assert (encoded.width, encoded.height) == (99, 70)
        assert b"Canary" not in desk.main.read_bytes()


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


async def test_forty_megapixels_are_taken_in_the_forms_that_cost_most(tmp_path: Path) -> None:
    """In less than 5 s each, and never with more memory than promised."""
    large = plain(8_000, 5_000)
    processes = ImageProcesses(count=1)
    desk = Desk(tmp_path, processes)
    try:
        for content in (
            large.jpegsave_buffer(interlace=True),
            plain(8_000, 5_000, bands=4).pngsave_buffer(compression=1, interlace=True),
            plain(8_000, 5_000, bands=4).webpsave_buffer(effort=0, lossless=True),
        ):
            encoded = await desk.encode(content)
            assert (encoded.width, encoded.height) == (800, 500)
        assert memory_of(processes.pids[0], "VmHWM") < HELD_LIMIT_MB
    finally:
        await processes.close()


async def test_no_room_on_the_disk_is_no_fault_of_the_picture(desk: Desk) -> None:
    content = photo(100, 100).jpegsave_buffer()
    desk.main = Path("/dev/full")
    with pytest.raises(NoRoomError):
        await desk.encode(content)


async def test_files_that_are_not_there_are_no_fault_of_the_picture(desk: Desk) -> None:
    content = photo(100, 100).jpegsave_buffer()
    desk.thumb.unlink()
    with pytest.raises(HubError) as caught:
        await desk.encode(content)
    assert caught.value.status == 503


async def test_links_are_not_followed(desk: Desk) -> None:
    secret = desk.folder / "secret"
    secret.write_bytes(photo(30, 30).jpegsave_buffer())
    kept = secret.read_bytes()
    desk.thumb.unlink()
    desk.thumb.symlink_to(secret)
    with pytest.raises(HubError) as caught:
        await desk.encode(photo(100, 100).jpegsave_buffer())
    assert caught.value.status == 503
    assert secret.read_bytes() == kept
    desk.source.unlink()
    desk.source.symlink_to(secret)
    with pytest.raises(HubError) as caught:
        await desk.processes.encode(desk.source, main=desk.main, thumb=desk.other, box=9, encoding=AVIF)
    assert caught.value.status == 503
