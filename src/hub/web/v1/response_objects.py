"""Responses and their events as OpenAI's clients know them."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from hub.domain.chat.schemas import ResponseError
from hub.domain.completions.schemas import Completion
from hub.web.v1.content import model_id
from hub.web.v1.errors import ApiError, api_error

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]

RESPONSE_PREFIX = "resp_"
MESSAGE_PREFIX = "msg_"


class OutputText(Struct, frozen=True, kw_only=True, tag_field="type", tag="output_text"):
    """What the companion said."""

    text: str
    annotations: list[Any] = []
    logprobs: list[Any] = []


class OutputMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """The companion's message."""

    id: str
    status: ItemStatus
    role: Literal["assistant"] = "assistant"
    content: list[OutputText]


class InputTokensDetails(Struct, frozen=True, kw_only=True):
    """Not told apart here."""

    cached_tokens: int = 0


class OutputTokensDetails(Struct, frozen=True, kw_only=True):
    """Not told apart here."""

    reasoning_tokens: int = 0


class ResponseUsage(Struct, frozen=True, kw_only=True):
    """Tokens that the language model's server counted."""

    input_tokens: int
    input_tokens_details: InputTokensDetails = InputTokensDetails()
    output_tokens: int
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()
    total_tokens: int


class IncompleteDetails(Struct, frozen=True, kw_only=True):
    """Why a response is not complete."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class Failure(Struct, frozen=True, kw_only=True):
    """Why a response failed."""

    code: str
    message: str


class TextFormat(Struct, frozen=True, kw_only=True):
    """Plain text."""

    type: Literal["text"] = "text"


class TextConfig(Struct, frozen=True, kw_only=True):
    """How the answer looks."""

    format: TextFormat = TextFormat()


class ResponseObject(Struct, frozen=True, kw_only=True):
    """A response as it stands, or how it ended."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None
    status: Status
    background: bool
    error: Failure | None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputMessage]
    parallel_tool_calls: bool = False
    previous_response_id: str | None
    store: bool
    temperature: float | None
    text: TextConfig = TextConfig()
    tool_choice: Literal["none"] = "none"
    tools: list[Any] = []
    top_p: float | None
    truncation: Literal["auto"] = "auto"
    usage: ResponseUsage | None


class DeletedResponse(Struct, frozen=True, kw_only=True):
    """A response that is gone."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class InputText(Struct, frozen=True, kw_only=True, tag_field="type", tag="input_text"):
    """What a client said."""

    text: str


class InputMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """A message that led to a response."""

    id: str
    status: Literal["completed"] = "completed"
    role: Literal["system", "user", "assistant"]
    content: list[InputText | OutputText]


class InputList(Struct, frozen=True, kw_only=True):
    """The messages that led to a response, in one page."""

    object: Literal["list"] = "list"
    data: list[InputMessage]
    first_id: str | None
    last_id: str | None
    has_more: Literal[False] = False


def response_id(completion_id: UUID) -> str:
    """Return the id by which clients know a response."""
    return f"{RESPONSE_PREFIX}{completion_id.hex}"


def status_of(completion: Completion) -> Status:
    """Return how a response stands in OpenAI's words."""
    if completion.status == "completed" and completion.finish_reason == "length":
        return "incomplete"
    return completion.status


def response_object(completion: Completion) -> ResponseObject:
    """Return a response as clients know it."""
    asked, usage, status = completion.asked, completion.usage, status_of(completion)
    return ResponseObject(
        id=response_id(completion.id),
        created_at=int(completion.created_at.timestamp()),
        completed_at=int(completion.completed_at.timestamp()) if completion.completed_at else None,
        status=status,
        background=asked.background,
        error=_failure(completion.error) if completion.error else None,
        incomplete_details=IncompleteDetails() if status == "incomplete" else None,
        instructions=asked.instructions,
        max_output_tokens=asked.sampling.max_tokens,
        metadata=asked.metadata,
        model=model_id(completion.companion_id),
        output=[output_message(completion)] if completion.output_text and completion.has_ended else [],
        previous_response_id=response_id(completion.previous_id) if completion.previous_id else None,
        store=completion.stored,
        temperature=asked.sampling.temperature,
        top_p=asked.sampling.top_p,
        usage=ResponseUsage(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
        )
        if usage
        else None,
    )


def output_message(completion: Completion) -> OutputMessage:
    """Return what a response that has ended says."""
    return OutputMessage(
        id=message_id(completion.id),
        status="completed" if status_of(completion) == "completed" else "incomplete",
        content=[OutputText(text=completion.output_text)],
    )


def message_id(completion_id: UUID) -> str:
    """Return the id of a response's message."""
    return f"{MESSAGE_PREFIX}{completion_id.hex}"


def _failure(error: ResponseError) -> Failure:
    told = api_error(error)
    return Failure(code=told.code or "server_error", message=told.message)


# Events


class Event(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Something that happens to a response; ``stream_id`` is that of the frame that asked for it, if any."""

    sequence_number: int
    stream_id: str | UnsetType = UNSET


class ResponseCreated(Event, frozen=True, kw_only=True, tag="response.created"):
    """It was asked for."""

    response: ResponseObject


class ResponseInProgress(Event, frozen=True, kw_only=True, tag="response.in_progress"):
    """It is waited for."""

    response: ResponseObject


class OutputItemAdded(Event, frozen=True, kw_only=True, tag="response.output_item.added"):
    """The companion begins to speak."""

    output_index: int = 0
    item: OutputMessage


class ContentPartAdded(Event, frozen=True, kw_only=True, tag="response.content_part.added"):
    """Its text begins."""

    item_id: str
    output_index: int = 0
    content_index: int = 0
    part: OutputText


class OutputTextDelta(Event, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """Text to append."""

    item_id: str
    output_index: int = 0
    content_index: int = 0
    delta: str
    logprobs: list[Any] = []


class OutputTextDone(Event, frozen=True, kw_only=True, tag="response.output_text.done"):
    """The whole text."""

    item_id: str
    output_index: int = 0
    content_index: int = 0
    text: str
    logprobs: list[Any] = []


class ContentPartDone(Event, frozen=True, kw_only=True, tag="response.content_part.done"):
    """The text is whole."""

    item_id: str
    output_index: int = 0
    content_index: int = 0
    part: OutputText


class OutputItemDone(Event, frozen=True, kw_only=True, tag="response.output_item.done"):
    """The message is whole."""

    output_index: int = 0
    item: OutputMessage


class ResponseCompleted(Event, frozen=True, kw_only=True, tag="response.completed"):
    """The response is complete."""

    response: ResponseObject


class ResponseIncomplete(Event, frozen=True, kw_only=True, tag="response.incomplete"):
    """The response ended before the companion had said all: at its longest, or since it was cancelled."""

    response: ResponseObject


class ResponseFailed(Event, frozen=True, kw_only=True, tag="response.failed"):
    """No whole answer came; what was said of it is to be discarded."""

    response: ResponseObject


class ErrorEvent(Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """A frame was refused; ``status`` is what HTTP would have answered."""

    status: int
    error: ApiError
    stream_id: str | UnsetType = UNSET


ResponseEvent = (
    ResponseCreated
    | ResponseInProgress
    | OutputItemAdded
    | ContentPartAdded
    | OutputTextDelta
    | OutputTextDone
    | ContentPartDone
    | OutputItemDone
    | ResponseCompleted
    | ResponseIncomplete
    | ResponseFailed
)
