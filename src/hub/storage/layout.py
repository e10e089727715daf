"""Where files lie below the data folder.

``uploads/companions/{companion id}/{headers,generated}/{sha256}.avif`` and ``uploads/tmp/``.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal
from uuid import UUID

from msgspec import Struct

from hub.storage.images import MediaType

Kind = Literal["header", "generated"]

UPLOADS = "uploads"
#: Where a restore gathers a backup, and what says there that files are in their places but not the rows.
RESTORING, PLACING = "restoring", "placing"
FOLDERS: dict[Kind, str] = {"header": "headers", "generated": "generated"}
SUFFIXES: dict[MediaType, str] = {"image/avif": ".avif", "image/webp": ".webp", "image/jpeg": ".jpg"}
THUMB = ".thumb"

_KINDS: dict[str, Kind] = {folder: kind for kind, folder in FOLDERS.items()}
_FILE_NAME = re.compile(
    rf"[0-9a-f]{{64}}({re.escape(THUMB)})?({'|'.join(map(re.escape, SUFFIXES.values()))})"
)


class Family(Struct, frozen=True):
    """All files of one picture: they lie in one folder and begin with ``sha256``, the main file's hash."""

    companion_id: UUID
    kind: Kind
    sha256: str

    def folder(self, data_dir: Path) -> Path:
        """Return the folder of the files."""
        return companions_folder(data_dir) / str(self.companion_id) / FOLDERS[self.kind]

    def file(self, data_dir: Path, media_type: MediaType, *, thumb: bool = False) -> Path:
        """Return the place of one of the files."""
        return self.folder(data_dir) / f"{self.sha256}{THUMB if thumb else ''}{SUFFIXES[media_type]}"

    def names(self) -> Iterator[str]:
        """Name every file that the family may have."""
        for suffix in SUFFIXES.values():
            yield f"{self.sha256}{suffix}"
            yield f"{self.sha256}{THUMB}{suffix}"


def family_of(folder: tuple[str, ...], name: str) -> Family | None:
    """Return the family that a file belongs to, by where it lies and what it is called.

    Args:
        folder: the names of the folders below that of the companions.
        name: of the file.
    """
    if len(folder) != 2 or folder[1] not in _KINDS or not _FILE_NAME.fullmatch(name):  # noqa: PLR2004 - companion, kind
        return None
    try:
        companion_id = UUID(folder[0])
    except ValueError:
        return None
    return Family(companion_id, _KINDS[folder[1]], name[:64]) if str(companion_id) == folder[0] else None


def companions_folder(data_dir: Path) -> Path:
    """Return the folder that has one folder a companion."""
    return data_dir / UPLOADS / "companions"


def temporary_folder(data_dir: Path) -> Path:
    """Return the folder of files that are not complete yet, or not wanted any more."""
    return data_dir / UPLOADS / "tmp"


def prepare(data_dir: Path) -> None:
    """Make the folders that are missing; what lies in them is this hub's from now on.

    Raises:
        OSError: the data folder cannot be written to.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    for folder in (data_dir / UPLOADS, companions_folder(data_dir), temporary_folder(data_dir)):
        folder.mkdir(mode=0o700, exist_ok=True)
        _close_to_others(folder)
    (data_dir / RESTORING / PLACING).unlink(missing_ok=True)  # no restore may take the pictures away again
    check_writable(data_dir)


def _close_to_others(folder: Path) -> None:
    """Take back what a clone or a copy gave to everybody; what a group alone was given, somebody chose."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & stat.S_IRWXO:
        with suppress(PermissionError):  # somebody else's folder: hub doctor tells of it
            folder.chmod(mode & ~(stat.S_IRWXG | stat.S_IRWXO))


def check_writable(data_dir: Path) -> None:
    """Return if files can be written.

    Raises:
        OSError: they cannot.
    """
    handle, name = tempfile.mkstemp(dir=temporary_folder(data_dir), prefix="check-")
    os.close(handle)
    Path(name).unlink(missing_ok=True)  # the collector may have come by
