"""A completion told as the events of a response."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from hub.domain.chat.schemas import ResponseError
from hub.domain.completions.schemas import Completion
from hub.web.v1.response_objects import (
    ContentPartAdded,
    ContentPartDone,
    OutputItemAdded,
    OutputItemDone,
    OutputMessage,
    OutputText,
    OutputTextDelta,
    OutputTextDone,
    ResponseCompleted,
    ResponseCreated,
    ResponseEvent,
    ResponseFailed,
    ResponseIncomplete,
    ResponseInProgress,
    message_id,
    output_message,
    response_object,
    status_of,
)
from hub.web.v1.telling import Begun, Ended, Quiet, Telling, Text


class _Head(TypedDict):
    sequence_number: int
    stream_id: str | UnsetType


class ResponseEvents:
    """The events of one response, numbered from 0."""

    def __init__(self, completion: Completion, *, stream_id: str | UnsetType = UNSET) -> None:
        self._completion = completion
        self._item_id = message_id(completion.id)
        self._stream_id = stream_id
        self._number = -1
        self._has_text = False

    async def of(self, telling: Telling) -> AsyncGenerator[list[ResponseEvent], None]:
        """Yield what is to be sent; nothing now and then, when it has been quiet for long."""
        async with aclosing(telling.stream()) as told:
            async for event in told:
                if isinstance(event, Begun):
                    yield self._begin()
                elif isinstance(event, Text):
                    yield self._add(event.delta)
                elif isinstance(event, Quiet):
                    yield []
                else:
                    yield self._end(event)

    def _head(self) -> _Head:
        self._number += 1
        return {"sequence_number": self._number, "stream_id": self._stream_id}

    def _begin(self) -> list[ResponseEvent]:
        begun = response_object(msgspec.structs.replace(self._completion, status="in_progress"))
        return [
            ResponseCreated(**self._head(), response=begun),
            ResponseInProgress(**self._head(), response=begun),
        ]

    def _add(self, delta: str) -> list[ResponseEvent]:
        events: list[ResponseEvent] = []
        if not self._has_text:
            self._has_text = True
            item = OutputMessage(id=self._item_id, status="in_progress", content=[])
            part = OutputText(text="")
            events += [
                OutputItemAdded(**self._head(), item=item),
                ContentPartAdded(**self._head(), item_id=self._item_id, part=part),
            ]
        return [*events, OutputTextDelta(**self._head(), item_id=self._item_id, delta=delta)]

    def _end(self, ended: Ended) -> list[ResponseEvent]:
        completion = ended.completion
        if completion.status == "completed" or (completion.status == "cancelled" and self._has_text):
            return [*self._finish_text(completion), self._last(completion)]
        if completion.status == "cancelled":
            return [self._last(completion)]
        return [self._failed(completion, ended.error)]

    def _finish_text(self, completion: Completion) -> list[ResponseEvent]:
        part = OutputText(text=completion.output_text)
        return [
            OutputTextDone(**self._head(), item_id=self._item_id, text=completion.output_text),
            ContentPartDone(**self._head(), item_id=self._item_id, part=part),
            OutputItemDone(**self._head(), item=output_message(completion)),
        ]

    def _last(self, completion: Completion) -> ResponseEvent:
        response = response_object(completion)
        if status_of(completion) == "completed":
            return ResponseCompleted(**self._head(), response=response)
        return ResponseIncomplete(**self._head(), response=response)

    def _failed(self, completion: Completion, error: ResponseError | None) -> ResponseEvent:
        failed = msgspec.structs.replace(completion, status="failed", error=error or completion.error)
        return ResponseFailed(**self._head(), response=response_object(failed))
