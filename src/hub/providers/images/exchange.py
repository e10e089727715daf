"""One request to an image server and its whole answer, with bounds on bytes and seconds."""

from __future__ import annotations

import asyncio
import contextlib

import httpcore2
from msgspec import Struct

from hub.providers.http.answers import TRANSPORT_ERRORS, read_body
from hub.providers.http.client import HttpClient
from hub.providers.images.failures import failure, failure_of_answer, failure_of_transport
from hub.providers.images.protocol import ImageServerError

MAX_BYTES = 64 * 1024 * 1024
_OK = 200


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer; the body of one that is not a 200 is cut to what is sensible."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is a 200."""
        return self.status == _OK

    def failure(self) -> ImageServerError:
        """Say what it means, if it is not a 200."""
        return failure_of_answer(self.status, self.headers, self.body)


async def exchange(
    client: HttpClient,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    seconds: float,
    max_bytes: int = MAX_BYTES,
    looking: bool = False,
) -> Answer:
    """Ask and read the whole answer within so many seconds; raises ``ImageServerError``.

    ``looking``: see ``HttpClient.send``. Cancelling closes the connection.
    """
    answering = False
    try:
        async with asyncio.timeout(seconds):
            response = await client.send(method, path, body, patience=seconds, looking=looking)
            answering = True
            if response.status != _OK:
                content = await read_body(response)
            else:
                content = await _read_whole(response, max_bytes)
    except TRANSPORT_ERRORS as error:
        raise failure_of_transport(error, answering=answering) from None
    return Answer(status=response.status, headers=list(response.headers), body=content)


async def _read_whole(response: httpcore2.Response, max_bytes: int) -> bytes:
    """Read a body to its end; one that is too large is left as soon as that is known."""
    content = bytearray()
    try:
        async with contextlib.aclosing(response.aiter_stream()) as pieces:
            async for piece in pieces:
                content += piece
                if len(content) > max_bytes:
                    raise failure("image_bad_answer", detail=f"more than {max_bytes} bytes")
    finally:
        await response.aclose()
    return bytes(content)
