"""Files that clients send: written to the disk as they arrive, never held whole in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from litestar.exceptions import InternalServerException
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from hub.core.errors import FieldError, HubError, InvalidPart, InvalidRequestError
from hub.storage.errors import disk_errors
from hub.storage.files import TempFile
from hub.storage.threads import to_end
from hub.web.requests import HubRequest, IncompleteRequestError, UnsupportedMediaTypeError

#: Bytes that a picture may have.
UPLOAD_LIMIT = 10 * 1024 * 1024
#: Bytes beside the file that a multipart body may have: boundaries, headers, small fields.
_MULTIPART_EXTRA = 64 * 1024
#: Seconds within which the next piece of a body has to arrive.
_PATIENCE = 30.0
#: Seconds that a whole body may take: 17 kB a second at the least.
_LONGEST = 600.0
#: Bytes that are written to the disk at once.
_PIECE = 256 * 1024

PICTURES = ("image/jpeg", "image/png", "image/webp")
MULTIPART = "multipart/form-data"
FIELD = "file"


class UploadTooLargeError(HubError):
    """A picture of more bytes than are taken."""

    status = 413
    code = "too_large"
    title = "The picture is too large"


def check_upload(request: HubRequest) -> int:
    """Look at the headers, before anything of the body is read.

    Returns:
        How many bytes the body may have, or has where the client says so.

    Raises:
        UnsupportedMediaTypeError, UploadTooLargeError: it will not be taken.
    """
    media_type = parse_options_header(request.headers.get("content-type", ""))[0]
    if media_type not in (*PICTURES, MULTIPART):
        raise UnsupportedMediaTypeError(
            f"Send the picture itself as {', '.join(PICTURES)}, or a form with a file in '{FIELD}'."
        )
    limit = _limit(media_type)
    announced = request.content_length
    if announced is not None and announced > limit:
        raise _too_large()
    return announced if announced is not None else limit


async def receive_upload(request: HubRequest, temp: TempFile) -> int:
    """Write the picture of a request to a file.

    Returns:
        Its size in bytes.

    Raises:
        UploadTooLargeError: it has more than ``UPLOAD_LIMIT`` bytes, or a form has too many beside it.
        InvalidRequestError: a form that is none, or has no file.
        IncompleteRequestError: the client left or went silent.
        NoRoomError, StorageFailedError: the disk refuses.
    """
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    pieces = _body(request, _limit(media_type))
    if media_type == MULTIPART:
        pieces = _file_of_form(pieces, options.get("boundary", ""))
    return await _write(pieces, temp)


async def _write(pieces: AsyncIterator[bytes], temp: TempFile) -> int:
    size, waiting = 0, bytearray()
    async for piece in pieces:
        size += len(piece)
        if size > UPLOAD_LIMIT:
            raise _too_large()
        waiting += piece
        if len(waiting) >= _PIECE:
            await _append(temp, waiting)
            waiting = bytearray()
    await _append(temp, waiting)
    return size


async def _append(temp: TempFile, waiting: bytearray) -> None:
    with disk_errors():
        await to_end(_write_all, temp.descriptor, waiting)


def _write_all(descriptor: int, waiting: bytearray) -> None:
    while waiting:
        del waiting[: os.write(descriptor, waiting)]


async def _body(request: HubRequest, limit: int) -> AsyncIterator[bytes]:
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
            raise _too_large()
        yield piece


async def _file_of_form(pieces: AsyncIterator[bytes], boundary: str) -> AsyncIterator[bytes]:
    try:
        parser = PushMultipartParser(boundary, max_segment_count=20)
        is_file = found = False
        async for piece in pieces:
            for event in parser.parse(piece) if piece else ():
                if isinstance(event, MultipartSegment):
                    if found and event.name == FIELD:
                        raise FieldError(f"/{FIELD}", "Send one picture at a time.")
                    is_file = event.name == FIELD
                    found = found or is_file
                elif event is not None and is_file:
                    yield bytes(event)
        parser.close()
    except MultipartError:
        raise InvalidRequestError(
            "The form is not well-formed.", [InvalidPart("", "This is no complete multipart/form-data body.")]
        ) from None
    if not found:
        raise FieldError(f"/{FIELD}", f"The form has no file in '{FIELD}'.")


def _limit(media_type: str) -> int:
    return UPLOAD_LIMIT + (_MULTIPART_EXTRA if media_type == MULTIPART else 0)


def _too_large() -> UploadTooLargeError:
    return UploadTooLargeError(
        f"Pictures may have up to {UPLOAD_LIMIT // 1024 // 1024} MB. Send a smaller one."
    )
