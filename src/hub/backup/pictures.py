"""The files of pictures on their way into an archive: read, compared with their rows, and packed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
from msgspec import Struct

from hub.backup import frames, tape
from hub.backup.manifest import Fault, FaultKind
from hub.storage.images import MediaType
from hub.storage.layout import Family, Kind

#: Threads that read and pack, and files that are held in memory at the same time.
_READERS = 2
_AHEAD = 16

#: What paths in an archive are seen from.
_HERE = Path()

_FILES = """
SELECT DISTINCT companion_id, kind, sha256, media_type, thumb_sha256, bytes, thumb_bytes FROM images
ORDER BY companion_id, kind, sha256
"""


class Picture(Struct, frozen=True):
    """A file that a row refers to; ``path`` is below the data folder."""

    path: str
    sha256: str
    size: int


class Packed(Struct, frozen=True):
    """A file as it goes into the archive; a fault in place of the bytes where it is not as its row says."""

    picture: Picture
    size: int
    frames: bytes | FaultKind


async def referenced(connection: asyncpg.Connection) -> list[Picture]:
    """Return every file that the rows of a transaction refer to, each once."""
    found: dict[str, Picture] = {}
    async for row in connection.cursor(_FILES, prefetch=1000):
        for picture in _files_of(row):
            found.setdefault(picture.path, picture)
    return list(found.values())


def _files_of(row: Mapping[str, Any]) -> Iterator[Picture]:
    kind: Kind = row["kind"]
    media_type: MediaType = row["media_type"]
    family = Family(row["companion_id"], kind, row["sha256"])
    for is_thumb, name in ((False, ""), (True, "thumb_")):
        path = family.file(_HERE, media_type, thumb=is_thumb)
        yield Picture(path.as_posix(), row[f"{name}sha256"], row[f"{name}bytes"])


def pack(data_dir: Path, pictures: Sequence[Picture], *, modified: int) -> Generator[Packed, None, None]:
    """Read files, some ahead of time, and yield them ready to be written, in their order."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="backup") as pool:
        ahead: deque[Future[Packed]] = deque()
        try:
            for picture in pictures:
                ahead.append(pool.submit(_pack, data_dir, picture, modified))
                if len(ahead) >= _AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for each in ahead:
                each.cancel()


def _pack(data_dir: Path, picture: Picture, modified: int) -> Packed:
    try:
        content = _read(f"{data_dir}/{picture.path}", at_most=picture.size + 1)
    except FileNotFoundError:
        return Packed(picture, 0, "row without file")
    except OSError:
        return Packed(picture, 0, "unreadable file")
    if hashlib.sha256(content).hexdigest() != picture.sha256:
        return Packed(picture, 0, "wrong hash")
    size = len(content)
    header = tape.header(picture.path, size, modified=modified)
    packed = frames.compress(header) + frames.compress(content + tape.padding(size))
    return Packed(picture, size, packed)


def _read(path: str, *, at_most: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return file.read(at_most)


def faults_of(packed: Packed) -> list[Fault]:
    """Return what is wrong with a file, if anything is."""
    if isinstance(packed.frames, bytes):
        return []
    return [Fault(path=packed.picture.path, fault=packed.frames)]
