"""The route ``POST /v1/chat/completions``: the client sends the whole talk each time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Literal

import msgspec
from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, Struct, UnsetType

from hub.core.errors import FieldError
from hub.domain.chat.schemas import Usage
from hub.domain.completions.schemas import Asked, Completion
from hub.web.api.dependencies import ProcessDependency
from hub.web.connections import OpenConnections
from hub.web.event_stream import STILL_HERE
from hub.web.requests import HubRequest
from hub.web.v1.content import (
    Content,
    companion_of,
    message_of,
    model_id,
    require_no_tools,
    require_plain_text,
    sampling_of,
)
from hub.web.v1.errors import ErrorBody, api_error
from hub.web.v1.telling import Begun, Ended, Telling, Text, live, whole_unless_left

_encoder = msgspec.json.Encoder()


class ChatMessageParam(Struct):
    """One message of the talk."""

    role: str
    content: Content = None


class StreamOptions(Struct):
    """What a stream brings beside text."""

    include_usage: bool | None = None


class Format(Struct):
    """How the answer is to look."""

    type: str | None = None


class CreateChatCompletion(Struct, kw_only=True):
    """Ask a companion for what it says next. Fields that are not known here are passed over.

    `model` is `companion/{companion id}`; `messages` the talk so far, oldest first.
    """

    model: str
    messages: list[ChatMessageParam]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    response_format: Format | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    tool_choice: Any = None


class AnswerMessage(Struct, frozen=True, kw_only=True):
    """What the companion said."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(Struct, frozen=True, kw_only=True):
    """The only answer."""

    index: int = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: str


class ChatCompletion(Struct, frozen=True, kw_only=True):
    """A whole answer; ``usage`` is null where the language model's server does not count."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None


class ChunkDelta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a chunk adds."""

    role: str | None = None
    content: str | None = None


class ChunkChoice(Struct, frozen=True, kw_only=True):
    """The only answer's part in a chunk."""

    index: int = 0
    delta: ChunkDelta
    logprobs: None = None
    finish_reason: str | None = None


class ChatCompletionChunk(Struct, frozen=True, kw_only=True):
    """A piece of an answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | UnsetType | None = UNSET


class ChatController(Controller):
    """Talks that the client keeps."""

    path = "/v1/chat/completions"
    tags = ("OpenAI-compatible",)
    opt = {"scopes": ("chat",)}  # noqa: RUF012 - the framework's own way

    @post(operation_id="createChatCompletion", summary="Have a companion say something", status_code=200)
    async def create(
        self,
        request: HubRequest,
        data: JSONBody[CreateChatCompletion],
        process: ProcessDependency,
        connections: NamedDependency[OpenConnections],
    ) -> Response[ChatCompletion]:
        """Return what the companion says next in a talk that the client sends, whole or as a stream.

        Nothing of it is stored beyond the answer. A client that leaves has the answer stopped.
        """
        asked = asked_of(data)
        completion = await process.completions.ask(
            asked, kind="chat", companion_id=companion_of(data.model), user_id=request.user.user.id
        )
        telling = Telling(process, connections, request.user, completion)
        if not asked.streams:
            return Response(_whole(await whole_unless_left(telling, request)))
        with_usage = bool(data.stream_options and data.stream_options.include_usage)
        chunks = _chunks(telling, completion, with_usage=with_usage)
        return live(telling, chunks)  # type: ignore[return-value]


def asked_of(data: CreateChatCompletion) -> Asked:
    """Read what a client asks for.

    Raises:
        FieldError: it cannot be done here.
    """
    if not data.messages:
        raise FieldError("/messages", "Send at least one message.")
    if data.n not in (None, 1):
        raise FieldError("/n", "A companion gives one answer. Leave this out, or send 1.")
    require_no_tools(data.tools, data.tool_choice)
    require_no_tools(data.functions, None, name="functions")
    if data.response_format is not None:
        require_plain_text(data.response_format.type, pointer="/response_format")
    return Asked(
        messages=[
            message_of(each.role, each.content, pointer=f"/messages/{at}")
            for at, each in enumerate(data.messages)
        ],
        sampling=sampling_of(
            temperature=data.temperature,
            top_p=data.top_p,
            max_tokens=data.max_completion_tokens or data.max_tokens,
            stop=data.stop,
        ),
        streams=bool(data.stream),
    )


def _whole(completion: Completion) -> ChatCompletion:
    choice = Choice(
        message=AnswerMessage(content=completion.output_text),
        finish_reason=completion.finish_reason or "stop",
    )
    return ChatCompletion(
        id=f"chatcmpl-{completion.id.hex}",
        created=int(completion.created_at.timestamp()),
        model=model_id(completion.companion_id),
        choices=[choice],
        usage=completion.usage,
    )


async def _chunks(telling: Telling, completion: Completion, *, with_usage: bool) -> AsyncIterator[bytes]:
    """Yield the answer as OpenAI streams it: the role, the text, the reason for its end, the usage."""

    def chunk(*choices: ChunkChoice, usage: Usage | UnsetType | None = None) -> bytes:
        return _data(
            ChatCompletionChunk(
                id=f"chatcmpl-{completion.id.hex}",
                created=int(completion.created_at.timestamp()),
                model=model_id(completion.companion_id),
                choices=list(choices),
                usage=usage if with_usage else UNSET,
            )
        )

    async with aclosing(telling.stream()) as told:
        async for event in told:
            if isinstance(event, Begun):
                yield chunk(ChunkChoice(delta=ChunkDelta(role="assistant", content="")))
            elif isinstance(event, Text):
                yield chunk(ChunkChoice(delta=ChunkDelta(content=event.delta)))
            elif not isinstance(event, Ended):
                yield STILL_HERE
            elif event.error is not None:
                yield _data(ErrorBody(error=api_error(event.error)))
            else:
                yield chunk(ChunkChoice(delta=ChunkDelta(), finish_reason=event.completion.finish_reason))
                if with_usage:
                    yield chunk(usage=event.completion.usage)
                yield b"data: [DONE]\n\n"


def _data(body: Struct) -> bytes:
    return b"data: %s\n\n" % _encoder.encode(body)
