"""Pictures that tests send, and a desk to have them encoded at."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pyvips

from hub.storage.images import Encoded, Encoding, ImageProcesses, MediaType

#: What the hub stores if nothing else is set.
AVIF = Encoding(media_type="image/avif", quality=70, effort=0)
WEBP = Encoding(media_type="image/webp", quality=80, effort=2)
JPEG = Encoding(media_type="image/jpeg", quality=85, effort=0)


def photo(width: int, height: int, *, bands: int = 3) -> pyvips.Image:
    """Return something like a photograph: soft shapes and some noise, the same each time."""
    small = pyvips.Image.gaussnoise(width // 16 + 2, height // 16 + 2, mean=128, sigma=45, seed=1)
    soft = small.resize(16).crop(0, 0, width, height)
    noise = [pyvips.Image.gaussnoise(width, height, mean=0, sigma=5, seed=seed) for seed in range(bands)]
    layers = [(soft + layer).cast("uchar") for layer in noise]
    joined = layers[0].bandjoin(layers[1:]) if bands > 1 else layers[0]
    return joined.copy(interpretation="srgb" if bands > 2 else "b-w").copy_memory()


def plain(width: int, height: int, *, bands: int = 3, deep: bool = False) -> pyvips.Image:
    """Return one colour everywhere, however large; ``deep``: 16 bits."""
    image = pyvips.Image.black(width, height, bands=bands)
    return image.cast("ushort").copy(interpretation="rgb16") if deep else image.copy(interpretation="srgb")


def corners(image: pyvips.Image) -> str:
    """Return the colours in the corners, row by row: R, G, B or W each."""
    names = {(True, False, False): "R", (False, True, False): "G", (False, False, True): "B"}
    right, bottom = image.width - 3, image.height - 3
    found = (image(x, y) for x, y in ((2, 2), (right, 2), (2, bottom), (right, bottom)))
    return "".join(names.get(tuple(value > 128 for value in colour[:3]), "W") for colour in found)


def quarters(size: int = 64) -> pyvips.Image:
    """Return red, green, blue and white quarters, row by row; twice as wide as high."""

    def block(*colour: int) -> pyvips.Image:
        return (pyvips.Image.black(size, size // 2, bands=3) + list(colour)).cast("uchar")

    tiles = [block(255, 0, 0), block(0, 255, 0), block(0, 0, 255), block(255, 255, 255)]
    return pyvips.Image.arrayjoin(tiles, across=2).copy(interpretation="srgb")


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return one chunk as a PNG has them."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def flat_png(width: int, height: int) -> bytes:
    """Return a valid black PNG of one bit a pixel: 5,000 times smaller than what it unfolds to."""
    squeeze = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    pixels = b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


class Desk:
    """A folder to work in: what comes, what it becomes."""

    def __init__(self, folder: Path, processes: ImageProcesses) -> None:
        self.processes = processes
        self.folder = folder
        self.source, self.main, self.thumb, self.other = (
            folder / name for name in ("source [n=2]", "main", "thumb", "other")
        )
        for path in (self.source, self.main, self.thumb, self.other):
            path.touch()

    async def encode(self, content: bytes, *, box: int = 800, encoding: Encoding = AVIF) -> Encoded:
        """Encode these bytes."""
        self.source.write_bytes(content)
        return await self.processes.encode(
            self.source, main=self.main, thumb=self.thumb, box=box, encoding=encoding
        )

    async def convert(self, media_type: MediaType, *, quality: int = 80) -> pyvips.Image:
        """Convert what was encoded last, and open the result."""
        await self.processes.convert(self.main, target=self.other, media_type=media_type, quality=quality)
        return open_bytes(self.other.read_bytes())

    def stored(self) -> pyvips.Image:
        """Open the main file."""
        return open_bytes(self.main.read_bytes())

    def small(self) -> pyvips.Image:
        """Open the thumbnail."""
        return open_bytes(self.thumb.read_bytes())


def open_bytes(content: bytes) -> pyvips.Image:
    """Open a picture that was made here."""
    return pyvips.Image.new_from_buffer(content, "")


def memory_of(pid: int, what: str) -> float:
    """Return a line of a process's status (``VmHWM``: the most it ever held, ``VmRSS``: now) in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) / 1024
