"""The request's JSON, in the dialect that the server takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from hub.providers.llm.protocol import ChatMessage, ChatRequest, JsonSchema

_REJECTED = frozenset({400, 422})
_BROKEN = frozenset({500, 501})  # some servers fall over what they do not know
# "max_tokens is too large" names a parameter too, so one of these has to stand there as well.
_UNKNOWN_WORDS = (
    "unsupported",
    "not supported",
    "does not support",
    "unknown",
    "unrecognized",
    "unexpected",
    "extra",
    "not permitted",
    "not allowed",
    "max_completion_tokens",
)
# What a refusal of response_format speaks of: each server words it in its own way.
_FORMAT_WORDS = (
    "response_format",
    "response format",
    "json_schema",
    "json schema",
    "json_object",
    "json_validate_failed",
    "structured output",
    "guided",
    "grammar",
)

Format = Literal["json_schema", "json_object", "none"]
_SIMPLER_FORMATS: dict[Format, Format] = {"json_schema": "json_object", "json_object": "none"}


class Dialect(Struct, frozen=True):
    """What this server has turned out not to take."""

    stream_options: bool = True
    sampling: bool = True  # temperature and top_p: reasoning models refuse them
    max_completion_tokens: bool = False  # OpenAI's newer name of max_tokens
    format: Format = "json_schema"  # how an answer in JSON is asked for

    def simpler(self, status: int, body: bytes, *, in_json: bool) -> Dialect | None:
        """Return the dialect to try after this refusal; None if the refusal is about something else.

        ``in_json``: the request asked for an answer in JSON.
        """
        words = body.decode("utf-8", "replace").lower()
        if in_json and self.format in _SIMPLER_FORMATS and _refuses_format(status, words):
            return msgspec.structs.replace(self, format=_SIMPLER_FORMATS[self.format])
        if status not in _REJECTED or not any(word in words for word in _UNKNOWN_WORDS):
            return None
        if self.stream_options and "stream_options" in words:
            return msgspec.structs.replace(self, stream_options=False)
        if not self.max_completion_tokens and "max_tokens" in words:
            return msgspec.structs.replace(self, max_completion_tokens=True)
        if self.sampling and ("temperature" in words or "top_p" in words):
            return msgspec.structs.replace(self, sampling=False)
        return None


def _refuses_format(status: int, words: str) -> bool:
    if status in _REJECTED:
        return any(word in words for word in _FORMAT_WORDS)
    return status in _BROKEN and ("response_format" in words or "json_schema" in words)


class _StreamOptions(Struct):
    include_usage: bool = True


class _NamedSchema(Struct):
    name: str
    schema: Mapping[str, object]
    strict: bool = True


class _ResponseFormat(Struct):
    type: Format
    json_schema: _NamedSchema | UnsetType = UNSET


class _Payload(Struct):
    model: str
    messages: tuple[ChatMessage, ...]
    stream: bool = True
    stream_options: _StreamOptions | UnsetType = UNSET
    max_tokens: int | UnsetType = UNSET
    max_completion_tokens: int | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    stop: tuple[str, ...] | UnsetType = UNSET
    response_format: _ResponseFormat | UnsetType = UNSET


_encoder = msgspec.json.Encoder()


def encode_request(
    request: ChatRequest, model: str, dialect: Dialect, *, schema: JsonSchema | None = None
) -> bytes:
    """Encode the body of a chat completion: a stream of text, or, with ``schema``, one answer in JSON."""
    streamed = schema is None
    newer = dialect.max_completion_tokens
    return _encoder.encode(
        _Payload(
            model=model,
            messages=request.messages,
            stream=streamed,
            stream_options=_StreamOptions() if streamed and dialect.stream_options else UNSET,
            max_tokens=UNSET if newer else request.max_tokens,
            max_completion_tokens=request.max_tokens if newer else UNSET,
            temperature=request.temperature if dialect.sampling else UNSET,
            top_p=request.top_p if dialect.sampling else UNSET,
            stop=request.stop or UNSET,
            response_format=UNSET if schema is None else _response_format(schema, dialect.format),
        )
    )


def _response_format(schema: JsonSchema, kind: Format) -> _ResponseFormat | UnsetType:
    if kind == "none":
        return UNSET
    named = _NamedSchema(schema.name, schema.schema) if kind == "json_schema" else UNSET
    return _ResponseFormat(kind, named)
