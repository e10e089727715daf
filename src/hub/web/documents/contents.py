"""Bodies and answers that are not one JSON value: files, pictures, events, lines."""

from __future__ import annotations

import typing
from typing import Any

import msgspec
from msgspec import Struct

from hub.domain.archive.lines import NDJSON, FirstLine, LastLine, MessageLine
from hub.domain.chat.frames import (
    OutputTextDelta,
    OutputTextDone,
    ResponseCompleted,
    ResponseInProgress,
)
from hub.storage.layout import SUFFIXES
from hub.web.documents.examples import Examples
from hub.web.event_stream import event
from hub.web.uploads import CONVERSATION_TYPES, FIELD, MULTIPART, PICTURE
from hub.web.v1.chat import ChatCompletionChunk
from hub.web.v1.response_objects import ResponseEvent

Part = dict[str, Any]

EVENTS = "text/event-stream"

_BYTES: Part = {"type": "string", "format": "binary"}
_FORM: Part = {"type": "object", "properties": {FIELD: _BYTES}, "required": [FIELD]}


class Contents:
    """What goes over the wire as text or bytes, with examples."""

    def __init__(self, examples: Examples) -> None:
        self._examples = examples

    def upload(self, opt: dict[str, Any]) -> Part | None:
        """Return the contents of a request that brings a file, None for one that does not."""
        if opt.get("takes_picture"):
            return {media_type: {"schema": _BYTES} for media_type in PICTURE.media_types} | _form()
        if opt.get("takes_conversation"):
            return {media_type: self._lines() for media_type in CONVERSATION_TYPES} | _form()
        return None

    def answer(self, media_type: str) -> Part:
        """Return the content of an answer of this type."""
        if media_type == EVENTS:
            return self._events()
        return self._lines() if media_type == NDJSON else {"schema": _BYTES}

    def stream(self, path: str) -> Part:
        """Return the content that a route below ``/v1`` streams in place of one value."""
        if path == "/v1/chat/completions":
            chunk = msgspec.json.encode(self._examples.of(ChatCompletionChunk))
            told = b"data: %s\n\ndata: [DONE]\n\n" % chunk
        else:
            kinds = typing.get_args(ResponseEvent)
            told = b"".join(_told(kind, self._examples.of(kind)) for kind in kinds)
        return {"example": told.decode()}

    def pictures(self) -> Part:
        """Return the contents of an answer that is a picture."""
        return {media_type: {"schema": _BYTES} for media_type in SUFFIXES}

    def _events(self) -> Part:
        kinds = (ResponseInProgress, OutputTextDelta, OutputTextDone, ResponseCompleted)
        told = [event(msgspec.convert(self._examples.of(kind), kind)) for kind in kinds]
        return {"example": b"".join(told).decode()}  # OpenAPI 3.1 has no schema for events

    def _lines(self) -> Part:
        lines = [self._examples.of(kind) for kind in (FirstLine, MessageLine, LastLine)]
        return {"schema": {"type": "string"}, "example": msgspec.json.Encoder().encode_lines(lines).decode()}


def _told(kind: type[Struct], shown: Part) -> bytes:
    tag = str(kind.__struct_config__.tag).encode()
    return b"event: %s\ndata: %s\n\n" % (tag, msgspec.json.encode(shown))


def _form() -> Part:
    return {MULTIPART: {"schema": _FORM}}
