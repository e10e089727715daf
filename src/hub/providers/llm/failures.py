"""Every way in which a language model fails, as a code, a sentence and whether to try again."""

from __future__ import annotations

from collections.abc import Iterable

from hub.providers.http.answers import read_error, status_trouble, transport_trouble, understood, wished_pause
from hub.providers.llm.protocol import LanguageModelError

_AGAIN = "Please try again in a moment."

#: For each code the sentence, and whether the same question may succeed later.
FAILURES: dict[str, tuple[str, bool]] = {
    "llm_timeout": (f"The language model did not answer in time. {_AGAIN}", True),
    "llm_unreachable": (f"The language model cannot be reached right now. {_AGAIN}", True),
    "llm_down": (
        "The language model's server cannot be reached at the moment. Try again in a few seconds.",
        False,
    ),
    "llm_overloaded": (f"The language model is busy right now. {_AGAIN}", True),
    "llm_server_error": (f"The language model's server has a problem of its own. {_AGAIN}", True),
    "llm_truncated": ("The language model's answer broke off before its end. Please try again.", True),
    "llm_garbled": ("The language model's answer became unreadable. Please try again.", True),
    "llm_bad_answer": (
        (
            "The language model's server sent something that is not an answer. "
            "Ask the operator to check HUB_LLM_URL."
        ),
        False,
    ),
    "llm_quota": (
        "The account at the language model's provider has no credit left. Ask the operator to check it.",
        False,
    ),
    "llm_refused_key": (
        "The language model's server refused the key. Ask the operator to check HUB_LLM_KEY.",
        False,
    ),
    "llm_forbidden": (
        (
            "The language model's server does not allow this model to this account. "
            "Ask the operator to check HUB_LLM_MODEL and the account."
        ),
        False,
    ),
    "llm_not_found": (
        (
            "The language model's server does not know this model or address. "
            "Ask the operator to check HUB_LLM_MODEL and HUB_LLM_URL."
        ),
        False,
    ),
    "llm_context_exceeded": (
        (
            "The conversation is too long for the language model. "
            "Ask the operator to check HUB_LLM_CONTEXT_TOKENS."
        ),
        False,
    ),
    "llm_content_filter": (
        (
            "The language model's provider held this answer back by its content filter. "
            "Try to say it differently."
        ),
        False,
    ),
    "llm_redirected": (
        "The language model's server points to another address. Ask the operator to correct HUB_LLM_URL.",
        False,
    ),
    "llm_certificate": (
        (
            "The language model's server could not prove who it is. "
            "Ask the operator to check HUB_LLM_URL and the server's certificate."
        ),
        False,
    ),
    "llm_bad_request": (
        "The language model's server refused the request. Ask the operator to look into the log.",
        False,
    ),
}

# Words in a server's error (code, type or message), where they say more than its status. First match wins.
_BY_WORD = (
    ("insufficient_quota", "llm_quota"),
    ("insufficient credit", "llm_quota"),
    ("billing_not_active", "llm_quota"),
    ("billing_hard_limit", "llm_quota"),
    ("context_length", "llm_context_exceeded"),
    ("exceed_context_size", "llm_context_exceeded"),
    ("context length", "llm_context_exceeded"),
    ("context size", "llm_context_exceeded"),
    ("context window", "llm_context_exceeded"),
    ("content_filter", "llm_content_filter"),
    ("content_policy", "llm_content_filter"),
    ("invalid_api_key", "llm_refused_key"),
    ("api_key_invalid", "llm_refused_key"),
    ("model_not_found", "llm_not_found"),
    ("rate_limit", "llm_overloaded"),
    ("overloaded", "llm_overloaded"),
    ("timeout", "llm_timeout"),
)
_WORDS_OF_4XX = frozenset({"llm_quota", "llm_context_exceeded", "llm_content_filter"})
_WORDS_OF_400 = _WORDS_OF_4XX | {"llm_refused_key", "llm_not_found"}
_REDIRECT, _CLIENT_ERROR, _TOO_LARGE, _SERVER_ERROR, _BEYOND = 300, 400, 413, 500, 600


def failure(code: str, *, detail: str = "", retry_after: float | None = None) -> LanguageModelError:
    """Make the error of this code."""
    message, transient = FAILURES[code]
    return LanguageModelError(code, message, transient=transient, retry_after=retry_after, detail=detail)


def failure_of_answer(
    status: int, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b""
) -> LanguageModelError:
    """Say what an answer other than 200 means."""
    detail = f"HTTP {status}"
    if status < _REDIRECT:
        return failure("llm_bad_answer", detail=detail)
    if status < _CLIENT_ERROR:
        return failure("llm_redirected", detail=detail)
    error = read_error(body)
    code = _code_of_status(status)
    if status < _SERVER_ERROR:
        by_word = _code_of_words(error.words) or ""
        if by_word in (_WORDS_OF_400 if status == _CLIENT_ERROR else _WORDS_OF_4XX):
            code = by_word
    return failure(code, detail=detail, retry_after=wished_pause(headers))


def failure_of_event(error: object) -> LanguageModelError:
    """Say what an error in the middle of a stream means; ``error`` is bytes to read, or read already.

    One that is not understood is the server's own trouble.
    """
    told = read_error(error) if isinstance(error, bytes) else understood(error)
    code = _code_of_words(told.words)
    if code is None and told.status is not None and _CLIENT_ERROR <= told.status < _BEYOND:
        code = _code_of_status(told.status)
    detail = "error in the stream" + (f" ({told.status})" if told.status is not None else "")
    return failure(code or "llm_server_error", detail=detail)


def failure_of_transport(error: Exception, *, answering: bool) -> LanguageModelError:
    """Say what a broken connection means; ``answering``: the answer had begun."""
    trouble, detail = transport_trouble(error, answering=answering)
    return failure(f"llm_{trouble}", detail=detail)


def _code_of_status(status: int) -> str:
    return "llm_context_exceeded" if status == _TOO_LARGE else f"llm_{status_trouble(status)}"


def _code_of_words(words: str) -> str | None:
    return next((code for word, code in _BY_WORD if word in words), None)
