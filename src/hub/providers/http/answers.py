"""What every HTTP server's answer can be, whichever kind of provider: errors, wishes, broken connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import httpcore2
import msgspec

from hub.providers.http.breaker import ServerDownError

_ERROR_SECONDS = 5.0
_MAX_ERROR_BYTES = 64 * 1024
_LONGEST_RETRY_AFTER = 3600.0  # seconds; a wish beyond is no wish but a refusal

# What a connection may raise; ``transport_trouble`` takes them.
TRANSPORT_ERRORS = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    httpcore2.UnsupportedProtocol,
    TimeoutError,
    ServerDownError,
)

#: What servers answer that do not have a page.
NO_SUCH_PAGE = frozenset({404, 405, 501})

#: What a broken connection means. "overloaded": no free connection of ours; "bad_request": what we sent is
#: no HTTP; "truncated": the answer had begun; "down": not even tried, since the calls before were in vain.
TransportTrouble = Literal[
    "timeout", "unreachable", "overloaded", "bad_request", "certificate", "truncated", "down"
]


_BY_STATUS = {
    401: "refused_key",
    402: "quota",
    403: "forbidden",
    404: "not_found",
    408: "timeout",
    409: "overloaded",  # a model that is being loaded or swapped
    425: "overloaded",
    429: "overloaded",
    503: "overloaded",
    504: "timeout",
}
_SERVER_ERROR = 500


class ServerError(msgspec.Struct, frozen=True):
    """A server's own error: the status that its body names, and all its words in one lower-case text.

    The words are for looking into, never for showing or logging: servers echo keys and prompts.
    """

    status: int | None
    words: str


def transport_trouble(error: Exception, *, answering: bool) -> tuple[TransportTrouble, str]:
    """Say what a broken connection means, and the words for the log.

    ``error`` is one of ``TRANSPORT_ERRORS``; ``answering``: the answer had begun.
    """
    cause = error.__cause__ or error.__context__  # the pool re-raises "from None"
    detail = type(error).__name__ + (f": {cause}" if isinstance(cause, OSError) else "")
    if isinstance(error, ServerDownError):
        return "down", "not tried: the calls before did not reach the server"
    if isinstance(error, httpcore2.PoolTimeout):
        return "overloaded", detail
    if isinstance(error, (httpcore2.TimeoutException, TimeoutError)):
        return "timeout", detail
    if isinstance(error, (httpcore2.LocalProtocolError, httpcore2.UnsupportedProtocol)):
        return "bad_request", detail
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "certificate", type(error).__name__
    return "truncated" if answering else "unreachable", detail


def status_trouble(status: int) -> str:
    """Say what a status of 400 and beyond means by itself; the body's words may say more."""
    return _BY_STATUS.get(status) or ("bad_request" if status < _SERVER_ERROR else "server_error")


async def read_body(response: httpcore2.Response) -> bytes:
    """Read an error's body, as much as is sensible; a broken one counts as far as it came."""
    body = bytearray()
    try:
        async with asyncio.timeout(_ERROR_SECONDS), contextlib.aclosing(response.aiter_stream()) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > _MAX_ERROR_BYTES:
                    break
    except TRANSPORT_ERRORS:
        pass
    finally:
        await response.aclose()
    return bytes(body)


def read_error(body: bytes) -> ServerError:
    """Read the body of an error in any of the shapes that servers use; plain text and HTML too."""
    try:
        decoded: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ServerError(None, body.decode("utf-8", "replace").lower())
    if isinstance(decoded, dict) and decoded.get("error"):
        decoded = decoded["error"]
    return understood(decoded)


def understood(error: object) -> ServerError:
    """Read an error that is decoded already: what stood under "error", whatever it is."""
    try:
        words = error if isinstance(error, str) else json.dumps(error)  # it takes halves of characters too
    except RecursionError:
        words = ""
    status = error.get("code") if isinstance(error, dict) else None
    if isinstance(status, str) and status.isdecimal() and status.isascii():
        status = int(status[:4])
    return ServerError(status if isinstance(status, int) else None, words.lower())


def wished_pause(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """Return the server's wish in seconds, 0 to an hour; None without one that makes sense."""
    value = next((value for name, value in headers if name.lower() == b"retry-after"), b"").decode("latin-1")
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER) if seconds == seconds else None  # noqa: PLR0124 - NaN
