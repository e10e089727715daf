"""The routes below ``/v1/responses``: each response may go on with the one before it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from hub.core.errors import FieldError
from hub.domain.completions.errors import CompletionNotFoundError, PreviousNotFoundError
from hub.domain.completions.schemas import Asked, Completion
from hub.process import Process
from hub.providers.llm.protocol import ChatMessage
from hub.web.api.dependencies import ProcessDependency
from hub.web.connections import OpenConnections
from hub.web.event_stream import STILL_HERE
from hub.web.requests import HubRequest
from hub.web.v1.content import (
    Content,
    companion_of,
    message_of,
    metadata_of,
    require_no_tools,
    require_plain_text,
    sampling_of,
)
from hub.web.v1.response_events import ResponseEvents
from hub.web.v1.response_objects import (
    RESPONSE_PREFIX,
    DeletedResponse,
    InputList,
    InputMessage,
    InputText,
    OutputText,
    ResponseEvent,
    ResponseObject,
    response_object,
)
from hub.web.v1.telling import Telling, live, whole_unless_left

_encoder = msgspec.json.Encoder()


class InputItem(Struct):
    """A part of the talk; those that are no messages are refused."""

    type: str = "message"
    role: str = ""
    content: Content = None


class Format(Struct):
    """How the answer is to look."""

    type: str | None = None


class Text(Struct):
    """How the answer is to look."""

    format: Format | None = None


class ResponseBody(Struct, kw_only=True):
    """What is asked of a companion, by HTTP and WebSocket alike."""

    model: str
    input: str | list[InputItem] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, str] | None = None
    text: Text | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    conversation: Any = None
    prompt: Any = None
    stream: bool | None = None
    background: bool | None = None


class CreateResponse(ResponseBody, kw_only=True):
    """Ask a companion for what it says next. Fields that are not known here are passed over.

    `model` is `companion/{companion id}`; `previous_response_id` a stored response to go on with.
    """


class ResponsesController(Controller):
    """Talks that may be gone on with."""

    path = "/v1/responses"
    tags = ("OpenAI-compatible",)

    @post(
        operation_id="createModelResponse",
        summary="Have a companion answer",
        status_code=200,
        opt={"scopes": ("chat",)},
    )
    async def create(
        self,
        request: HubRequest,
        data: JSONBody[CreateResponse],
        process: ProcessDependency,
        connections: NamedDependency[OpenConnections],
    ) -> Response[ResponseObject]:
        """Return what the companion says: whole, as a stream of events, or later (`background`).

        A client that leaves has the answer stopped, unless it is written in the background.
        """
        is_background = bool(data.background)
        if is_background and data.store is False:
            raise FieldError("/background", "What is written in the background has to be stored.")
        completion = await ask(process, data, user_id=request.user.user.id)
        telling = Telling(process, connections, request.user, completion, is_left=not is_background)
        if data.stream:
            return live(telling, _lines(telling, completion))  # type: ignore[return-value]
        if is_background:
            return Response(response_object(completion))
        return Response(response_object(await whole_unless_left(telling, request)))

    @get(
        "/{model_response_id:str}",
        operation_id="getModelResponse",
        summary="Get a stored response",
        opt={"scopes": ("read", "chat")},
    )
    async def show(
        self,
        request: HubRequest,
        model_response_id: FromPath[str],
        process: ProcessDependency,
        connections: NamedDependency[OpenConnections],
        stream: FromQuery[bool | None] = None,
    ) -> Response[ResponseObject]:
        """Return a stored response as it stands, or with `stream` its events from the beginning."""
        if "starting_after" in request.query_params:
            raise FieldError("/starting_after", "Events come from the beginning. Leave this out.")
        completion = await process.completions.get(_id_of(model_response_id), user_id=request.user.user.id)
        if stream:
            telling = Telling(process, connections, request.user, completion, is_left=False)
            return live(telling, _lines(telling, completion))  # type: ignore[return-value]
        return Response(response_object(completion))

    @delete(
        "/{model_response_id:str}",
        operation_id="deleteModelResponse",
        summary="Delete a stored response",
        status_code=200,
        opt={"scopes": ("chat",)},
    )
    async def remove(
        self, request: HubRequest, model_response_id: FromPath[str], process: ProcessDependency
    ) -> DeletedResponse:
        """Forget a stored response; one under way is stopped.

        Responses that went on with it lose what was said up to it.
        """
        await process.completions.delete(_id_of(model_response_id), user_id=request.user.user.id)
        return DeletedResponse(id=model_response_id)

    @post(
        "/{model_response_id:str}/cancel",
        operation_id="cancelModelResponse",
        summary="Stop a stored response",
        status_code=200,
        opt={"scopes": ("chat",)},
    )
    async def cancel(
        self, request: HubRequest, model_response_id: FromPath[str], process: ProcessDependency
    ) -> ResponseObject:
        """Stop a response; one that has ended is returned as it is."""
        completion_id, user_id = _id_of(model_response_id), request.user.user.id
        return response_object(await process.completions.cancel(completion_id, user_id=user_id))

    @get(
        "/{model_response_id:str}/input_items",
        operation_id="listModelResponseInput",
        summary="List what led to a response",
        opt={"scopes": ("read", "chat")},
    )
    async def input_items(
        self, request: HubRequest, model_response_id: FromPath[str], process: ProcessDependency
    ) -> InputList:
        """Return all messages that led to a stored response, the newest first, as OpenAI lists them."""
        completion = await process.completions.get(_id_of(model_response_id), user_id=request.user.user.id)
        messages = await process.completions.input_of(completion)
        items = [_item(completion.id, at, each) for at, each in enumerate(messages)][::-1]
        return InputList(
            data=items,
            first_id=items[0].id if items else None,
            last_id=items[-1].id if items else None,
        )


async def ask(
    process: Process, body: ResponseBody, *, user_id: UUID, own: frozenset[UUID] = frozenset()
) -> Completion:
    """Queue what a client asks for; ``own`` are responses that it may go on with though not stored.

    Raises:
        HubError: it cannot be done.
    """
    stored = body.store is not False
    return await process.completions.ask(
        _asked_of(body),
        kind="response",
        companion_id=companion_of(body.model),
        user_id=user_id,
        stored=stored,
        previous_id=_previous_of(body.previous_response_id),
        own=own,
    )


def _asked_of(body: ResponseBody) -> Asked:
    for name in ("conversation", "prompt"):
        if getattr(body, name) is not None:
            raise FieldError(
                f"/{name}", "This is not known here. Use previous_response_id, or send all input."
            )
    require_no_tools(body.tools, body.tool_choice)
    if body.text is not None and body.text.format is not None:
        require_plain_text(body.text.format.type, pointer="/text/format")
    if body.instructions is not None and "\0" in body.instructions:
        raise FieldError("/instructions", "A NUL character may not stand here.")
    return Asked(
        messages=_messages_of(body.input),
        sampling=sampling_of(
            temperature=body.temperature, top_p=body.top_p, max_tokens=body.max_output_tokens
        ),
        instructions=body.instructions,
        metadata=metadata_of(body.metadata),
        streams=bool(body.stream),
        background=bool(body.background),
    )


def _messages_of(given: str | list[InputItem] | None) -> list[ChatMessage]:
    if isinstance(given, str):
        given = [InputItem(role="user", content=given)]
    messages: list[ChatMessage] = []
    for at, item in enumerate(given or ()):
        if item.type == "reasoning":  # of another model: nothing to go on with
            continue
        if item.type != "message":
            raise FieldError(f"/input/{at}", f"Send messages; {item.type[:40]!r} is not known here.")
        messages.append(message_of(item.role, item.content, pointer=f"/input/{at}"))
    if not messages:
        raise FieldError("/input", "Send a text, or at least one message.")
    return messages


def _id_of(given: str) -> UUID:
    try:
        return UUID(hex=given.removeprefix(RESPONSE_PREFIX))
    except ValueError:
        raise CompletionNotFoundError from None


def _previous_of(given: str | None) -> UUID | None:
    try:
        return _id_of(given) if given is not None else None
    except CompletionNotFoundError:
        raise PreviousNotFoundError from None


def _item(completion_id: UUID, at: int, message: ChatMessage) -> InputMessage:
    text = message.content
    content: list[InputText | OutputText] = [
        OutputText(text=text) if message.role == "assistant" else InputText(text=text)
    ]
    return InputMessage(id=f"msg_{completion_id.hex}_{at}", role=message.role, content=content)


async def _lines(telling: Telling, completion: Completion) -> AsyncIterator[bytes]:
    async with aclosing(ResponseEvents(completion).of(telling)) as news:
        async for events in news:
            yield b"".join(map(_line, events)) or STILL_HERE


def _line(event: ResponseEvent) -> bytes:
    name = str(type(event).__struct_config__.tag).encode()
    return b"event: %s\ndata: %s\n\n" % (name, _encoder.encode(event))
