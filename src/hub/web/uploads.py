"""Files that clients send: written to the disk as they arrive, never held whole in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from litestar.exceptions import InternalServerException
from msgspec import Struct
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from hub.core.errors import FieldError, HubError, InvalidPart, InvalidRequestError
from hub.domain.archive.lines import NDJSON
from hub.storage.errors import disk_errors
from hub.storage.files import TempFile
from hub.storage.threads import to_end
from hub.web.requests import HubRequest, IncompleteRequestError, UnsupportedMediaTypeError

#: Bytes beside the file that a multipart body may have: boundaries, headers, small fields.
_MULTIPART_EXTRA = 64 * 1024
#: Seconds within which the next piece of a body has to arrive.
_PATIENCE = 30.0
#: Seconds that a whole body may take: 17 kB a second at the least.
_LONGEST = 600.0
#: Bytes that are written to the disk at once.
_PIECE = 256 * 1024

MULTIPART = "multipart/form-data"
FIELD = "file"


class Upload(Struct, frozen=True, kw_only=True):
    """What a route takes: a file of one of these types, of so many megabytes. ``what`` is its name."""

    what: str
    media_types: tuple[str, ...]
    limit_mb: int

    @property
    def limit(self) -> int:
        """Bytes that the file may have."""
        return self.limit_mb * 1024 * 1024


PICTURE = Upload(what="picture", media_types=("image/jpeg", "image/png", "image/webp"), limit_mb=10)
#: What a conversation may be sent as; how large it may be is a setting.
CONVERSATION_TYPES = (NDJSON, "application/jsonl", "text/plain")


class UploadTooLargeError(HubError):
    """A file of more bytes than are taken."""

    status = 413
    code = "too_large"
    title = "The file is too large"

    def __init__(self, upload: Upload) -> None:
        super().__init__(f"A {upload.what} may have up to {upload.limit_mb} MB. Send a smaller one.")


def check_upload(request: HubRequest, upload: Upload = PICTURE) -> int:
    """Look at the headers, before anything of the body is read.

    Returns:
        How many bytes the body may have, or has where the client says so.

    Raises:
        UnsupportedMediaTypeError, UploadTooLargeError: it will not be taken.
    """
    media_type = parse_options_header(request.headers.get("content-type", ""))[0]
    if media_type not in (*upload.media_types, MULTIPART):
        raise UnsupportedMediaTypeError(
            f"Send the {upload.what} itself as {', '.join(upload.media_types)},"
            f" or a form with a file in '{FIELD}'."
        )
    limit = _limit(media_type, upload)
    announced = request.content_length
    if announced is not None and announced > limit:
        raise UploadTooLargeError(upload)
    return announced if announced is not None else limit


async def receive_upload(request: HubRequest, temp: TempFile, upload: Upload = PICTURE) -> int:
    """Write the file of a request to one of ours.

    Returns:
        Its size in bytes.

    Raises:
        UploadTooLargeError: it has more bytes than are taken, or a form has too many beside it.
        InvalidRequestError: a form that is none, or has no file.
        IncompleteRequestError: the client left or went silent.
        NoRoomError, StorageFailedError: the disk refuses.
    """
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    pieces = body_of(request, _limit(media_type, upload), upload)
    if media_type == MULTIPART:
        pieces = _file_of_form(pieces, options.get("boundary", ""))
    writer = UploadWriter(temp, upload)
    async for piece in pieces:
        await writer.add(piece)
    await writer.finish()
    return writer.size


class UploadWriter:
    """Writes a file of ours as its pieces come, as many bytes as are taken."""

    def __init__(self, temp: TempFile, upload: Upload) -> None:
        self.size = 0
        self._temp = temp
        self._upload = upload
        self._waiting = bytearray()

    async def add(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            UploadTooLargeError: it is one too many.
            NoRoomError, StorageFailedError: the disk refuses.
        """
        self.size += len(piece)
        if self.size > self._upload.limit:
            raise UploadTooLargeError(self._upload)
        self._waiting += piece
        if len(self._waiting) >= _PIECE:
            await self.finish()

    async def finish(self) -> None:
        """Write what has come so far; raises as ``add`` does."""
        waiting, self._waiting = self._waiting, bytearray()
        with disk_errors():
            await to_end(_write_all, self._temp.descriptor, waiting)


def _write_all(descriptor: int, waiting: bytearray) -> None:
    while waiting:
        del waiting[: os.write(descriptor, waiting)]


async def body_of(request: HubRequest, limit: int, upload: Upload) -> AsyncIterator[bytes]:
    """Yield a body as it comes.

    Raises:
        UploadTooLargeError: it has more bytes than ``limit``.
        IncompleteRequestError: the client left or went silent.
    """
    stream = request.stream()
    clock = asyncio.get_running_loop().time
    end = clock() + _LONGEST
    size = 0
    while True:
        try:
            async with asyncio.timeout(min(_PATIENCE, end - clock())):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except (InternalServerException, TimeoutError):  # the framework's word for a client that has left
            raise IncompleteRequestError("Send the whole body.") from None
        size += len(piece)
        if size > limit:  # of a form also what is not the file
            raise UploadTooLargeError(upload)
        yield piece


async def _file_of_form(pieces: AsyncIterator[bytes], boundary: str) -> AsyncIterator[bytes]:
    is_file = found = False
    async for part in parts_of(pieces, boundary):
        if isinstance(part, MultipartSegment):
            if found and part.name == FIELD:
                raise FieldError(f"/{FIELD}", "Send one file at a time.")
            is_file = part.name == FIELD
            found = found or is_file
        elif is_file:
            yield part
    if not found:
        raise FieldError(f"/{FIELD}", f"The form has no file in '{FIELD}'.")


async def parts_of(pieces: AsyncIterator[bytes], boundary: str) -> AsyncIterator[MultipartSegment | bytes]:
    """Yield the head of each field of a form, and then its bytes.

    Raises:
        InvalidRequestError: it is not well-formed.
    """
    try:
        parser = PushMultipartParser(boundary, max_segment_count=20)
        async for piece in pieces:
            for event in parser.parse(piece) if piece else ():
                if event is not None:
                    yield event if isinstance(event, MultipartSegment) else bytes(event)
        parser.close()
    except MultipartError:
        raise InvalidRequestError(
            "The form is not well-formed.", [InvalidPart("", "This is no complete multipart/form-data body.")]
        ) from None


def _limit(media_type: str, upload: Upload) -> int:
    return upload.limit + (_MULTIPART_EXTRA if media_type == MULTIPART else 0)
