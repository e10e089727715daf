"""Pictures that were valid until somebody got at them."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache

import pyvips
from msgspec import Struct

from tests.services import pictures
from tests.services.pictures import photo, plain

#: Stands in everything that is smuggled into a picture; it must never come out.
CANARY = b"<script>canary()</script>"

_EXTREMES = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_SIDES = (0, 1, 2, 255, 256, 4_000, 6_300, 16_383, 16_384, 16_385, 65_535, 2**31 - 1)


class Mutant(Struct, frozen=True):
    """What was done to which picture, and the result."""

    name: str
    content: bytes


def mutants(seed: int, count: int) -> Iterator[Mutant]:
    """Yield so many, the same ones for the same seed."""
    chance = random.Random(seed)
    seeds = _seeds()
    for number in range(count):
        name, content = chance.choice(list(seeds.items()))
        mutation = chance.choice(_MUTATIONS)
        done = mutation.__name__.strip("_")
        changed = mutation(content, chance)
        if chance.random() < 0.3:
            second = chance.choice(_MUTATIONS)
            changed, done = second(changed, chance), f"{done}+{second.__name__.strip('_')}"
        if changed.startswith(b"\x89PNG") and chance.random() < 0.7:
            changed = _with_right_sums(changed)  # else the sum is all that is ever found wrong
        yield Mutant(f"{number}: {name}, {done}", changed)


@cache
def _seeds() -> dict[str, bytes]:
    """Return small valid pictures of every kind."""
    image = photo(90, 70)
    clear = image.bandjoin(image[1]).copy(interpretation="srgb")
    deep = (clear.cast("ushort") * 257).copy(interpretation="rgb16")
    turned = image.copy()
    turned.set_type(pyvips.GValue.gint_type, "orientation", 6)
    turned.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x:xmpmeta>" + CANARY + b"</x:xmpmeta>")
    frames = pyvips.Image.arrayjoin([plain(40, 30), photo(40, 30)], across=1).copy()
    frames.set_type(pyvips.GValue.gint_type, "page-height", 30)
    return {
        "jpeg": turned.jpegsave_buffer(Q=80, profile="srgb"),
        "progressive jpeg": image.jpegsave_buffer(Q=80, interlace=True, restart_interval=4),
        "grey jpeg": image.colourspace("b-w").jpegsave_buffer(),
        "cmyk jpeg": image.icc_transform("cmyk").jpegsave_buffer(interlace=True),
        "png": turned.pngsave_buffer(profile="srgb"),
        "interlaced png": clear.pngsave_buffer(interlace=True),
        "deep png": deep.pngsave_buffer(),
        "deep interlaced png": deep.pngsave_buffer(interlace=True),
        "palette png": image.pngsave_buffer(palette=True, bitdepth=4),
        "one bit png": pictures.flat_png(70, 50),
        "webp": turned.webpsave_buffer(profile="srgb"),
        "lossless webp": image.webpsave_buffer(lossless=True),
        "clear webp": clear.webpsave_buffer(),
        "moving webp": frames.webpsave_buffer(),
    }


def _flip_bits(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _flip_in_the_header(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 2, 4))):
        if changed:
            changed[chance.randrange(min(len(changed), 400))] = chance.randrange(256)
    return bytes(changed)


def _cut_off(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _cut_out(content: bytes, chance: random.Random) -> bytes:
    start, end = _span(content, chance)
    return content[:start] + content[end:]


def _repeat(content: bytes, chance: random.Random) -> bytes:
    start, end = _span(content, chance)
    return content[:end] + content[start:end] * chance.choice((1, 1, 3, 40)) + content[end:]


def _blank(content: bytes, chance: random.Random) -> bytes:
    start, end = _span(content, chance)
    return content[:start] + chance.choice((b"\0", b"\xff")) * (end - start) + content[end:]


def _scramble(content: bytes, chance: random.Random) -> bytes:
    start, end = _span(content, chance)
    return content[:start] + chance.randbytes(end - start) + content[end:]


def _splice(content: bytes, chance: random.Random) -> bytes:
    """Put a part of another picture into this one."""
    other = chance.choice(list(_seeds().values()))
    start, end = _span(other, chance)
    place = chance.randrange(len(content) + 1)
    return content[:place] + other[start:end] + content[place + chance.choice((0, end - start)) :]


def _lie_about_a_length(content: bytes, chance: random.Random) -> bytes:
    places = list(_lengths(content))
    if not places:
        return _flip_in_the_header(content, chance)
    place, form = chance.choice(places)
    size = struct.calcsize(form)
    value = chance.choice((*_EXTREMES, chance.randrange(1 << 16))) % (1 << (8 * size))
    return content[:place] + struct.pack(form, value) + content[place + size :]


def _lie_about_the_size(content: bytes, chance: random.Random) -> bytes:
    width, height = chance.choice(_SIDES), chance.choice(_SIDES)
    if content.startswith(b"\x89PNG"):
        return content[:16] + struct.pack(">II", width, height) + content[24:]
    for mark in (b"\xff\xc0", b"\xff\xc2"):
        if (place := content.find(mark)) > 0:
            size = struct.pack(">HH", height % 65_536, width % 65_536)
            return content[: place + 5] + size + content[place + 9 :]
    if (place := content.find(b"VP8X")) > 0:
        size = (width % (1 << 24)).to_bytes(3, "little") + (height % (1 << 24)).to_bytes(3, "little")
        return content[: place + 12] + size + content[place + 18 :]
    if (place := content.find(b"\x9d\x01\x2a")) > 0:
        return (
            content[: place + 3] + struct.pack("<HH", width % 65_536, height % 65_536) + content[place + 7 :]
        )
    return _flip_in_the_header(content, chance)


def _mix_chunks(content: bytes, chance: random.Random) -> bytes:
    """Leave out, repeat or reorder whole chunks of a PNG."""
    if not content.startswith(b"\x89PNG"):
        return _cut_out(content, chance)
    chunks = [content[start:end] for start, end in _png_chunks(content)]
    if chunks:
        first, second = chance.randrange(len(chunks)), chance.randrange(len(chunks))
        chunks[first] = chance.choice((b"", chunks[second], chunks[first] * 3))
    return content[:8] + b"".join(chunks)


def _add_a_chunk(content: bytes, chance: random.Random) -> bytes:
    """Add text, profiles and palettes that a decoder has to unfold."""
    bomb = zlib.compress(bytes(1 << 20), 9)
    if content.startswith(b"\x89PNG"):
        kind, inside = chance.choice(
            (
                (b"iCCP", b"a\0\0" + bomb),
                (b"zTXt", b"a\0\0" + bomb),
                (b"iTXt", b"a\0\1\0\0\0" + bomb),
                (b"tEXt", b"Comment\0" + CANARY * 99),
                (b"PLTE", chance.randbytes(768)),
                (b"tRNS", chance.randbytes(256)),
                (b"eXIf", b"MM\0*" + chance.randbytes(99)),
                (b"gAMA", chance.randbytes(4)),
                (b"acTL", struct.pack(">II", chance.randrange(3), 0)),
            )
        )
        return content[:33] + pictures.png_chunk(kind, inside) + content[33:]
    if content.startswith(b"\xff\xd8"):
        mark = chance.choice((b"\xff\xfe", b"\xff\xe1", b"\xff\xe2", b"\xff\xee", b"\xff\xdb", b"\xff\xc4"))
        start = chance.choice((b"", b"Exif\0\0MM\0*", b"ICC_PROFILE\0\1\1", b"Adobe\0"))
        inside = start + chance.choice((CANARY * 99, chance.randbytes(500)))
        return content[:2] + mark + struct.pack(">H", len(inside) + 2) + inside + content[2:]
    kind = chance.choice((b"EXIF", b"ICCP", b"XMP ", b"ALPH", b"ANIM", b"ANMF", b"VP8X", b"JUNK"))
    inside = chance.choice((CANARY, chance.randbytes(64)))
    return content[:12] + kind + struct.pack("<I", len(inside)) + inside + content[12:]


def _polyglot(content: bytes, chance: random.Random) -> bytes:
    """Make it something else as well."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("canary.html", CANARY)
    other = chance.choice((packed.getvalue(), CANARY, b"%PDF-1.7\n" + CANARY, b"GIF89a" + CANARY, content))
    return other + content if chance.random() < 0.2 else content + other


def _only_a_signature(content: bytes, chance: random.Random) -> bytes:
    return content[:12] + chance.randbytes(chance.choice((0, 10, 1_000, 100_000)))


def _span(content: bytes, chance: random.Random) -> tuple[int, int]:
    """Return where a part of it begins and ends, mostly a short one."""
    start = chance.randrange(len(content) + 1)
    return start, min(len(content), start + chance.choice((1, 4, 32, 256, 4_096)))


def _lengths(content: bytes) -> Iterator[tuple[int, str]]:
    """Yield where lengths stand, and how they are written."""
    if content.startswith(b"\x89PNG"):
        yield from ((start, ">I") for start, _ in _png_chunks(content))
    elif content.startswith(b"RIFF"):
        yield 4, "<I"
        yield from ((start + 4, "<I") for start in _riff_chunks(content))
    else:
        yield from ((start + 2, ">H") for start in _jpeg_segments(content))


def _png_chunks(content: bytes) -> Iterator[tuple[int, int]]:
    start = 8
    while start + 12 <= len(content):
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        if end > len(content):
            return
        yield start, end
        start = end


def _riff_chunks(content: bytes) -> Iterator[int]:
    start = 12
    while start + 8 <= len(content):
        yield start
        start += 8 + (int.from_bytes(content[start + 4 : start + 8], "little") + 1) // 2 * 2


def _jpeg_segments(content: bytes) -> Iterator[int]:
    start = 2
    while start + 4 <= len(content) and content[start] == 0xFF:
        yield start
        start += 2 + int.from_bytes(content[start + 2 : start + 4], "big")


def _with_right_sums(content: bytes) -> bytes:
    """Return a PNG whose checksums are right again as far as its chunks can be followed."""
    fixed, end = bytearray(content), 8
    for start, end in _png_chunks(content):
        fixed[end - 4 : end] = struct.pack(">I", zlib.crc32(content[start + 4 : end - 4]))
    return bytes(fixed[:end]) + content[end:]


_MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip_bits,
    _flip_in_the_header,
    _cut_off,
    _cut_out,
    _repeat,
    _blank,
    _scramble,
    _splice,
    _lie_about_a_length,
    _lie_about_the_size,
    _mix_chunks,
    _add_a_chunk,
    _polyglot,
    _only_a_signature,
)
