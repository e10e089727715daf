"""Writing an archive, entry by entry, and reading one back to see that it is whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Protocol, cast

import msgspec

from hub.backup import frames, manifest, places, tape
from hub.backup.errors import DamagedArchiveError
from hub.backup.manifest import ABOUT, KEY, MANIFEST, About, File, Manifest
from hub.backup.pictures import Packed

#: Bytes that a manifest may have: so many, and more for each entry that came before it.
_MANIFEST_LEAST, _MANIFEST_EACH = 64_000_000, 1000

#: Which files there were, with what bytes, in the archive's order.
Found = dict[str, File]


class Sink(Protocol):
    """Where an archive goes."""

    def write(self, content: bytes, /) -> object:
        """Take all of these bytes."""


class Writer:
    """Writes entries to a sink and remembers their hashes."""

    def __init__(self, sink: Sink, *, modified: int) -> None:
        self.files: Found = {}
        self.bytes = 0
        self.modified = modified
        self._sink = sink

    def add(self, name: str, content: bytes | bytearray) -> None:
        """Write a file."""
        self.files[name] = File(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        header = tape.header(name, len(content), modified=self.modified)
        self._write(frames.compress(header))
        self._write(frames.compress(bytes(content) + tape.padding(len(content))))

    def add_packed(self, packed: Packed) -> None:
        """Write a picture's file that is ready; its hash is that of its row."""
        if isinstance(packed.frames, bytes):
            self.files[packed.picture.path] = File(sha256=packed.picture.sha256, size=packed.size)
            self._write(packed.frames)

    def end(self, whole: Manifest) -> None:
        """Write the manifest, and the end."""
        self.add(MANIFEST, msgspec.json.format(msgspec.json.encode(whole), indent=1))
        self._write(frames.compress(tape.END))

    def _write(self, packed: bytes) -> None:
        self._sink.write(packed)
        self.bytes += len(packed)


class Unpacker(Protocol):
    """What is done with the entries of an archive that is read."""

    def begin(self, name: str, size: int) -> Callable[[bytes], object]:
        """Return what takes the content of this entry, piece by piece."""


class Nowhere:
    """Takes entries, and does nothing with them."""

    def begin(self, name: str, size: int) -> Callable[[bytes], object]:  # noqa: ARG002 - as Unpacker has it
        """Return what takes the content."""
        return len


def read_through(
    source: frames.Source, unpacker: Unpacker, *, on_about: Callable[[About], None] = lambda _: None
) -> tuple[Manifest, str]:
    """Read an archive from one end to the other and compare every entry with the manifest.

    Args:
        source: the archive; it is not sought in.
        unpacker: takes the contents, before anything is known of them but their names and sizes.
        on_about: is asked as soon as the archive has said who made it.

    Returns:
        The manifest, and its hash.

    Raises:
        DamagedArchiveError: something is missing, damaged, or does not belong there; the first is named.
        StartError: a newer version made it.
    """
    found: Found = {}
    told = bytearray()
    for name, content in _entries(source, unpacker, found):
        if name == ABOUT:
            on_about(manifest.read(b"".join(content)))
        elif name == MANIFEST:
            for piece in content:
                told += piece
        else:
            for _piece in content:
                pass
    if MANIFEST not in found:
        raise DamagedArchiveError(MANIFEST, "is missing")
    whole = cast("Manifest", manifest.read(bytes(told), Manifest, name=MANIFEST))
    digest = found.pop(MANIFEST).sha256
    _compare(whole.files, found)
    _require_consistent(whole)
    return whole, digest


def _entries(
    source: frames.Source, unpacker: Unpacker, found: Found
) -> Iterator[tuple[str, Iterator[bytes]]]:
    reader = tape.Reader(frames.Frames(source).read, frames.ERRORS)
    for entry, content in reader.entries():
        if entry.size > places.limit_of(entry.name) or (
            entry.name == MANIFEST and entry.size > _MANIFEST_LEAST + _MANIFEST_EACH * len(found)
        ):
            raise DamagedArchiveError(entry.name, "has an absurd size")
        if entry.name in found:
            raise DamagedArchiveError(entry.name, "is there twice")
        digest = hashlib.sha256()
        yield entry.name, _hashed(content, digest.update, unpacker.begin(entry.name, entry.size))
        found[entry.name] = File(sha256=digest.hexdigest(), size=entry.size)


def _hashed(content: Iterator[bytes], *takers: Callable[[bytes], object]) -> Iterator[bytes]:
    for piece in content:
        for take in takers:
            take(piece)
        yield piece


def _compare(wanted: Found, found: Found) -> None:
    """Return if the files are those that the manifest names; the first that is not is named."""
    for name, file in found.items():
        if name not in wanted:
            raise DamagedArchiveError(name, "is not in the manifest")
        if wanted[name] != file:
            raise DamagedArchiveError(name, "has other bytes than the manifest says")
    for name in wanted:
        if name not in found:
            raise DamagedArchiveError(name, "is missing")


def _require_consistent(whole: Manifest) -> None:
    """Return if a manifest says the same of the same things; nothing is counted that is not there."""
    database = whole.database
    tables = {table.name: table for table in database.tables}
    parts = [part for name in whole.files if (part := places.table_of(name))]
    for table, number in parts:
        if table not in tables or not 1 <= number <= tables[table].parts:
            raise DamagedArchiveError(places.part_of(table, number), "is of no table in the manifest")
    wrong = {
        "has a table twice": len(tables) != len(database.tables),
        "names parts of tables that are missing": sum(each.parts for each in database.tables) != len(parts),
        "has other counts than its tables": whole.counts != manifest.counts_of(database.tables),
        "tells of another key than it has": whole.key.in_archive != (KEY in whole.files),
    }
    for what, is_wrong in wrong.items():
        if is_wrong:
            raise DamagedArchiveError(MANIFEST, what)
