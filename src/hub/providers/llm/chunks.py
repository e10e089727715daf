"""The JSON of a chat stream, read tolerantly: what is unknown is ignored, what is missing is empty."""

from __future__ import annotations

import json
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from hub.providers.llm.protocol import Usage


class _Part(Struct):
    """Some servers send content in parts; only text ones have a text."""

    text: str | None = None


class _Content(Struct):
    content: str | list[_Part] | None = None


class _Choice(Struct):
    delta: _Content | None = None
    message: _Content | None = None  # an answer that is no stream
    finish_reason: str | None = None


class Chunk(Struct):
    """One event, or the whole answer of a server that does not stream."""

    choices: list[_Choice] | None = None
    usage: object = None
    error: object = None
    kind: str | None = field(default=None, name="object")
    message: object = None  # vLLM's errors: {"object": "error", "message": ...}

    def server_error(self) -> object:
        """Return the error that this chunk is, in whatever shape; None if it is none."""
        if self.error:
            return self.error
        return (self.message or "error") if self.kind == "error" else None

    def text_and_reason(self) -> tuple[str, str | None]:
        """Return the first choice's text, maybe empty, and its finish reason."""
        if not self.choices:
            return "", None
        choice = self.choices[0]
        holder = choice.delta or choice.message
        content = holder.content if holder is not None else None
        if isinstance(content, list):
            content = "".join(part.text or "" for part in content)
        return content or "", choice.finish_reason or None


#: Larger ones neither JSON's readers nor numbers of ours can hold.
_Tokens = Annotated[int, Meta(le=2**53 - 1)]


class _Usage(Struct):
    prompt_tokens: _Tokens | None = None
    completion_tokens: _Tokens | None = None
    total_tokens: _Tokens | None = None


_decoder = msgspec.json.Decoder(Chunk)


def decode_chunk(data: bytes) -> Chunk:
    """Decode one event; raises ``ValueError`` if it is no such JSON.

    Half a surrogate pair and bytes that are no UTF-8 fail in msgspec; they go the slow way, where halves
    survive (``stream_parser`` joins them) and wrong bytes become U+FFFD.
    """
    try:
        try:
            return _decoder.decode(data)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.convert(json.loads(data.decode("utf-8", "replace"), strict=False), Chunk)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_usage(told: object) -> Usage | None:
    """Read a usage object; one that makes no sense counts as none."""
    if told is None:
        return None
    try:
        usage = msgspec.convert(told, _Usage, strict=False)
    except msgspec.ValidationError:
        return None
    prompt, completion = max(usage.prompt_tokens or 0, 0), max(usage.completion_tokens or 0, 0)
    total = max(usage.total_tokens or 0, 0) or prompt + completion
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=total) if total else None
