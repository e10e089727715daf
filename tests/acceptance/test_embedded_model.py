"""The embedded model for real: it talks, survives its own death and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.providers.http.network import open_pool
from hub.providers.llm import (
    ChatMessage,
    ChatRequest,
    Delta,
    Finish,
    JsonSchema,
    LanguageModelError,
    embedded_process,
)
from hub.providers.llm.embedded import EmbeddedModel
from hub.providers.llm.embedded_process import EmbeddedServer

SOURCE = Path(embedded_process.__file__).parents[3]


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(slots=1, slot_tokens=1024)  # one slot: who holds it is plain to see
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def model(server: EmbeddedServer) -> AsyncIterator[EmbeddedModel]:
    pool = open_pool()
    model = EmbeddedModel(server, timeout=60, pool=pool)
    yield model
    await model.close()
    await pool.aclose()


def ask(text: str, *, max_tokens: int = 24, stop: tuple[str, ...] = ()) -> ChatRequest:
    messages = (
        ChatMessage(role="system", content="You are Mira, a cheerful baker."),
        ChatMessage(role="user", content=text),
    )
    return ChatRequest(messages=messages, max_tokens=max_tokens, temperature=0, top_p=1, stop=stop)


async def answer(model: EmbeddedModel, request: ChatRequest) -> tuple[list[str], Finish]:
    async with contextlib.aclosing(model.stream(request)) as stream:
        events = [event async for event in stream]
    finish = events.pop()
    assert isinstance(finish, Finish)
    return [event.text for event in events if isinstance(event, Delta)], finish


def gone(pid: int) -> bool:
    """Whether no such process runs any more; one that nobody has waited for yet counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def visible(pid: int) -> str:
    """What other programs can see of a process."""
    return "".join(Path(f"/proc/{pid}/{name}").read_text() for name in ("cmdline", "environ"))


async def test_it_streams_text_and_counts_tokens(model: EmbeddedModel) -> None:
    await model.check()
    texts, finish = await answer(model, ask("Hello there! Who are you?"))
    assert len(texts) > 3
    assert "".join(texts).strip()
    assert "<|im" not in "".join(texts)  # the chat template is the model's own
    assert finish.usage is not None
    assert 20 < finish.usage.prompt_tokens < 60
    assert 0 < finish.usage.completion_tokens <= 24


async def test_it_stops_where_it_is_told(model: EmbeddedModel) -> None:
    whole = "".join((await answer(model, ask("Tell me about bread.")))[0])
    word = whole.split()[4]
    texts, finish = await answer(model, ask("Tell me about bread.", stop=(word,)))
    assert "".join(texts) == whole[: whole.index(word)]
    assert finish.reason == "stop"


async def test_it_holds_an_answer_to_a_schema(model: EmbeddedModel) -> None:
    moods = ["radiant", "grumpy"]  # words that a model this small would never hit upon
    properties = {"mood": {"enum": moods}, "is_user_present": {"type": "boolean"}}
    schema = JsonSchema(
        name="mood",
        schema={
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
    )
    text = await model.answer(ask("How are you?", max_tokens=60), schema=schema, patience=60)
    said = json.loads(text)
    assert said.keys() == properties.keys()
    assert said["mood"] in moods
    assert isinstance(said["is_user_present"], bool)


async def test_an_answer_that_takes_too_long_frees_the_model(model: EmbeddedModel) -> None:
    numbers = {"type": "array", "items": {"type": "integer"}, "minItems": 400, "maxItems": 500}
    schema = JsonSchema(name="numbers", schema=numbers)
    with pytest.raises(LanguageModelError) as caught:
        await model.answer(ask("Count to 500.", max_tokens=900), schema=schema, patience=0.5)
    assert caught.value.code == "llm_timeout"
    began = time.monotonic()
    await answer(model, ask("Hi", max_tokens=1))
    assert time.monotonic() - began < 4  # 900 tokens would take 10 s and more


async def test_an_answer_does_not_wait_for_its_turn_beyond_its_patience(model: EmbeddedModel) -> None:
    schema = JsonSchema(name="any", schema={"type": "object"})
    async with contextlib.aclosing(model.stream(ask("Tell me a very long story.", max_tokens=900))) as stream:
        await anext(stream)
        with pytest.raises(LanguageModelError) as caught:
            await model.answer(ask("Hi"), schema=schema, patience=0.1)
    assert caught.value.code == "llm_timeout"


async def test_a_prompt_beyond_the_context_is_a_clear_error(model: EmbeddedModel) -> None:
    assert model.context_tokens == 1024
    with pytest.raises(LanguageModelError) as caught:
        await answer(model, ask("bread " * 3000))
    assert (caught.value.code, caught.value.transient) == ("llm_context_exceeded", False)


async def test_closing_a_stream_frees_the_model(model: EmbeddedModel) -> None:
    async with contextlib.aclosing(model.stream(ask("Tell me a very long story.", max_tokens=900))) as stream:
        await anext(stream)
    began = time.monotonic()
    await answer(model, ask("Hi", max_tokens=1))
    assert time.monotonic() - began < 4  # the whole story would take 10 s and more


async def test_the_key_is_nowhere_to_be_seen(server: EmbeddedServer) -> None:
    target = await server.ready()
    assert server.pid is not None
    assert target.key not in visible(server.pid)


async def test_another_key_is_refused(server: EmbeddedServer) -> None:
    target = await server.ready()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(target.url.rsplit(":", 1)[1]))
    writer.write(b"GET /v1/models HTTP/1.0\r\nAuthorization: Bearer wrong\r\n\r\n")
    assert b" 401 " in await reader.readline()
    writer.close()


async def test_a_killed_server_is_replaced(model: EmbeddedModel, server: EmbeddedServer) -> None:
    first = server.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    texts, _ = await answer(model, ask("Hello again!"))  # at once, not after the restart
    assert "".join(texts).strip()
    assert server.pid not in (None, first)


async def test_a_death_in_mid_sentence_is_a_truncation(model: EmbeddedModel, server: EmbeddedServer) -> None:
    async with contextlib.aclosing(model.stream(ask("Tell me a long story.", max_tokens=600))) as stream:
        await anext(stream)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(LanguageModelError) as caught:
            [_ async for _ in stream]
    assert (caught.value.code, caught.value.transient) == ("llm_truncated", True)


async def test_stop_leaves_no_process() -> None:
    server = EmbeddedServer(slots=1, slot_tokens=256)
    await server.start()
    pid = server.pid
    assert pid is not None
    began = time.monotonic()
    await server.stop()
    assert gone(pid)
    assert time.monotonic() - began < 3
    with pytest.raises(LanguageModelError):
        await server.ready()


PARENT = """
import asyncio, sys
from hub.providers.llm.embedded_process import EmbeddedServer

async def main():
    server = EmbeddedServer(slots=1, slot_tokens=256)
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    """Also from a folder with spaces in its path."""
    source = tmp_path / "a hub with spaces" / "src"
    shutil.copytree(SOURCE / "hub", source / "hub", ignore=shutil.ignore_patterns("__pycache__"))
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(source)},
    ) as parent:
        assert parent.stdout is not None
        lines = iter(parent.stdout.readline, "")
        child = int(next(line for line in lines if line.strip().isdigit()))
        assert not gone(child)
        assert os.getpgid(child) != os.getpgid(parent.pid)  # Ctrl-C on the terminal does not reach it
        parent.kill()
    deadline = time.monotonic() + 10
    while not gone(child):  # nobody announces it
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_a_missing_model_file_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_process, "_PACKAGE", "no_such_package_anywhere")
    with pytest.raises(LanguageModelError) as caught:
        await EmbeddedServer().start()
    assert (caught.value.code, caught.value.transient) == ("llm_unavailable", False)


async def test_a_server_that_cannot_start_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no such library')\n")
    monkeypatch.setattr(embedded_process, "_PROGRAM", broken)
    with pytest.raises(LanguageModelError) as caught:
        await EmbeddedServer().start()
    assert (caught.value.code, caught.value.transient) == ("llm_unavailable", True)
