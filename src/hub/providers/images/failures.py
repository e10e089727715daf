"""Every way in which an image server fails, as a code, a sentence and whether to try again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hub.providers.http.answers import status_trouble, transport_trouble, wished_pause
from hub.providers.images.protocol import ImageServerError

_AGAIN = "Please try again in a moment."

#: For each code the sentence, and whether the same order may succeed later.
FAILURES: dict[str, tuple[str, bool]] = {
    "image_timeout": (f"The image server did not finish the picture in time. {_AGAIN}", True),
    "image_unreachable": (f"The image server cannot be reached right now. {_AGAIN}", True),
    "image_server_down": (
        "The image server cannot be reached at the moment. Try again in a few seconds.",
        False,
    ),
    "image_overloaded": (f"The image server is busy right now. {_AGAIN}", True),
    "image_server_error": (f"The image server has a problem of its own. {_AGAIN}", True),
    "image_out_of_memory": (
        "The image server ran out of memory. Try again later, or ask the operator for smaller pictures.",
        True,
    ),
    "image_truncated": ("The picture broke off on its way here. Please try again.", True),
    "image_empty": (
        "The image server finished without a picture. Ask the operator to look into its settings.",
        False,
    ),
    "image_bad_answer": (
        "The image server sent something that is not a picture. Ask the operator to check HUB_SD_URL.",
        False,
    ),
    "image_quota": (
        "The account at the image provider has no credit left. Ask the operator to check it.",
        False,
    ),
    "image_refused_key": (
        "The image server refused the key. Ask the operator to check HUB_SD_KEY.",
        False,
    ),
    "image_forbidden": (
        (
            "The image server does not allow this model to this account. "
            "Ask the operator to check HUB_SD_MODEL and the account."
        ),
        False,
    ),
    "image_not_found": (
        (
            "The image server does not know this model or address. Ask the operator to check HUB_SD_URL and "
            "HUB_SD_MODEL; AUTOMATIC1111 and Forge have to be started with --api."
        ),
        False,
    ),
    "image_content_filter": (
        "The image provider's content filter held this picture back. Try to describe it differently.",
        False,
    ),
    "image_redirected": (
        "The image server points to another address. Ask the operator to correct HUB_SD_URL.",
        False,
    ),
    "image_certificate": (
        (
            "The image server could not prove who it is. "
            "Ask the operator to check HUB_SD_URL and the server's certificate."
        ),
        False,
    ),
    "image_bad_request": (
        "The image server refused the request. Ask the operator to look into the log.",
        False,
    ),
}

# Words in the body of a 4xx or of a 5xx, where they say more than the status. First match wins.
_BY_WORD_OF_4XX = (
    ("insufficient_quota", "image_quota"),
    ("insufficient credit", "image_quota"),
    ("billing_not_active", "image_quota"),
    ("billing_hard_limit", "image_quota"),
    ("content_filter", "image_content_filter"),
    ("content_policy", "image_content_filter"),
    ("moderation_blocked", "image_content_filter"),
    ("safety system", "image_content_filter"),
)
_BY_WORD_OF_400 = (
    ("invalid_api_key", "image_refused_key"),
    ("api_key_invalid", "image_refused_key"),
    ("model_not_found", "image_not_found"),
)
_BY_WORD_OF_5XX = (
    ("outofmemory", "image_out_of_memory"),
    ("out of memory", "image_out_of_memory"),
)
_REDIRECT, _CLIENT_ERROR, _SERVER_ERROR = 300, 400, 500


def failure(code: str, *, detail: str = "", retry_after: float | None = None) -> ImageServerError:
    """Make the error of this code."""
    message, transient = FAILURES[code]
    return ImageServerError(code, message, transient=transient, retry_after=retry_after, detail=detail)


def failure_of_answer(
    status: int, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b""
) -> ImageServerError:
    """Say what an answer other than 200 means."""
    detail = f"HTTP {status}"
    if status < _REDIRECT:
        return failure("image_bad_answer", detail=detail)
    if status < _CLIENT_ERROR:
        return failure("image_redirected", detail=detail)
    by_word = _code_of_words(status, body.decode("utf-8", "replace").lower())
    code = by_word or f"image_{status_trouble(status)}"
    return failure(code, detail=detail, retry_after=wished_pause(headers))


def failure_of_words(words: str, *, detail: str = "") -> ImageServerError:
    """Say what a server means that tells of its own failure in an answer, or over a socket."""
    code = next((code for word, code in _BY_WORD_OF_5XX if word in words.lower()), "image_server_error")
    return failure(code, detail=detail)


def failure_of_transport(error: Exception, *, answering: bool) -> ImageServerError:
    """Say what one of ``TRANSPORT_ERRORS`` means; ``answering``: the answer had begun."""
    trouble, detail = transport_trouble(error, answering=answering)
    return failure("image_server_down" if trouble == "down" else f"image_{trouble}", detail=detail)


def _code_of_words(status: int, words: str) -> str | None:
    table: Sequence[tuple[str, str]]
    if status >= _SERVER_ERROR:
        table = _BY_WORD_OF_5XX
    else:
        table = _BY_WORD_OF_4XX + (_BY_WORD_OF_400 if status == _CLIENT_ERROR else ())
    return next((code for word, code in table if word in words), None)
