"""A language model's server that cannot be reached: after a few calls in vain, people hear of it at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from hub.providers.http.breaker import Breaker
from hub.providers.llm import Finish, JsonSchema, LanguageModelError
from hub.providers.llm.openai_compatible import OpenAICompatible
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import End, Script, error, reply, silence
from tests.services.outside_model import ask, model_at

HANGS_UP = Script(status=None, before_head=[End.RESET])
THRESHOLD = 5


class Clock:
    """A clock that a test sets."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def fake() -> AsyncIterator[FakeLLM]:
    async with FakeLLM() as server:
        yield server


@pytest.fixture
async def model(fake: FakeLLM, clock: Clock) -> AsyncIterator[OpenAICompatible]:
    async with model_at(fake.url, silence_seconds=5, breaker=Breaker(now=clock)) as model:
        yield model


async def outcome(model: OpenAICompatible) -> str:
    """Ask once; return the code of the failure, or the reason of the finish."""
    try:
        events = [event async for event in model.stream(ask())]
    except LanguageModelError as failure:
        return failure.code
    assert isinstance(events[-1], Finish)
    return events[-1].reason


async def test_a_server_that_is_down_fails_at_once(model: OpenAICompatible, fake: FakeLLM) -> None:
    await fake.stop()
    assert [await outcome(model) for _ in range(THRESHOLD)] == ["llm_unreachable"] * THRESHOLD
    began = time.perf_counter()
    for _ in range(100):
        with pytest.raises(LanguageModelError) as caught:
            await anext(model.stream(ask()))
    assert time.perf_counter() - began < 1  # 100 calls: milliseconds each at the worst
    assert (caught.value.code, caught.value.transient) == ("llm_down", False)
    assert "Try again in a few seconds" in caught.value.message
    schema = JsonSchema(name="scene", schema={"type": "object"})
    with pytest.raises(LanguageModelError, match="cannot be reached"):
        await model.answer(ask(), schema=schema, patience=5)


async def test_nothing_is_sent_while_it_is_down(model: OpenAICompatible, fake: FakeLLM, clock: Clock) -> None:
    fake.script(*[HANGS_UP] * (THRESHOLD + 1))
    assert [await outcome(model) for _ in range(THRESHOLD)] == ["llm_unreachable"] * THRESHOLD
    assert await outcome(model) == "llm_down"
    assert len(fake.requests) == THRESHOLD
    clock.seconds += 5
    assert await outcome(model) == "llm_unreachable"  # one looks
    assert await outcome(model) == "llm_down"
    assert len(fake.requests) == THRESHOLD + 1
    clock.seconds += 5
    assert await outcome(model) == "stop"
    assert await outcome(model) == "stop"


async def test_only_calls_in_vain_in_a_row_count(model: OpenAICompatible, fake: FakeLLM) -> None:
    good = Script(
        steps=reply("Hello").steps, framing="close"
    )  # a kept connection would take a reset on itself
    fake.script(*([HANGS_UP] * (THRESHOLD - 1) + [good]) * 2)
    codes = [await outcome(model) for _ in range(2 * THRESHOLD)]
    assert codes == (["llm_unreachable"] * (THRESHOLD - 1) + ["stop"]) * 2


async def test_while_one_waits_for_a_slow_server_that_is_back_all_may_ask(
    model: OpenAICompatible, fake: FakeLLM, clock: Clock
) -> None:
    fake.script(*[HANGS_UP] * THRESHOLD, silence())
    for _ in range(THRESHOLD):
        await outcome(model)
    clock.seconds += 5
    looking = asyncio.create_task(outcome(model))
    await fake.wait_for_requests(THRESHOLD + 1)
    assert await outcome(model) == "stop"
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def test_a_check_finds_it_back_before_anybody_asks(model: OpenAICompatible, fake: FakeLLM) -> None:
    await fake.stop()
    for _ in range(THRESHOLD):
        await outcome(model)
    assert await outcome(model) == "llm_down"
    with pytest.raises(LanguageModelError) as caught:
        await model.check()
    assert caught.value.code == "llm_unreachable"  # it has really asked
    await fake.start()
    await model.check()
    assert await outcome(model) == "stop"


async def test_a_server_that_answers_anything_is_not_down(model: OpenAICompatible, fake: FakeLLM) -> None:
    bad = [error(500), error(401), error(429), error(404), Script(steps=[End.RESET])]
    fake.script(*bad * 2)
    codes = [await outcome(model) for _ in range(len(bad) * 2)]
    assert "llm_down" not in codes
    assert "llm_unreachable" not in codes
    assert await outcome(model) == "stop"


async def test_silence_and_cancelled_calls_do_not_count(fake: FakeLLM, clock: Clock) -> None:
    async with model_at(fake.url, silence_seconds=0.05, breaker=Breaker(now=clock, threshold=2)) as model:
        fake.script(*[silence()] * 4)
        assert [await outcome(model) for _ in range(4)] == ["llm_timeout"] * 4
    async with model_at(fake.url, breaker=Breaker(now=clock, threshold=2)) as model:
        fake.script(*[silence()] * 4)
        asked = len(fake.requests)
        asking = [asyncio.create_task(outcome(model)) for _ in range(4)]
        await fake.wait_for_requests(asked + 4)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        assert await outcome(model) == "stop"
