"""The openai SDK as a client: what it sends is understood, and what comes back is what it expects."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
import websockets
from openai.resources.responses.responses import AsyncResponsesConnection

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import default_text, reply
from tests.integration.conftest import prompt
from tests.services.hub import Client

SAID = "Tell me of moss."


def says(said: str) -> str:
    """Return what the fake language model answers."""
    return default_text({"messages": [{"role": "user", "content": said}]})


@asynccontextmanager
async def sdk(client: Client) -> AsyncIterator[openai.AsyncOpenAI]:
    """Yield the SDK, signed in as a client."""
    async with openai.AsyncOpenAI(base_url=f"{client.url}/v1", api_key=client.token, max_retries=0) as found:
        yield found


@pytest.fixture
async def ai(client: Client) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk(client) as found:
        yield found


@pytest.fixture
async def model(client: Client) -> str:
    """Return a companion of the client's as a model."""
    return f"companion/{(await client.companion())['id']}"


async def test_companions_are_models(ai: openai.AsyncOpenAI, model: str, other: Client) -> None:
    listed = [each async for each in await ai.models.list()]
    assert [each.id for each in listed] == [model]
    found = await ai.models.retrieve(model)
    assert (found.id, found.object, found.owned_by) == (model, "model", "companion-hub")
    assert found.model_extra is not None
    assert found.model_extra["name"] == "Mira"
    for name in (f"companion/{(await other.companion())['id']}", "companion/nobody", "gpt-5"):
        with pytest.raises(openai.NotFoundError) as refused:
            await ai.models.retrieve(name)
        assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


async def test_a_whole_answer(ai: openai.AsyncOpenAI, model: str, llm: FakeLLM) -> None:
    answer = await ai.chat.completions.create(
        model=model,
        messages=[
            {"role": "system", "content": "Speak of plants only."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Good morning!"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "Tell me "}, {"type": "text", "text": "of moss."}],
            },
        ],
        temperature=0.3,
        top_p=0.5,
        max_tokens=50,
        stop=["\nUser:"],
    )
    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model) == ("chat.completion", model)
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", says(SAID))
    assert choice.finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 7
    asked = llm.chats[-1].body
    (role, persona), *talk = prompt(asked)
    assert role == "system"
    assert "botanist" in persona
    assert persona.endswith("Speak of plants only.")
    assert talk == [("user", "Hello"), ("assistant", "Good morning!"), ("user", SAID)]
    assert {name: asked[name] for name in ("temperature", "top_p", "max_tokens", "stop")} == {
        "temperature": 0.3,
        "top_p": 0.5,
        "max_tokens": 50,
        "stop": ["\nUser:"],
    }


async def test_a_stream(ai: openai.AsyncOpenAI, model: str, llm: FakeLLM) -> None:
    llm.script(reply(["Moss", " grows", " slowly. ☕"], delay=0.05))
    chunks = [
        chunk
        async for chunk in await ai.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Slowly"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    ]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    texts = [chunk.choices[0].delta.content for chunk in chunks[:-1]]
    assert "".join(text or "" for text in texts) == "Moss grows slowly. ☕"
    assert len([text for text in texts if text]) > 1, "it came in pieces"
    assert [chunk.choices[0].finish_reason for chunk in chunks[-3:-1]] == [None, "stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


async def test_a_stream_without_usage(ai: openai.AsyncOpenAI, model: str) -> None:
    messages: list[Any] = [{"role": "user", "content": SAID}]
    stream = await ai.chat.completions.create(model=model, messages=messages, stream=True)
    assert all(chunk.choices and chunk.usage is None for chunk in [each async for each in stream])


async def test_an_answer_that_ends_at_its_longest(ai: openai.AsyncOpenAI, model: str, llm: FakeLLM) -> None:
    llm.script(*(reply("Moss and", finish="length") for _ in range(2)))
    messages: list[Any] = [{"role": "user", "content": "On and on"}]
    answer = await ai.chat.completions.create(model=model, messages=messages)
    assert answer.choices[0].finish_reason == "length"
    response = await ai.responses.create(model=model, input="On and on")
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


async def test_responses_go_on_with_each_other(ai: openai.AsyncOpenAI, model: str, llm: FakeLLM) -> None:
    first = await ai.responses.create(model=model, input=SAID, metadata={"place": "garden"})
    assert (first.status, first.output_text, first.metadata) == ("completed", says(SAID), {"place": "garden"})
    assert first.usage is not None
    assert first.usage.total_tokens > 7
    second = await ai.responses.create(
        model=model,
        input=[{"role": "user", "content": "And lichen?"}],
        instructions="Be brief.",
        previous_response_id=first.id,
    )
    assert second.previous_response_id == first.id
    (_, persona), *talk = prompt(llm.chats[-1].body)
    assert talk == [("user", SAID), ("assistant", says(SAID)), ("user", "And lichen?")]
    assert persona.endswith("Be brief.")
    found = await ai.responses.retrieve(second.id)
    assert (found.output_text, found.instructions) == (says("And lichen?"), "Be brief.")
    led = (await ai.responses.input_items.list(second.id)).data
    assert [json.loads(item.to_json())["content"][0]["text"] for item in led] == [
        "And lichen?",
        says(SAID),
        SAID,
    ]
    await ai.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        await ai.responses.retrieve(first.id)
    with pytest.raises(openai.NotFoundError) as refused:
        await ai.responses.create(model=model, input="And?", previous_response_id=first.id)
    assert refused.value.code == "previous_response_not_found"
    await ai.responses.create(model=model, input="And?", previous_response_id=second.id)
    assert [role for role, _ in prompt(llm.chats[-1].body)] == ["system", "user", "assistant", "user"]


async def test_a_response_that_is_not_stored_is_nowhere(ai: openai.AsyncOpenAI, model: str) -> None:
    response = await ai.responses.create(model=model, input=SAID, store=False)
    assert response.output_text == says(SAID)
    with pytest.raises(openai.NotFoundError):
        await ai.responses.retrieve(response.id)
    with pytest.raises(openai.NotFoundError):
        await ai.responses.create(model=model, input="And?", previous_response_id=response.id)


EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def without_repeats(names: Sequence[str]) -> Sequence[str]:
    return [name for at, name in enumerate(names) if at == 0 or name != names[at - 1]]


async def test_a_response_as_a_stream(ai: openai.AsyncOpenAI, model: str) -> None:
    async with ai.responses.stream(model=model, input=SAID) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert without_repeats([event.type for event in events]) == EVENTS
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert final.output_text == says(SAID)
    assert final.id == (await ai.responses.retrieve(final.id)).id


async def test_a_response_in_the_background(ai: openai.AsyncOpenAI, model: str, llm: FakeLLM) -> None:
    llm.script(reply(["Moss", " waits."], delay=0.1))
    response = await ai.responses.create(model=model, input="Wait", background=True)
    assert (response.status, response.background) == ("queued", True)
    names = [event.type async for event in await ai.responses.retrieve(response.id, stream=True)]
    assert without_repeats(names) == EVENTS
    assert (await ai.responses.retrieve(response.id)).output_text == "Moss waits."
    assert (await ai.responses.cancel(response.id)).status == "completed"


# Over a WebSocket


async def answered(connection: AsyncResponsesConnection, **asked: Any) -> list[Any]:
    """Ask for a response and return its events."""
    await connection.response.create(**asked)
    events = []
    async for event in connection:
        events.append(event)
        if event.type in ("response.completed", "response.failed", "error"):
            return events
    raise AssertionError("the socket was closed")


async def test_responses_over_a_socket(ai: openai.AsyncOpenAI, model: str, llm: FakeLLM) -> None:
    async with ai.responses.connect() as connection:
        first = await answered(connection, model=model, input=SAID)
        assert without_repeats([event.type for event in first]) == EVENTS
        before = first[-1].response
        assert before.output[0].content[0].text == says(SAID)
        for said in ("And lichen?", "And ferns?"):  # which are not stored, but the socket knows them
            events = await answered(
                connection,
                model=model,
                input=said,
                store=False,
                previous_response_id=before.id,
                stream_id="two",
            )
            assert {event.stream_id for event in events} == {"two"}
            before = events[-1].response
        spoken = [content for role, content in prompt(llm.chats[-1].body) if role == "user"]
        assert spoken == [SAID, "And lichen?", "And ferns?"]
        long = "moss " * 50_000
        assert (await answered(connection, model=model, input=long))[-1].type == "response.completed"
    with pytest.raises(openai.NotFoundError):
        await ai.responses.create(model=model, input="And?", previous_response_id=before.id)


async def test_a_socket_stays_open_when_it_refuses(ai: openai.AsyncOpenAI, model: str) -> None:
    async with ai.responses.connect() as connection:
        (refused,) = await answered(connection, model="gpt-5", input=SAID, stream_id="mine")
        assert (refused.status, refused.error.code, refused.stream_id) == (404, "model_not_found", "mine")
        for asked, param in (
            ({"background": True}, "background"),
            ({"tools": [{"type": "web_search"}]}, "tools"),
            ({"temperature": "hot"}, "temperature"),
        ):
            (refused,) = await answered(connection, model=model, input=SAID, **asked)
            assert (refused.status, refused.error.param) == (400, param)
        await connection.send({"type": "response.nothing"})  # type: ignore[arg-type]
        assert (await connection.recv()).type == "error"
        assert (await answered(connection, model=model, input=SAID))[-1].type == "response.completed"


# Refusals


async def test_nobody_we_know(client: Client) -> None:
    async with openai.AsyncOpenAI(base_url=f"{client.url}/v1", api_key="chub_no", max_retries=0) as ai:
        with pytest.raises(openai.AuthenticationError) as refused:
            await ai.models.list()
        assert refused.value.code == "invalid_api_key"
        with pytest.raises(websockets.InvalidStatus) as closed:
            async with ai.responses.connect():
                pass
    answer = closed.value.response
    assert (answer.status_code, json.loads(answer.body)["error"]["code"]) == (401, "invalid_api_key")


async def test_a_token_that_may_only_read_opens_no_socket(client: Client) -> None:
    token = (await client.make_token("read"))["token"]
    async with openai.AsyncOpenAI(base_url=f"{client.url}/v1", api_key=token, max_retries=0) as ai:
        assert (await ai.models.list()).data == []
        with pytest.raises(websockets.InvalidStatus) as closed:
            async with ai.responses.connect():
                pass
    answer = closed.value.response
    assert answer.status_code == 403
    assert json.loads(answer.body)["error"] | {"message": ""} == {
        "message": "",
        "type": "permission_error",
        "param": None,
        "code": "insufficient_scope",
    }


async def test_what_is_anothers_is_not_there(ai: openai.AsyncOpenAI, model: str, other: Client) -> None:
    response = await ai.responses.create(model=model, input=SAID)
    own = f"companion/{(await other.companion())['id']}"
    async with sdk(other) as theirs:
        for asking in (
            theirs.responses.retrieve(response.id),
            theirs.responses.cancel(response.id),
            theirs.responses.delete(response.id),
            theirs.responses.input_items.list(response.id),
            theirs.responses.create(model=own, input="And?", previous_response_id=response.id),
            theirs.responses.create(model=model, input=SAID),
            theirs.chat.completions.create(model=model, messages=[{"role": "user", "content": SAID}]),
        ):
            with pytest.raises(openai.NotFoundError):
                await asking
    assert (await ai.responses.retrieve(response.id)).output_text == says(SAID)


USER = {"role": "user", "content": SAID}
PICTURE = {"type": "image_url", "image_url": {"url": "data:,"}}


@pytest.mark.parametrize(
    ("path", "asked", "param"),
    [
        ("chat/completions", {"messages": []}, "messages"),
        ("chat/completions", {"messages": "Hello"}, "messages"),
        ("chat/completions", {"messages": [{"role": "tool", "content": "1"}]}, "messages.0.role"),
        ("chat/completions", {"messages": [{**USER, "content": [PICTURE]}]}, "messages.0.content"),
        ("chat/completions", {"messages": [{**USER, "content": "\0"}]}, "messages.0.content"),
        ("chat/completions", {"messages": [USER], "n": 2}, "n"),
        ("chat/completions", {"messages": [USER], "tools": [{"type": "function"}]}, "tools"),
        ("chat/completions", {"messages": [USER], "functions": [{"name": "f"}]}, "functions"),
        ("chat/completions", {"messages": [USER], "stop": ["x"] * 17}, "stop"),
        ("chat/completions", {"messages": [USER], "temperature": "hot", "x": 1}, "temperature"),
        (
            "chat/completions",
            {"messages": [USER], "response_format": {"type": "json_object"}},
            "response_format",
        ),
        ("responses", {}, "input"),
        ("responses", {"input": []}, "input"),
        ("responses", {"input": [{"type": "function_call_output"}]}, "input.0"),
        ("responses", {"input": SAID, "conversation": "conv_1"}, "conversation"),
        ("responses", {"input": SAID, "background": True, "store": False}, "background"),
        ("responses", {"input": SAID, "metadata": {"x" * 65: ""}}, "metadata"),
        ("responses", {"input": SAID, "text": {"format": {"type": "json_schema"}}}, "text.format"),
        ("responses", {"input": SAID, "instructions": "\0"}, "instructions"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    client: Client, model: str, path: str, asked: dict[str, Any], param: str
) -> None:
    answer = await client.http.post(f"/v1/{path}", json={"model": model, **asked})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"]


async def test_every_refusal_has_openais_shape(client: Client) -> None:
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/v1/responses/resp_1", 404),
        ("GET", "/v1/responses/resp_1?stream=perhaps", 400),
        ("PUT", "/v1/models", 405),
    ):
        answer = await client.http.request(method, path)
        assert answer.status_code == status, (path, answer.text)
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    answer = await client.http.post("/v1/responses", content=b'{"input": "' + b"x" * 1_100_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
