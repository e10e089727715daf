"""What an archive says of itself.

``about.json`` comes first, so that a newer archive is refused at once; ``manifest.json`` comes last, when
every hash is known.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

import hub
from hub.backup.errors import DamagedArchiveError
from hub.core.errors import StartError

#: Of the archive's layout. One that older versions cannot read gets the next number.
FORMAT = 1
ABOUT, MANIFEST, KEY = "about.json", "manifest.json", "secret_key"

Identifier = Annotated[str, Meta(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
Natural = Annotated[int, Meta(ge=0)]
FaultKind = Literal["row without file", "wrong hash", "unreadable file"]


class About(Struct, frozen=True, kw_only=True):
    """Which hub made the archive: ``migration`` is the newest that its database had."""

    format: int
    version: str
    migration: str
    created_at: datetime


class Table(Struct, frozen=True, kw_only=True):
    """A table's rows, in ``parts`` files of PostgreSQL's COPY text with these columns."""

    name: Identifier
    columns: list[str]
    rows: Natural
    parts: Natural


class Sequence(Struct, frozen=True, kw_only=True):
    """Where a sequence stood."""

    name: Identifier
    value: int
    is_called: bool


class Database(Struct, frozen=True, kw_only=True):
    """What the dump holds: every migration that had run, in order, and the tables."""

    server: str
    migrations: list[str]
    tables: list[Table]
    sequences: list[Sequence]


class Key(Struct, frozen=True, kw_only=True):
    """The hub's key: in the archive if the hub had made it itself. ``fingerprint`` tells it from others."""

    in_archive: bool
    fingerprint: str


class File(Struct, frozen=True, kw_only=True):
    """One entry: its bytes' hash in hexadecimal, and how many they are."""

    sha256: str
    size: int


class Fault(Struct, frozen=True, kw_only=True):
    """A picture's file that the hub itself no longer had whole."""

    path: str
    fault: FaultKind


class Manifest(About, frozen=True, kw_only=True):
    """The whole of it; ``files`` are all entries but the manifest itself."""

    counts: dict[str, int]
    database: Database
    key: Key
    files: dict[str, File]
    faults: list[Fault]


def read(content: bytes, kind: type[About] = About, *, name: str = ABOUT) -> About:
    """Read what an archive says of itself.

    Raises:
        DamagedArchiveError: it says nothing that can be understood.
        StartError: a newer version made it.
    """
    try:
        # A newer one may have other fields: what it is comes first.
        require_known(msgspec.json.decode(content, type=About))
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise DamagedArchiveError(name, f"cannot be understood ({error})") from None


def require_known(about: About, *, migrations: Collection[str] = ()) -> None:
    """Return if this version can read the archive.

    Raises:
        StartError: it is of a newer version; the sentence names both.
    """
    if about.format > FORMAT or _numbers(about.version) > _numbers(hub.__version__):
        raise StartError(
            f"The archive was made by version {about.version} of the hub, this is {hub.__version__}."
            f" Install {about.version} or a later one, and restore with that."
        )
    if migrations and about.migration not in migrations:
        raise StartError(
            f"The archive was made with migration {about.migration}, of which this version"
            f" ({hub.__version__}, up to {max(migrations)}) does not know. Install the version that made it"
            f" ({about.version}) or a later one, and restore with that."
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number[:9]) for number in re.findall(r"\d+", version.partition("+")[0])[:4])


def counts_of(tables: Iterable[Table]) -> dict[str, int]:
    """Return how many of everything there are that people count."""
    rows = {table.name: table.rows for table in tables}
    return {name: rows.get(name, 0) for name in ("users", "companions", "messages", "images")}


def fingerprint(key: str) -> str:
    """Return what tells a key from another, and tells nothing else of it."""
    return hashlib.sha256(b"fingerprint\0" + key.encode()).hexdigest()[:8]
