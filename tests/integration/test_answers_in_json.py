"""Asking for one answer in JSON, of servers that hold to a schema, know only JSON, or know nothing of it."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator

import pytest

from hub.providers.http.network import open_pool
from hub.providers.llm import JsonSchema, LanguageModelError
from hub.providers.llm.embedded import EmbeddedModel
from hub.providers.llm.embedded_process import EmbeddedServer, Target
from hub.providers.llm.openai_compatible import OpenAICompatible
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import (
    TYPE_JSON,
    End,
    Script,
    Step,
    answer,
    chunk,
    error,
    line,
    reply,
    silence,
    status,
    stream,
)
from tests.services.outside_model import KEY, ask, model_at

SCHEMA = JsonSchema(name="scene", schema={"type": "object", "properties": {"outfit": {"type": "string"}}})
STRICT = {"type": "json_schema", "json_schema": {"name": "scene", "schema": SCHEMA.schema, "strict": True}}
JSON = '{"outfit": "a red dress ☕"}'


@pytest.fixture
async def fake() -> AsyncIterator[FakeLLM]:
    async with FakeLLM() as server:
        yield server


@pytest.fixture
async def model(fake: FakeLLM) -> AsyncIterator[OpenAICompatible]:
    async with model_at(fake.url) as model:
        yield model


async def answered(model: OpenAICompatible, *, patience: float = 10) -> str:
    return await model.answer(ask(), schema=SCHEMA, patience=patience)


async def failure(model: OpenAICompatible, *, patience: float = 10) -> LanguageModelError:
    with pytest.raises(LanguageModelError) as caught:
        await answered(model, patience=patience)
    return caught.value


def formats(fake: FakeLLM) -> list[object]:
    """What each analysis asked for."""
    return [request.body.get("response_format") for request in fake.analyses]


async def test_the_request_is_what_was_asked(fake: FakeLLM, model: OpenAICompatible) -> None:
    fake.script_analysis(answer(JSON))
    assert await answered(model) == JSON
    assert fake.chats == []
    (request,) = fake.analyses
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "test-model",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "How are you?"}],
        "stream": False,
        "max_tokens": 50,
        "temperature": 0.7,
        "top_p": 0.9,
        "response_format": STRICT,
    }


REFUSALS = {
    "OpenAI": error(
        400,
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
        param="response_format",
    ),
    "DeepSeek": error(400, "This response_format type is unavailable now", type="invalid_request_error"),
    "pydantic": status(
        422,
        {"detail": [{"loc": ["body", "response_format", "type"], "msg": "Input should be 'text'"}]},
    ),
    "older llama.cpp": error(500, 'response_format type must be one of "text" or "json_object"', code=500),
    "without its name": error(400, "Structured outputs are not available for this model"),
    "grammar": error(400, "failed to parse grammar"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_refused_format_is_made_simpler_from_then_on(
    fake: FakeLLM, model: OpenAICompatible, case: str
) -> None:
    fake.script_analysis(
        REFUSALS[case], answer(JSON), answer(JSON), REFUSALS[case], answer(JSON), answer(JSON)
    )
    results = [await answered(model) for _ in range(4)]
    assert results == [JSON] * 4
    json_object = {"type": "json_object"}
    assert formats(fake) == [STRICT, json_object, json_object, json_object, None, None]


async def test_a_format_that_does_not_help_is_not_remembered(fake: FakeLLM, model: OpenAICompatible) -> None:
    fake.script_analysis(REFUSALS["OpenAI"], REFUSALS["OpenAI"], error(500, "boom"))
    assert (await failure(model)).code == "llm_server_error"
    await answered(model)
    assert formats(fake)[-1] == STRICT


async def test_other_parameters_are_left_out_as_well(fake: FakeLLM, model: OpenAICompatible) -> None:
    fake.script_analysis(
        REFUSALS["OpenAI"],
        error(400, "Unsupported parameter", param="max_tokens", code="unsupported_parameter"),
        REFUSALS["OpenAI"],
        error(400, "Unsupported value: 'temperature' does not support 0.7 with this model."),
        answer(JSON),
    )
    assert await answered(model) == JSON
    assert fake.analyses[-1].body.keys() == {"model", "messages", "stream", "max_completion_tokens"}


async def test_a_stream_that_was_under_way_forgets_nothing(fake: FakeLLM, model: OpenAICompatible) -> None:
    gate = asyncio.Event()
    fake.script(Script(steps=reply("Hello").steps, before_head=[gate]))
    streaming = asyncio.create_task(_read(model))
    await fake.wait_for_requests()
    fake.script_analysis(REFUSALS["OpenAI"], answer(JSON))
    await answered(model)
    gate.set()
    assert await streaming
    await answered(model)
    assert formats(fake) == [STRICT, {"type": "json_object"}, {"type": "json_object"}]


async def _read(model: OpenAICompatible) -> int:
    return len([event async for event in model.stream(ask())])


async def test_a_500_about_something_else_changes_nothing(fake: FakeLLM, model: OpenAICompatible) -> None:
    fake.script_analysis(error(500, "the grammar of the database schema broke"))
    assert (await failure(model)).code == "llm_server_error"
    assert formats(fake) == [STRICT]


GOOD: dict[str, tuple[Script, str]] = {
    "a stream": (reply(JSON), JSON),
    "a stream without its end": (stream(line(chunk(JSON)), line(chunk(finish="stop")), End.CLOSE), JSON),
    "slow, but in time": (answer(JSON, first=[0.1]), JSON),
    "until EOF": (Script(steps=answer(JSON).steps, content_type=TYPE_JSON, framing="close"), JSON),
    "in pieces": (Script(steps=[bytes([byte]) for byte in b"".join(
        step for step in answer(JSON).steps if isinstance(step, bytes))]), JSON),
    "cut at max_tokens": (answer('{"outfit": "a re', finish="length"), '{"outfit": "a re'),
    "no text": (answer(""), ""),
    "null": (status(200, {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}), ""),
    "NUL, half a pair": (status(200, b'{"choices":[{"message":{"content":"a\\u0000\\ud83d"}}]}'), "a\ufffd"),
    "too long": (answer("ab" * 100_000), "ab" * 32_000),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
async def test_good_answers(fake: FakeLLM, model: OpenAICompatible, case: str) -> None:
    script, text = GOOD[case]
    fake.script_analysis(script)
    assert await answered(model) == text


CUT = Script(
    steps=[b'{"choices": [{"message": {"con', End.CLOSE],
    headers={"content-length": "900"},
    content_type=TYPE_JSON,
    framing="plain",
)
FAILING: dict[str, tuple[Script, str, bool]] = {
    "cut": (CUT, "llm_truncated", True),
    "reset": (stream(b'{"choices": [', 0.01, End.RESET), "llm_truncated", True),
    "no JSON": (status(200, b"\0\1 what?", content_type=TYPE_JSON), "llm_bad_answer", False),
    "another JSON": (status(200, {"answer": KEY}), "llm_bad_answer", False),
    "a web page": (status(200, f"<html>{KEY}</html>", content_type="text/html"), "llm_bad_answer", False),
    "nothing": (status(200, b""), "llm_truncated", True),
    "an error with 200": (status(200, {"error": {"message": KEY, "code": 502}}), "llm_server_error", True),
    "a content filter": (answer("", finish="content_filter"), "llm_content_filter", False),
    "401": (error(401, f"Incorrect API key: {KEY}"), "llm_refused_key", False),
    "404": (error(404, "no such model"), "llm_not_found", False),
    "422": (error(422, f"bad {KEY}"), "llm_bad_request", False),
    "quota": (error(429, code="insufficient_quota"), "llm_quota", False),
    "500": (error(500, KEY), "llm_server_error", True),
    "a megabyte and more": (Script(steps=[b'{"x": "', *[b"x" * 60_000] * 30, End.HANG]), "llm_garbled", True),
}


@pytest.mark.parametrize("case", FAILING)
async def test_failures(fake: FakeLLM, model: OpenAICompatible, case: str) -> None:
    script, code, transient = FAILING[case]
    fake.script_analysis(script)
    caught = await failure(model)
    assert (caught.code, caught.transient) == (code, transient)
    whole = "".join(traceback.format_exception(caught)) + repr(vars(caught)) + repr(model)
    assert KEY not in whole
    assert "How are you" not in whole
    assert await answered(model) == "{}"  # and the next question is none the worse


async def test_a_wish_to_wait_is_passed_on(fake: FakeLLM, model: OpenAICompatible) -> None:
    fake.script_analysis(error(429, "slow down", headers={"Retry-After": "7"}))
    caught = await failure(model)
    assert (caught.code, caught.transient, caught.retry_after) == ("llm_overloaded", True, 7)


DRIP: list[Step] = [line(chunk("")), 0.02]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(silence(), id="never answers"),
        pytest.param(stream(b"{", End.HANG), id="falls silent"),
        pytest.param(stream(*DRIP * 500), id="goes on and on"),
        pytest.param(Script(steps=[b"x", End.HANG], status=400), id="falls silent in a refusal"),
    ],
)
async def test_patience_ends(fake: FakeLLM, model: OpenAICompatible, script: Script) -> None:
    fake.script_analysis(script)
    began = time.monotonic()
    caught = await failure(model, patience=0.2)
    assert time.monotonic() - began < 3  # the model's own silence is 10 seconds, an error's 5
    assert (caught.code, caught.transient) == ("llm_timeout", True)
    await fake.wait_for_disconnects()


async def test_cancelling_closes_the_connection(fake: FakeLLM, model: OpenAICompatible) -> None:
    fake.script_analysis(silence())
    asking = asyncio.create_task(answered(model))
    await fake.wait_for_requests()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await fake.wait_for_disconnects()
    assert await answered(model) == "{}"


class _Restarted(EmbeddedServer):
    """The embedded model's process just after its death: first the old address, then the new one."""

    def __init__(self, url: str) -> None:
        super().__init__(slots=1)
        self._now = Target(url.removesuffix("/v1"), KEY)

    async def ready(self, *, after: Target | None = None) -> Target:
        return self._now if after is not None else Target("http://127.0.0.1:9", "gone")


async def test_the_embedded_model_is_asked_again_after_its_death(fake: FakeLLM) -> None:
    fake.script_analysis(answer(JSON))
    pool = open_pool()
    model = EmbeddedModel(_Restarted(fake.url), timeout=5, pool=pool)
    assert await model.answer(ask(), schema=SCHEMA, patience=5) == JSON
    fake.script_analysis(error(500, "boom"))
    with pytest.raises(LanguageModelError):
        await model.answer(ask(), schema=SCHEMA, patience=5)
    assert len(fake.analyses) == 2
    assert fake.analyses[0].body["temperature"] == 0.5  # as cool as its replies
    await model.close()
    await pool.aclose()
