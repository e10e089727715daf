"""Texts for clients that bring the talk along: what breaks, who leaves, who comes too often."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from httpx2 import Response

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import End, Script, error, reply
from tests.integration.conftest import Answers, last_said, prompt
from tests.services.fixtures import running_hub
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.world import query, within

BROKEN = reply(["Half", " of it"], between={1: End.CLOSE})


@pytest.fixture
async def model(client: Client) -> str:
    """Return a companion of the client's as a model."""
    return f"companion/{(await client.companion())['id']}"


def asked(model: str, said: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": said}], **more}


async def ask(client: Client, model: str, said: str, **more: Any) -> Response:
    return await client.http.post("/v1/chat/completions", json=asked(model, said, **more))


async def chunks(client: Client, model: str, said: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the chunks of a stream; the last one is ``{}`` for ``[DONE]``."""
    sending = client.http.stream("POST", "/v1/chat/completions", json=asked(model, said, stream=True))
    async with sending as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                yield {} if line == "data: [DONE]" else json.loads(line.removeprefix("data: "))


def text_of(told: list[dict[str, Any]]) -> str:
    deltas = [each["choices"][0]["delta"] for each in told if each.get("choices")]
    return "".join(each.get("content") or "" for each in deltas)


async def rows(hub: HubServer, model: str) -> list[dict[str, Any]]:
    """Return what the database has of a companion's completions."""
    sql = "SELECT * FROM completions WHERE companion_id = $1::uuid"
    return await query(hub.settings["HUB_DATABASE_URL"], sql, model.removeprefix("companion/"))


async def forgotten(hub: HubServer, model: str) -> None:
    """Wait until nothing is left of a companion's completions."""

    async def gone() -> bool | None:
        return not await rows(hub, model) or None

    assert await within(5, gone)


# What breaks


async def test_what_breaks_before_the_first_word_is_tried_again(
    client: Client, model: str, answers: Answers, hub: HubServer
) -> None:
    answers.give("Again", error(500), reply("At last."))
    told = [each async for each in chunks(client, model, "Again")]
    assert (text_of(told), told[-1]) == ("At last.", {})
    await forgotten(hub, model)


async def test_a_stream_that_breaks_behind_some_text_says_so_and_is_not_begun_anew(
    client: Client, model: str, answers: Answers, hub: HubServer
) -> None:
    answers.give("Break", BROKEN, reply("Something else."))
    told = [each async for each in chunks(client, model, "Break")]
    assert text_of(told) == "Half"
    assert told[-1]["error"]["code"] == "llm_truncated"
    assert told[-1]["error"]["type"] == "server_error"
    await forgotten(hub, model)


async def test_who_waits_for_the_whole_gets_that_of_a_later_attempt(
    client: Client, model: str, answers: Answers
) -> None:
    answers.give("Break", BROKEN, reply("Something else."))
    answer = await ask(client, model, "Break")
    assert answer.json()["choices"][0]["message"]["content"] == "Something else."


@pytest.mark.parametrize(
    ("script", "told_as"),
    [
        (error(401), (503, "llm_refused_key")),
        (error(400, code="content_filter"), (400, "content_filter")),
        (reply(""), (503, "llm_empty_reply")),
    ],
)
async def test_what_fails_for_good_is_an_error(
    client: Client, model: str, answers: Answers, script: Script, told_as: tuple[int, str]
) -> None:
    answers.give("Fail", script, script)
    answer = await ask(client, model, "Fail")
    assert (answer.status_code, answer.json()["error"]["code"]) == told_as
    assert answer.headers["x-should-retry"] == "false"
    told = [each async for each in chunks(client, model, "Fail")]
    assert told[-1]["error"]["code"] == told_as[1]


# Who leaves


async def test_a_reader_that_leaves_a_stream_closes_the_upstream(
    client: Client, model: str, answers: Answers, llm: FakeLLM, hub: HubServer
) -> None:
    answers.give("Leave", reply(["Half", " of it"], between={1: End.HANG}))
    gone = llm.disconnects
    async for chunk in chunks(client, model, "Leave"):
        if text_of([chunk]) == "Half":
            break
    await llm.wait_for_disconnects(gone + 1, within=2)
    await forgotten(hub, model)


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
async def test_who_leaves_before_the_whole_is_there_closes_the_upstream(
    client: Client, model: str, answers: Answers, llm: FakeLLM, path: str
) -> None:
    answers.give("Leave", reply(["Half", " of it"], between={1: End.HANG}))
    gone, before = llm.disconnects, len(llm.requests)
    body = {**asked(model, "Leave"), "input": "Leave"}
    asking = asyncio.create_task(client.http.post(f"/v1/{path}", json=body))
    await llm.wait_for_requests(before + 1)
    asking.cancel()
    await llm.wait_for_disconnects(gone + 1, within=2)


async def test_a_socket_that_closes_closes_the_upstream(
    client: Client, model: str, answers: Answers, llm: FakeLLM
) -> None:
    answers.give("Leave", reply(["Half", " of it"], between={1: End.HANG}))
    gone = llm.disconnects
    async with v1_socket(client) as socket:
        await socket.send(json.dumps({"type": "response.create", "model": model, "input": "Leave"}))
        while json.loads(await socket.recv())["type"] != "response.output_text.delta":
            pass
    await llm.wait_for_disconnects(gone + 1, within=2)


@asynccontextmanager
async def v1_socket(client: Client) -> AsyncIterator[websockets.ClientConnection]:
    address = client.url.replace("http", "ws", 1) + "/v1/responses"
    headers = {"Authorization": f"Bearer {client.token}"}
    async with websockets.connect(address, additional_headers=headers, max_size=None) as socket:
        yield socket


async def test_in_the_background_it_goes_on_until_it_is_stopped(
    client: Client, model: str, answers: Answers, llm: FakeLLM
) -> None:
    answers.give("Stop", reply(["Half", " of it"], between={1: End.HANG}))
    gone = llm.disconnects
    body = {"model": model, "input": "Stop", "background": True}
    response = (await client.http.post("/v1/responses", json=body)).json()
    path = f"/v1/responses/{response['id']}"
    async with client.http.stream("GET", f"{path}?stream=true") as events:
        async for line in events.aiter_lines():
            if '"delta":"Half"' in line:
                break
    assert (await client.http.get(path)).json()["status"] == "in_progress"
    stopped = await client.http.post(f"{path}/cancel")
    assert (stopped.status_code, stopped.json()["status"]) == (200, "cancelled")
    await llm.wait_for_disconnects(gone + 1, within=2)

    async def kept() -> dict[str, Any] | None:
        found = (await client.http.get(path)).json()
        return dict(found) if found["output"] else None

    assert (await within(5, kept))["output"][0]["content"][0]["text"] == "Half"


async def test_signing_out_ends_streams_and_sockets(
    client: Client, model: str, answers: Answers, llm: FakeLLM
) -> None:
    answers.give("Out", *(reply(["Half", " of it"], between={1: End.HANG}) for _ in range(2)))
    gone = llm.disconnects
    async with v1_socket(client) as socket:
        await socket.send(json.dumps({"type": "response.create", "model": model, "input": "Out"}))
        told: list[dict[str, Any]] = []
        async for chunk in chunks(client, model, "Out"):
            told.append(chunk)
            if text_of([chunk]) == "Half":
                assert (await client.http.post("/api/auth/logout")).status_code == 204
        assert told[-1]["error"]["code"] == "not_signed_in"
        async with asyncio.timeout(5):
            await socket.wait_closed()
        assert socket.close_code == 4401
    await llm.wait_for_disconnects(gone + 2, within=5)


@pytest.mark.parametrize(("method", "end"), [("POST", "/wipe"), ("DELETE", "")])
async def test_a_companion_that_goes_takes_its_answers_along(  # noqa: PLR0917 - fixtures
    client: Client, model: str, answers: Answers, llm: FakeLLM, method: str, end: str
) -> None:
    stored = (await client.http.post("/v1/responses", json={"model": model, "input": "Stay"})).json()
    answers.give("Go", reply(["Half", " of it"], between={1: End.HANG}))
    gone = llm.disconnects
    told: list[dict[str, Any]] = []
    path = f"/api/companions/{model.removeprefix('companion/')}{end}"
    async for chunk in chunks(client, model, "Go"):
        told.append(chunk)
        if text_of([chunk]) == "Half":
            assert (await client.http.request(method, path)).is_success
    assert told[-1]["error"]["code"] == "cancelled"
    await llm.wait_for_disconnects(gone + 1, within=2)
    assert (await client.http.get(f"/v1/responses/{stored['id']}")).status_code == 404


async def test_of_a_talk_of_many_megabytes_only_the_end_is_read(client: Client, model: str) -> None:
    previous = None
    for number in range(5):
        said = f"{number}" + "x" * 700_000
        body = {"model": model, "input": said, "previous_response_id": previous}
        answer = await client.http.post("/v1/responses", json=body)
        assert answer.status_code == 200, answer.text
        previous = answer.json()["id"]
    listed = await client.http.get(f"/v1/responses/{previous}/input_items")
    items = listed.json()["data"]
    first = [each["content"][0]["text"][0] for each in items if each["role"] == "user"]
    assert first == ["4", "3", "2"], "the newest, as many as are not too long together"
    assert len(listed.content) < 3_000_000


# As other clients do it


async def test_a_client_that_sends_many_fields_of_its_own(
    client: Client, model: str, answers: Answers, llm: FakeLLM
) -> None:
    """As SillyTavern's custom source: the list of models, then streams with all that it knows."""
    listed = (await client.http.get("/v1/models")).json()
    assert [each["id"] for each in listed["data"]] == [model]
    nudge = "[Continue the last message.]"
    answers.give("Hello.", reply("And so it grows."))
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": "Write Mira's next reply."},
            {"role": "system", "content": "[Start a new Chat]", "name": "example"},
            {"role": "user", "content": "Hello.", "name": "Robin"},
            {"role": "assistant", "content": "Moss is patient."},
            {"role": "system", "content": nudge},
        ],
        "stream": True,
        "temperature": 1,
        "max_tokens": 300,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_p": 1,
        "top_k": 40,
        "min_p": 0,
        "repetition_penalty": 1.1,
        "seed": 7,
        "n": 1,
        "logit_bias": {},
        "stop": [],
        "user": "robin",
        "include_reasoning": False,
        "custom": {"anything": [1, None]},
    }
    answer = await client.http.post("/v1/chat/completions", json=body)
    assert answer.text.rstrip().endswith("data: [DONE]")
    lines = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert text_of(lines) == "And so it grows."
    (_, persona), *talk = prompt(llm.chats[-1].body)
    assert persona.endswith("Write Mira's next reply.\n\n[Start a new Chat]")
    assert talk == [("user", "Hello."), ("assistant", "Moss is patient."), ("system", nudge)]


# Who comes too often


@pytest.fixture
async def fake() -> AsyncIterator[FakeLLM]:
    async with FakeLLM() as fake:
        yield fake


@pytest.fixture
async def limited(postgres: str, fake: FakeLLM, tmp_path: Path) -> AsyncIterator[HubServer]:
    """Yield a hub that lets a user have two turns at once, and five in a minute."""
    async with running_hub(
        tmp_path,
        postgres,
        HUB_LIMITS="on",
        HUB_TURNS_PER_USER="2",
        HUB_MESSAGES_PER_MINUTE="5",
        **llm_settings(fake.url, HUB_LLM_TIMEOUT="30"),
    ) as server:
        yield server


async def test_messages_and_completions_share_limits_and_places(limited: HubServer, fake: FakeLLM) -> None:
    go_on = asyncio.Event()
    fake.default = lambda _: reply(["Well", ", yes."], between={1: go_on})
    client = await Client(limited.url).register()
    companion = (await client.companion())["id"]
    model = f"companion/{companion}"
    sent = await client.send((await client.conversation(companion))["id"], "One")
    await fake.wait_for_requests(1)
    asking = [asyncio.create_task(ask(client, model, said)) for said in ("Two", "Three")]
    await fake.wait_for_requests(2)
    fourth = await client.send((await client.conversation(companion))["id"], "Four")

    other = await Client(limited.url).register()
    answered = await other.send((await other.conversation())["id"], "Other")
    await fake.wait_for_requests(3)  # what was let in beyond the cap would have been there first
    assert last_said(fake.chats[-1].body) == "Other"
    go_on.set()
    for answer in await asyncio.gather(*asking):
        assert answer.json()["choices"][0]["message"]["content"] == "Well, yes."
    for response in (sent["response"], fourth["response"]):
        assert (await client.ended(response["id"]))["status"] == "completed"
    assert (await other.ended(answered["response"]["id"]))["status"] == "completed"
    fifth = await ask(client, model, "Five")
    assert fifth.status_code == 200
    assert '"chat"' in fifth.headers["ratelimit"]
    refused = await ask(client, model, "Six")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert int(refused.headers["retry-after"]) > 0
    assert '"chat"' in refused.headers["ratelimit"]
    async with v1_socket(client) as socket:
        await socket.send(json.dumps({"type": "response.create", "model": model, "input": "Seven"}))
        told = json.loads(await socket.recv())
        assert (told["status"], told["error"]["code"]) == (429, "rate_limit_exceeded")
    await client.close()
    await other.close()
