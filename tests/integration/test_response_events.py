"""Server-Sent Events of one response: the whole text from any offset, while it is written and afterwards."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fakes.llm_script import End, error, reply
from tests.integration.conftest import Answers
from tests.services.hub import PASSWORD, Client

ENDS = ("response.completed", "response.failed", "response.cancelled")
PIECES = ["Well", ", 🫖 tea", " and", " a\n\ncup", ": of\r\n", "é data: x", " — the", " end"]
TEXT = "".join(PIECES)


@dataclass
class Event:
    kind: str
    data: dict[str, Any]
    id: str | None


async def events_of(
    client: Client, response_id: str, last_event_id: str | None = None
) -> AsyncGenerator[Event, None]:
    """Yield the events as a browser's EventSource would."""
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    path = f"/api/responses/{response_id}/events"
    async with client.http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                assert name in ("event", "data", "id"), line
                assert name not in fields
                fields[name] = value
            elif not line and fields:
                data = json.loads(fields["data"])
                assert data["type"] == fields["event"]
                yield Event(fields["event"], data, fields.get("id"))
                fields = {}


async def follow(
    client: Client, response_id: str, last_event_id: str | None = None, text: str = ""
) -> tuple[str, list[Event]]:
    """Build the text as the contract says, beginning with what the client has."""
    events: list[Event] = []
    async with asyncio.timeout(15):
        async for event in events_of(client, response_id, last_event_id):
            events.append(event)
            if event.kind == "response.in_progress":
                text = event.data["response"]["output_text"]
            elif event.kind == "response.output_text.delta":
                assert event.data["offset"] == len(text), event
                text += event.data["delta"]
                assert event.id == str(len(text))
            else:
                assert event.id is None
                if event.kind == "response.output_text.done":
                    assert event.data["text"] == text
    assert events[-1].kind in ENDS
    assert not [event for event in events[:-1] if event.kind in ENDS]
    return text, events


async def ask(client: Client, content: str) -> str:
    conversation = await client.conversation()
    return str((await client.send(conversation["id"], content))["response"]["id"])


async def begun(client: Client, response_id: str) -> None:
    """Wait until some of the reply is stored."""
    deadline = time.monotonic() + 10
    while not (await client.response(response_id))["output_text"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_events_from_the_beginning_to_the_end(client: Client, answers: Answers) -> None:
    go_on = asyncio.Event()
    answers.give("Tea?", reply(PIECES, between={4: go_on}))
    response_id = await ask(client, "Tea?")
    following = asyncio.create_task(follow(client, response_id))
    await asyncio.sleep(0)
    go_on.set()
    text, events = await following
    assert text == TEXT
    assert [event.kind for event in events if "delta" not in event.kind][-3:] == [
        "response.in_progress",
        "response.output_text.done",
        "response.completed",
    ]
    assert events[-1].data["response"] == await client.response(response_id)


async def test_many_follow_at_once_and_from_everywhere(client: Client, answers: Answers) -> None:
    go_on = asyncio.Event()
    answers.give("Tea?", reply(PIECES, between={4: go_on}))
    response_id = await ask(client, "Tea?")
    half = len("".join(PIECES[:4]))
    offsets = [None, "0", *(str(offset) for offset in range(1, half + 1, 3)), str(half)]
    following = [
        asyncio.create_task(follow(client, response_id, offset, TEXT[: int(offset)] if offset else ""))
        for offset in offsets
    ]
    await begun(client, response_id)
    go_on.set()
    for text, _ in await asyncio.gather(*following):
        assert text == TEXT


@pytest.mark.parametrize(
    "offset", [None, "", "0", "1", "4", "7", str(len(TEXT) - 1), str(len(TEXT)), "999999"]
)
async def test_after_the_end_events_go_on_from_any_offset(
    client: Client, answers: Answers, offset: str | None
) -> None:
    answers.give("Tea?", reply(PIECES))
    response_id = await ask(client, "Tea?")
    await client.ended(response_id)
    start = min(int(offset or 0), len(TEXT))
    text, events = await follow(client, response_id, offset, TEXT[:start])
    assert text == TEXT
    told = "".join(event.data["delta"] for event in events if event.kind == "response.output_text.delta")
    joined = [event.data["response"]["output_text"] for event in events if "in_progress" in event.kind]
    assert "".join(joined) + told == TEXT
    assert told == TEXT[start:] or not told
    assert events[-1].kind == "response.completed"


async def test_going_on_again_and_again_gives_the_whole_text(client: Client, answers: Answers) -> None:
    pieces = [f"w{number} ☕ " for number in range(100)]
    answers.give("Talk", reply(pieces, delay=0.01))
    response_id = await ask(client, "Talk")
    text, last, visits, ended = "", None, 0, False
    async with asyncio.timeout(20):
        while not ended:
            visits += 1
            seen = 0
            async with aclosing(events_of(client, response_id, last)) as events:
                async for event in events:
                    if event.kind == "response.in_progress":
                        text = event.data["response"]["output_text"]
                    elif event.kind == "response.output_text.delta":
                        assert event.data["offset"] == len(text)
                        text += event.data["delta"]
                        last = event.id
                    ended = event.kind in ENDS
                    seen += 1
                    if seen > 3 and not ended:
                        break
    assert visits >= 3
    assert text == "".join(pieces).strip() == (await client.response(response_id))["output_text"]


async def test_a_failure_and_a_cancel_are_ends(client: Client, answers: Answers) -> None:
    answers.give("Fail", error(400, "no"))
    failed = await ask(client, "Fail")
    _, events = await follow(client, failed)
    assert events[-1].kind == "response.failed"
    assert events[-1].data["response"]["error"]["message"]
    assert (await follow(client, failed, "5"))[1][-1].kind == "response.failed"
    answers.give("Stop", reply(PIECES, between={2: End.HANG}))
    stopped = await ask(client, "Stop")
    following = asyncio.create_task(follow(client, stopped))
    await begun(client, stopped)
    await client.http.post(f"/api/responses/{stopped}/cancel")
    text, events = await following
    assert events[-1].kind == "response.cancelled"
    assert events[-1].data["response"]["output_text"].startswith(text)


async def test_what_is_written_again_starts_afresh_for_whoever_goes_on(
    client: Client, answers: Answers
) -> None:
    answers.give(
        "Again", reply(["The first try is long", " and breaks"], between={1: End.RESET}), reply("Short")
    )
    response_id = await ask(client, "Again")
    text, events = await follow(client, response_id)
    assert text == "Short"
    assert events[-1].data["response"]["attempt"] == 2
    assert (await follow(client, response_id, "21", "The first try is long"))[0] == "Short"


async def test_leaving_harms_neither_the_reply_nor_others(client: Client, answers: Answers) -> None:
    go_on = asyncio.Event()
    answers.give("Tea?", reply(PIECES, between={2: go_on}))
    response_id = await ask(client, "Tea?")
    async with aclosing(events_of(client, response_id)) as events:
        await anext(events)
    go_on.set()
    assert (await follow(client, response_id))[0] == TEXT


async def test_events_end_when_the_conversation_is_deleted(client: Client, answers: Answers) -> None:
    answers.give("Tea?", reply(PIECES, between={2: End.HANG}))
    conversation = await client.conversation()
    response_id = (await client.send(conversation["id"], "Tea?"))["response"]["id"]

    heard = asyncio.Event()

    async def follow_to_the_end() -> None:
        async for _ in events_of(client, response_id):
            heard.set()

    following = asyncio.create_task(follow_to_the_end())
    await begun(client, response_id)
    async with asyncio.timeout(20):
        await heard.wait()
    await client.http.delete(f"/api/conversations/{conversation['id']}")
    async with asyncio.timeout(5):
        await following


async def test_events_end_with_the_sign_in(client: Client, answers: Answers) -> None:
    go_on = asyncio.Event()
    answers.give("Tea?", reply(PIECES, between={2: go_on}))
    response_id = await ask(client, "Tea?")
    other = Client(client.url)
    body = {"login": client.user["username"], "password": PASSWORD}
    other.use((await other.http.post("/api/auth/login", json=body)).json()["access_token"])
    async with asyncio.timeout(10), aclosing(events_of(other, response_id)) as events:
        await anext(events)
        await other.http.post("/api/auth/logout")
        assert [event.kind async for event in events if event.kind in ENDS] == []
    go_on.set()
    assert (await follow(client, response_id))[0] == TEXT
    await other.close()
