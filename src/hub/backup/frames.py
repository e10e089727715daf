"""Zstandard: each entry's header and content is a frame of its own, with a checksum.

So entries are compressed side by side, and damage stays where it is. Every zstd program reads the whole.
"""

from __future__ import annotations

import sys
import threading
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: Pictures do not become smaller, and zstd passes over them at some GB/s at any level; this one suits text.
_LEVEL = 3
#: Bytes that are read from the file at once, and that a decoder may need for its window.
_READ = 1 << 17
_WINDOW_LOG = 27

ERRORS = (zstd.ZstdError, EOFError)

_of_thread = threading.local()


def compress(content: bytes | bytearray | memoryview) -> bytes:
    """Return the content as one frame; from any thread."""
    compressor: zstd.ZstdCompressor | None = getattr(_of_thread, "compressor", None)
    if compressor is None:
        parameter = zstd.CompressionParameter
        options: dict[int, int] = {parameter.compression_level: _LEVEL, parameter.checksum_flag: 1}
        compressor = _of_thread.compressor = zstd.ZstdCompressor(options=options)
    return compressor.compress(content, zstd.ZstdCompressor.FLUSH_FRAME)


class Source(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most so many; none at the end."""


class Frames:
    """Reads frames, one after the other, and never holds more than was asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._decoder = _decoder()
        self._given = b""

    def read(self, size: int) -> bytes:
        """Return so many bytes, or fewer if there are no more.

        Raises:
            EOFError: the source ends in the middle of a frame.
            ZstdError: it is damaged.
        """
        parts: list[bytes] = []
        missing = size
        while missing:
            part = self._some(missing)
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, limit: int) -> bytes:
        while True:
            if self._decoder.eof:
                self._given = self._decoder.unused_data or self._source.read(_READ)
                if not self._given:
                    return b""
                self._decoder = _decoder()
            elif self._decoder.needs_input:
                self._given = self._source.read(_READ)
                if not self._given:
                    raise EOFError
            part = self._decoder.decompress(self._given, limit)
            self._given = b""
            if part:
                return part


def _decoder() -> zstd.ZstdDecompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
