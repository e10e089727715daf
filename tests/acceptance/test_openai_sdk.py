"""The openai SDK as a client: what it sends is understood, and what comes back is what it expects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
from openai.types.responses import ResponseStreamEvent

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import End, default_text, error, reply, stream
from tests.integration.conftest import Answers, prompt
from tests.services.hub import Client

SAID = "Tell me of moss."
SAYS = default_text({"messages": [{"role": "user", "content": SAID}]})


@pytest.fixture
async def model(client: Client) -> str:
    """Return a companion of the client's as a model."""
    return f"companion/{(await client.companion())['id']}"


@pytest.fixture
async def ai(client: Client) -> AsyncIterator[openai.AsyncOpenAI]:
    """Yield the SDK, signed in as the client."""
    async with openai.AsyncOpenAI(base_url=f"{client.url}/v1", api_key=client.token, max_retries=0) as found:
        yield found



async def test_companions_are_models(ai: openai.AsyncOpenAI, model: str, other: Client) -> None:
    listed = [each async for each in await ai.models.list()]
    assert [each.id for each in listed] == [model]
    found = await ai.models.retrieve(model)
    assert (found.id, found.object, found.owned_by) == (model, "model", "companion-hub")
    assert found.model_extra == {"name": "Mira"}
    foreign = f"companion/{(await other.companion())['id']}"
    for name in (foreign, "companion/nobody", "gpt-5"):
        with pytest.raises(openai.NotFoundError) as refused:
            await ai.models.retrieve(name)
        assert refused.value.code == "model_not_found"


async def test_x(ai: openai.AsyncOpenAI, model: str) -> None:
    r = await ai.responses.create(model=model, input=SAID)
    print(r, r.output_text)
    r2 = await ai.responses.create(model=model, input="And then?", previous_response_id=r.id, instructions="Be brief.", metadata={"a":"b"})
    print(r2)
    print(await ai.responses.input_items.list(r2.id))
    async for e in await ai.responses.create(model=model, input="x", stream=True): print(e)
    async with ai.responses.stream(model=model, input="x") as s:
        async for e in s: pass
        print(await s.get_final_response())
    print(await ai.responses.retrieve(r.id))
    print(await ai.responses.cancel(r.id))
    print(await ai.responses.delete(r.id))
    b = await ai.responses.create(model=model, input="x", background=True)
    print(b.status)
    async for e in await ai.responses.retrieve(b.id, stream=True): print(e.type)


async def test_ws(ai: openai.AsyncOpenAI, model: str, client: Client) -> None:
    async with ai.responses.connect() as c:
        await c.response.create(model=model, input="hello")
        async for e in c:
            print(e)
            if e.type == "response.completed":
                break
        r = e.response.id
        await c.response.create(model=model, input="hello2", previous_response_id=r, stream_id="s1", store=False)
        async for e in c:
            print(e.type)
            if e.type == "response.completed":
                break
        await c.response.create(model=model, input="hello2", previous_response_id=e.response.id, stream_id="s1", store=False)
        async for e in c:
            print(e.type)
            if e.type == "response.completed":
                break
        await c.response.create(model="x", input="hello2", previous_response_id=r, stream_id="s1")
        print(await c.recv())
        await c.send({"type": "response.nothing"})
        print(await c.recv())
        await c.response.create(model=model, input="x" * 200_000)
        async for e in c:
            print(e.type)
            if e.type == "response.completed":
                break
    async with openai.AsyncOpenAI(base_url=f"{client.url}/v1", api_key="no", max_retries=0) as found:
        try:
            async with found.responses.connect() as c: pass
        except Exception as e:
            print(repr(e), e.response.body)
