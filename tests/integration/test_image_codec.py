"""What pictures become: small, upright, sRGB, anonymous."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import pyvips

from hub.core.errors import HubError
from hub.storage.images import (
    Encoding,
    ImageProcesses,
    NoRoomError,
    UnreadableImageError,
    sniff,
)
from tests.services import pictures
from tests.services.pictures import AVIF, JPEG, WEBP, Desk, memory_of, photo, plain

HELD_LIMIT_MB = 300


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


async def test_a_large_cmyk_picture_fits_and_stands_upright(desk: Desk) -> None:
    image = pictures.quarters(1400).icc_transform("cmyk", input_profile="srgb").copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    content = image.jpegsave_buffer(Q=90, interlace=True)
    encoded = await desk.encode(content)
    assert (encoded.width, encoded.height) == (400, 800)
    expected = pyvips.Image.thumbnail_buffer(content, 800, height=800, output_profile="srgb")
    assert (desk.stored() - expected).abs().avg() < 3


def _ultra_hdr(image: pyvips.Image) -> bytes:
    """Return it as telephones save it: a JPEG with a second one behind it that says where to glow."""
    image = image.copy()
    glow = pyvips.Image.black(64, 64).cast("uchar").jpegsave_buffer()
    image.set_type(pyvips.GValue.blob_type, "gainmap-data", glow)
    for name, value in (("max", 2.0), ("min", 1.0)):
        image.set_type(pyvips.GValue.array_double_type, f"gainmap-{name}-content-boost", [value] * 3)
        image.set_type(pyvips.GValue.gdouble_type, f"gainmap-hdr-capacity-{name}", value)
    for name in ("gamma", "offset-sdr", "offset-hdr"):
        image.set_type(pyvips.GValue.array_double_type, f"gainmap-{name}", [1.0] * 3)
    image.set_type(pyvips.GValue.gint_type, "gainmap-use-base-cg", 1)
    content: bytes = image.uhdrsave_buffer(Q=90)
    return content


async def test_an_ultra_hdr_photograph_is_read_as_the_jpeg_that_it_is(desk: Desk) -> None:
    image = photo(320, 240)
    content = _ultra_hdr(image)
    assert pictures.open_bytes(content).get("vips-loader") == "uhdrload_buffer"
    await desk.encode(content)
    assert (desk.stored() - image).abs().avg() < 6


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
