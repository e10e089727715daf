"""The original's picture files: found below one folder, never outside of it."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import ExitStack
from pathlib import Path

from hub.core.errors import StartError
from hub.legacy.writing import LIMIT, UnreadablePictureError
from hub.storage.errors import disk_errors

_ADDRESS = re.compile(
    r"/uploads/companions/([A-Za-z0-9_-]{1,200})/(headers|generated)/([A-Za-z0-9_-][A-Za-z0-9._-]{0,200})\s*\Z"
)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not waiting: somebody may have put a pipe where a picture should be.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20


class Uploads:
    """The folder that holds the original's ``companions/``; None when it was not given."""

    def __init__(self, folder: Path | None) -> None:
        if folder is not None and not (folder / "companions").is_dir():
            raise StartError(
                f"There is no folder companions in {folder}. Give the original's public/uploads as --uploads."
            )
        self._folder = folder

    def copy(self, address: str, companion_id: str, descriptor: int) -> int:
        """Copy the file of an address into an open one; return how many bytes it has.

        Args:
            address: ``/uploads/companions/{companion}/{headers or generated}/{name}``.
            companion_id: whose file it has to be.
            descriptor: of an empty file.

        Raises:
            UnreadablePictureError: there is no such file, or it is not to be had this way.
            NoRoomError, StorageFailedError: our disk refuses.
        """
        parts = _ADDRESS.match(address)
        if parts is None:
            raise UnreadablePictureError("its address is not one that the original gives to pictures")
        if parts[1] != companion_id:
            raise UnreadablePictureError("its address is that of another companion's file")
        if self._folder is None:
            raise UnreadablePictureError("it is a file, and no --uploads folder was given")
        with ExitStack() as stack:
            source = self._open(self._folder, ("companions", *parts.groups()), stack)
            return _copy(source, descriptor)

    @staticmethod
    def _open(folder: Path, steps: tuple[str, ...], stack: ExitStack) -> int:
        """Open a file step by step, so that no link on the way leads elsewhere."""
        try:
            place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, place)
            for number, step in enumerate(steps, start=1):
                place = os.open(step, _FILE if number == len(steps) else _FOLDER, dir_fd=place)
                stack.callback(os.close, place)
        except OSError as error:
            raise UnreadablePictureError(_reason(error)) from None
        return place


def _copy(source: int, target: int) -> int:
    status = os.fstat(source)
    if not stat.S_ISREG(status.st_mode):
        raise UnreadablePictureError("its file is not a regular one")
    size = 0
    while data := _read(source):
        size += len(data)
        if size > LIMIT:
            raise UnreadablePictureError(f"its file is larger than {LIMIT // 1_000_000} MB")
        rest = memoryview(data)
        with disk_errors():
            while rest:
                rest = rest[os.write(target, rest) :]
    return size


def _read(source: int) -> bytes:
    try:
        return os.read(source, _CHUNK)
    except OSError as error:
        raise UnreadablePictureError(_reason(error)) from None


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "its file is not in the --uploads folder"
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "a symbolic link stands in the way of its file, and none is followed"
    return f"its file cannot be read ({error.strerror})"
