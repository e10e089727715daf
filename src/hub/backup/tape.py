"""The tar format (POSIX ustar), as much of it as an archive needs; nothing in it is believed.

Reading takes what other tar programs make of the same entries: long names of GNU and pax, and folders, which
are passed over. Everything else, like links and devices, is refused.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator

from msgspec import Struct

from hub.backup.errors import DamagedArchiveError

BLOCK = 512
END = bytes(2 * BLOCK)
#: Bytes that are read at once.
PIECE = 1 << 20
#: The most that may stand in a header that is longer than a block, and behind the end.
_LONG_HEADER = 1 << 16
_PADDING = 1 << 20
_FILE, _FOLDER, _LONG_NAME, _PAX, _PAX_FOR_ALL = b"0", b"5", b"L", b"x", b"g"
#: More than a manifest can name.
_ENTRIES_LIMIT = 3_000_000


class Entry(Struct, frozen=True):
    """A file in the archive, before its content is read."""

    name: str
    size: int


def header(name: str, size: int, *, modified: int) -> bytes:
    """Return what stands before a file's content, for nobody else to read once it is unpacked.

    Args:
        name: with folders, each at most 100 bytes long and together at most 255.
        size: of the content in bytes.
        modified: seconds since 1970.
    """
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, modified, 0o600
    return member.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")


def padding(size: int) -> bytes:
    """Return what stands behind a content of this size."""
    return bytes(-size % BLOCK)


class Reader:
    """Reads entries in their order; ``read(size)`` gives the next bytes, fewer at the end.

    ``errors`` are what it raises for damage of its own.
    """

    def __init__(self, read: Callable[[int], bytes], errors: tuple[type[Exception], ...]) -> None:
        self._read = read
        self._errors = errors
        self._where = "the beginning"

    def entries(self) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """Yield each file and its content in pieces; what is not taken of it is passed over.

        Raises:
            DamagedArchiveError: it is not whole, or has something in it that does not belong there.
        """
        for _ in range(_ENTRIES_LIMIT):
            entry = self._header()
            if entry is None:
                self._end()
                return
            self._where = entry.name
            content = self._content(entry.size)
            yield entry, content
            for _piece in content:
                pass
            self._where = f"what follows {entry.name}"
        raise DamagedArchiveError(self._where, "is one entry too many")

    def _header(self) -> Entry | None:
        long_name = ""
        while (block := self._exactly(BLOCK)).strip(b"\0"):
            kind, size, name = self._parse(block)
            if kind == _FILE:
                return Entry(_plain(long_name or name), size)
            if kind == _FOLDER and size == 0:
                long_name = ""
            elif kind in (_LONG_NAME, _PAX, _PAX_FOR_ALL):
                if size > _LONG_HEADER:
                    raise DamagedArchiveError(self._where, "has a header of an absurd size")
                more = self._exactly(size + len(padding(size)))[:size]
                long_name = self._name_in(kind, more) or long_name
            else:
                self._where = long_name or name
                raise DamagedArchiveError(self._where, "is neither a file nor a folder")
        return None

    def _parse(self, block: bytes) -> tuple[bytes, int, str]:
        try:
            claimed = int(block[148:156].strip(b" \0"), 8)
            size = int(block[124:136].strip(b" \0") or b"0", 8)
            parts = [block[:100]] if block[257:263] != b"ustar\0" else [block[345:500], block[:100]]
            name = "/".join(part.partition(b"\0")[0].decode() for part in parts if part[:1] != b"\0")
        except ValueError:  # of bytes that are no UTF-8 too
            raise DamagedArchiveError(self._where, "has a header that cannot be understood") from None
        if size < 0 or claimed != sum(block) - sum(block[148:156]) + 8 * 32:
            raise DamagedArchiveError(self._where, "has a damaged header")
        kind = block[156:157]
        return _FILE if kind == b"\0" else kind, size, name

    def _name_in(self, kind: bytes, content: bytes) -> str:
        try:
            if kind == _LONG_NAME:
                return content.partition(b"\0")[0].decode()
            fields = _pax(content)
        except ValueError:
            raise DamagedArchiveError(self._where, "has a header that cannot be understood") from None
        if "size" in fields or any("sparse" in field for field in fields):
            raise DamagedArchiveError(self._where, "has a size that is not its own")
        return fields.get("path", "") if kind == _PAX else ""

    def _content(self, size: int) -> Iterator[bytes]:
        missing = size
        while missing:
            piece = self._exactly(min(missing, PIECE))
            missing -= len(piece)
            if not missing:  # the padding first, so that damage is found before the entry counts as read
                self._exactly(len(padding(size)))
            yield piece

    def _end(self) -> None:
        """See that nothing but zeros follows, and that what follows is whole."""
        self._where = "the end"
        for _ in range(_PADDING // BLOCK):
            block = self._checked(BLOCK)
            if block.strip(b"\0"):
                break
            if not block:
                return
        raise DamagedArchiveError(self._where, "is followed by something else")

    def _exactly(self, size: int) -> bytes:
        content = self._checked(size)
        if len(content) < size:
            raise DamagedArchiveError(self._where, "is not whole: the archive ends there")
        return content

    def _checked(self, size: int) -> bytes:
        try:
            return self._read(size)
        except EOFError:
            raise DamagedArchiveError(self._where, "is not whole: the archive ends there") from None
        except self._errors as error:
            raise DamagedArchiveError(self._where, f"is damaged ({error})") from None


def _pax(content: bytes) -> dict[str, str]:
    """Return the fields of an extended header: lines of "length key=value"."""
    fields: dict[str, str] = {}
    while content:
        digits = content.partition(b" ")[0]
        length = int(digits)
        line = content[len(digits) + 1 : length]
        if length <= len(digits) or not line.endswith(b"\n"):
            raise ValueError
        key, _, value = line[:-1].partition(b"=")
        fields[key.decode()] = value.decode()
        content = content[length:]
    return fields


def _plain(name: str) -> str:
    """Return a name as the hub would write it; one that leads elsewhere stays as it is, and is refused."""
    while name.startswith("./"):
        name = name[2:]
    return name
