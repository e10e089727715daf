"""The request's JSON, in the dialect that the server takes."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Struct, UnsetType

from hub.providers.llm.protocol import ChatMessage, ChatRequest

_REJECTED = frozenset({400, 422})
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


class Dialect(Struct, frozen=True):
    """What this server has turned out not to take."""

    stream_options: bool = True
    sampling: bool = True  # temperature and top_p: reasoning models refuse them
    max_completion_tokens: bool = False  # OpenAI's newer name of max_tokens

    def simpler(self, status: int, body: bytes) -> Dialect | None:
        """Return the dialect to try after this refusal; None if the refusal is about something else."""
        if status not in _REJECTED:
            return None
        words = body.decode("utf-8", "replace").lower()
        if not any(word in words for word in _UNKNOWN_WORDS):
            return None
        if self.stream_options and "stream_options" in words:
            return msgspec.structs.replace(self, stream_options=False)
        if not self.max_completion_tokens and "max_tokens" in words:
            return msgspec.structs.replace(self, max_completion_tokens=True)
        if self.sampling and ("temperature" in words or "top_p" in words):
            return msgspec.structs.replace(self, sampling=False)
        return None


class _StreamOptions(Struct):
    include_usage: bool = True


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


_encoder = msgspec.json.Encoder()


def encode_request(request: ChatRequest, model: str, dialect: Dialect) -> bytes:
    """Encode the body of a chat completion."""
    newer = dialect.max_completion_tokens
    return _encoder.encode(
        _Payload(
            model=model,
            messages=request.messages,
            stream_options=_StreamOptions() if dialect.stream_options else UNSET,
            max_tokens=UNSET if newer else request.max_tokens,
            max_completion_tokens=request.max_tokens if newer else UNSET,
            temperature=request.temperature if dialect.sampling else UNSET,
            top_p=request.top_p if dialect.sampling else UNSET,
            stop=request.stop or UNSET,
        )
    )
