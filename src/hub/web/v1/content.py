"""What clients of OpenAI's APIs send, read into what the hub knows; what it cannot do is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct

from hub.core.errors import FieldError
from hub.domain.completions.errors import ModelNotFoundError
from hub.domain.completions.schemas import Sampling
from hub.providers.llm.protocol import ChatMessage

MODEL_PREFIX = "companion/"
#: Texts that end an answer; OpenAI takes four.
STOP_LIMIT = 16
_STOP_LENGTH = 200
_TEMPERATURE_MOST = 2.0
_METADATA_LIMIT = 16
_METADATA_KEY, _METADATA_VALUE = 64, 512

_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_TEXTS = ("text", "input_text", "output_text")


class Part(Struct):
    """A part of a message; only those that are text have one."""

    type: str = "text"
    text: str | None = None


Content = str | list[Part] | None


def model_id(companion_id: UUID) -> str:
    """Return the model that a companion is."""
    return f"{MODEL_PREFIX}{companion_id}"


def companion_of(model: str) -> UUID:
    """Return the companion that a model is.

    Raises:
        ModelNotFoundError: it is none.
    """
    try:
        if not model.startswith(MODEL_PREFIX):
            raise ModelNotFoundError
        return UUID(model.removeprefix(MODEL_PREFIX))
    except ValueError:
        raise ModelNotFoundError from None


def message_of(role: str, content: Content, *, pointer: str) -> ChatMessage:
    """Read a message.

    Raises:
        FieldError: its role is not known, or it is not only text.
    """
    known = _ROLES.get(role)
    if known is None:
        raise FieldError(
            f"{pointer}/role", "Send system, developer, user or assistant; tools are not called."
        )
    text = _text_of(content, f"{pointer}/content")
    if "\0" in text:
        raise FieldError(f"{pointer}/content", "A NUL character may not stand here.")
    return ChatMessage(role=known, content=text)


def _text_of(content: Content, pointer: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    for part in content:
        if part.type not in _TEXTS or part.text is None:
            raise FieldError(
                pointer, f"Send text only; companions do not take parts of type {part.type[:40]!r}."
            )
    return "".join(part.text or "" for part in content)


def sampling_of(
    *,
    temperature: float | None,
    top_p: float | None,
    max_tokens: int | None,
    stop: str | Sequence[str] | None = None,
) -> Sampling:
    """Take what clients wish within what makes sense; what does not is as if it had been left out.

    Raises:
        FieldError: there are too many stops, or one is too long.
    """
    stops = [stop] if isinstance(stop, str) else list(stop or ())
    if len(stops) > STOP_LIMIT or any(len(each) > _STOP_LENGTH or "\0" in each for each in stops):
        raise FieldError("/stop", f"Send at most {STOP_LIMIT} stops of at most {_STOP_LENGTH} characters.")
    return Sampling(
        temperature=None if temperature is None else min(max(temperature, 0.0), _TEMPERATURE_MOST),
        top_p=top_p if top_p is not None and 0 < top_p <= 1 else None,
        max_tokens=max_tokens if max_tokens is not None and max_tokens > 0 else None,
        stop=tuple(each for each in stops if each),
    )


def require_no_tools(tools: Sequence[Any] | None, choice: Any, *, name: str = "tools") -> None:
    """Refuse tools that the client expects to be called.

    Raises:
        FieldError: there are some.
    """
    if tools and choice != "none":
        raise FieldError(f"/{name}", "Companions call no tools. Send none, or tool_choice 'none'.")


def require_plain_text(kind: str | None, *, pointer: str) -> None:
    """Refuse a format that the answer would not have.

    Raises:
        FieldError: it is another one than text.
    """
    if kind not in (None, "text"):
        raise FieldError(pointer, "Companions answer in plain text. Leave this out, or send 'text'.")


def metadata_of(given: dict[str, str] | None) -> dict[str, str]:
    """Take a client's notes, which it gets back.

    Raises:
        FieldError: they are more than OpenAI takes.
    """
    notes = given or {}
    for key, value in notes.items():
        if len(key) > _METADATA_KEY or len(value) > _METADATA_VALUE or "\0" in key + value:
            raise FieldError(
                "/metadata",
                f"Keys have up to {_METADATA_KEY} characters, values {_METADATA_VALUE}, and no NUL.",
            )
    if len(notes) > _METADATA_LIMIT:
        raise FieldError("/metadata", f"Send at most {_METADATA_LIMIT} notes.")
    return notes
