"""Pictures that are asked for with a message: what is told of them, and how they are stopped."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.a1111 import INTERRUPT
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import Script, reply, status
from tests.services.fixtures import new_user, running_hub
from tests.services.hub import Client, HubServer, Socket, llm_settings
from tests.services.painting import (
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    PromptedA1111,
    image_call,
    say_for_image,
    talk_about,
)
from tests.services.picture_files import Store, gallery
from tests.services.waiting import eventually

KEY = "canaryuser:canarykey"
UPDATED = "companion_hub.item.updated"
#: The key as it is sent.
WIRED = b64encode(KEY.encode()).decode()


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[PromptedA1111]:
    async with PromptedA1111() as fake:
        yield fake


@pytest.fixture(scope="module")
async def painting_hub(
    server: PromptedA1111, llm: FakeLLM, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HubServer]:
    """Yield a hub that reads scenes, and has its pictures made by the fake."""
    async with running_hub(
        tmp_path_factory.mktemp("painting"),
        postgres,
        HUB_SD_URL=server.url,
        HUB_SD_KIND="a1111",
        HUB_SD_KEY=KEY,
        HUB_IMAGE_WIDTH="64",
        HUB_IMAGE_HEIGHT="96",
        HUB_LOG_LEVEL="debug",
        **llm_settings(llm.url, HUB_SCENE_ANALYSIS="both"),
    ) as hub:
        yield hub


@pytest.fixture
async def user(painting_hub: HubServer, server: PromptedA1111) -> AsyncIterator[Client]:
    """Yield a user; the fake is left as it was."""
    async with new_user(painting_hub) as found:
        yield found
    server.held, server.progress = False, 0.0
    server.finish()


async def held(server: PromptedA1111) -> None:
    """Let pictures wait from now on."""
    assert not server.working
    server.held = True


async def text_stays(client: Client, conversation_id: str) -> dict[str, Any]:
    """Check that the turn is complete, and return the reply's message."""
    stored = await client.messages(conversation_id)
    assert [each["role"] for each in stored] == ["user", "assistant"]
    response = await client.response(stored[1]["response_id"])
    assert (response["status"], response["error"]) == ("completed", None)
    assert response["output_text"] == stored[1]["content"] != ""
    return stored[1]


async def test_a_picture_is_told_of_step_by_step(
    user: Client, server: PromptedA1111, painting_hub: HubServer
) -> None:
    await held(server)
    talk = await talk_about(user, "canary-word")
    async with user.socket() as socket:
        await say_for_image(socket, talk)
        response = await socket.finished()
        first = await image_call(socket, progress=0.0, position=None)
        await server.wait_for(lambda: server.working)
        server.progress = 0.5
        half = await image_call(socket, progress=0.5, position=None)
        job = await user.job(first["job_id"])
        assert (job["status"], job["progress"], job["position"]) == ("in_progress", 0.5, None)
        server.progress = 0.0
        server.finish()
        completed = await socket.expect(COMPLETED)
    image, response_id = completed["image"], response["id"]
    told = [*socket.seen(IN_PROGRESS), completed]
    assert {each["response_id"] for each in told} == {response_id}
    assert {each["conversation_id"] for each in told} == {talk}
    assert {each["job_id"] for each in told[:-1]} == {first["job_id"]} == {half["job_id"]}
    shares = [each["progress"] for each in told[:-1]]
    assert shares == sorted(shares)
    kinds = [frame["type"] for frame in socket.frames]
    assert kinds.index("response.completed") < kinds.index(IN_PROGRESS) < kinds.index(COMPLETED)
    [updated] = socket.seen(UPDATED)
    assert (updated["item"]["response_id"], updated["item"]["image"]) == (response_id, image)
    assert (await user.response(response_id))["image_job_id"] == first["job_id"]
    assert (await text_stays(user, talk))["image"] == image
    done = await user.job(first["job_id"])
    assert (done["status"], done["progress"], done["result"]) == ("completed", 1, image)
    assert (image["recipe"]["provider"], image["recipe"]["seed"]) == ("a1111", server.orders[-1]["seed"])
    assert image["recipe"]["prompt"] == server.orders[-1]["prompt"]
    log = painting_hub.output
    for line in (
        "context analysis completed",
        "LLM response generation completed",
        "image generation completed and uploaded",
    ):
        found = [each for each in log.splitlines() if line in each]
        assert found, line
        assert "duration_ms=" in found[-1]
    assert "saved=" in found[-1]


async def test_who_comes_later_is_told_where_it_stands(user: Client, server: PromptedA1111) -> None:
    await held(server)
    talk = await talk_about(user, "joined")
    sent = await user.send_for_image(talk, "Show me")
    response = await user.ended(sent["response"]["id"])
    await server.wait_for(lambda: server.working)
    async with user.socket() as socket:
        await socket.subscribe(talk)
        joined = await image_call(socket, progress=0.0, position=None)
        assert joined["job_id"] == (await user.response(response["id"]))["image_job_id"]
        server.finish()
        image = (await socket.expect(COMPLETED))["image"]
    async with user.socket() as late:  # it is over: the message says all
        await late.subscribe(talk)
        added = [await late.expect("conversation.item.added") for _ in range(2)]
        assert added[1]["item"]["image"] == image
    assert (await user.http.delete(f"/api/images/{image['id']}")).status_code == 204
    assert (await text_stays(user, talk))["image"] is None
    job = await user.job(joined["job_id"])
    assert (job["status"], job["result"], job["error"]) == ("completed", None, None)


async def test_a_picture_that_was_done_meanwhile_is_told_on_coming_back(
    user: Client, server: PromptedA1111
) -> None:
    await held(server)
    talk = await talk_about(user, "meanwhile")
    async with user.socket() as socket:
        await say_for_image(socket, talk)
        seen = socket.seen("conversation.subscribed")[0]["revision"]
        call = await image_call(socket, progress=0.0, position=None)
    await server.wait_for(lambda: server.working)
    server.finish()
    image = (await user.done(call["job_id"]))["result"]
    async with user.socket() as back:
        subscribed = await back.subscribe(talk, after=2, revision=seen)
        updated = await back.expect(UPDATED)
        assert (updated["item"]["response_id"], updated["item"]["image"]) == (call["response_id"], image)
        assert updated["revision"] > subscribed["revision"] == seen
        await back.say(talk, "Thank you", response=None)
        await back.expect("conversation.item.added")
        assert len(back.seen(UPDATED)) == 1
    async with user.socket() as again:
        await again.subscribe(talk, after=3, revision=updated["revision"])
        await again.say(talk, "Good night", response=None)
        await again.expect("conversation.item.added")
        assert again.seen(UPDATED) == []


async def cancel(client: Client, job_id: str) -> dict[str, Any]:
    answer = await client.http.post(f"/api/jobs/{job_id}/cancel")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def is_cancelled(client: Client, socket: Socket, conversation_id: str, job_id: str) -> None:
    """Check that everybody is told, that it stays so, and that the text is there."""
    failed = await socket.expect(FAILED)
    assert failed["error"]["code"] == "image_cancelled"
    assert failed["error"]["message"].endswith(".")
    job = await client.job(job_id)
    assert (job["status"], job["result"], job["error"], job["position"]) == ("cancelled", None, None, None)
    assert job["completed_at"]
    assert await cancel(client, job_id) == job
    assert (await text_stays(client, conversation_id))["image"] is None


async def test_one_that_waits_moves_up_and_can_be_cancelled(user: Client, server: PromptedA1111) -> None:
    await held(server)
    talks = [await talk_about(user, f"waits-{number}") for number in range(3)]
    async with user.socket() as first, user.socket() as second, user.socket() as third:
        await say_for_image(first, talks[0])
        await image_call(first, progress=0.0, position=None)
        await say_for_image(second, talks[1])
        waiting = await image_call(second, progress=0.0, position=1)
        await say_for_image(third, talks[2])
        last = await image_call(third, progress=0.0, position=2)
        assert (await user.job(last["job_id"]))["position"] == 2
        assert (await cancel(user, waiting["job_id"]))["status"] == "cancelled"
        await is_cancelled(user, second, talks[1], waiting["job_id"])
        await image_call(third, progress=0.0, position=1)
        await server.wait_for(lambda: server.working)
        server.finish()
        await first.expect(COMPLETED)
        await image_call(third, progress=0.0, position=None)
        await server.wait_for(lambda: server.working)
        server.finish()
        await third.expect(COMPLETED)
    assert [server.asked(f"waits-{number}") for number in range(3)] == [1, 0, 1]
    assert server.overlaps == 0


async def test_one_that_is_painted_is_stopped_at_the_server(
    user: Client, server: PromptedA1111, painting_hub: HubServer
) -> None:
    await held(server)
    interrupts = server.interrupts
    talk = await talk_about(user, "stopped")
    async with user.socket() as socket:
        await say_for_image(socket, talk)
        call = await image_call(socket, progress=0.0, position=None)
        await server.wait_for(lambda: server.working)
        assert (await cancel(user, call["job_id"]))["status"] == "cancelled"
        await server.wait_for(lambda: not server.working)
        await is_cancelled(user, socket, talk, call["job_id"])
    assert server.interrupts == interrupts + 1
    assert (await gallery(user, await companion_of(user, talk)))["items"] == []
    await eventually(lambda: not list(Store(painting_hub).temporary.iterdir()))
    server.held = False
    again = await user.paint(await companion_of(user, talk))  # the lane is free, the server as before
    assert again["status"] == "completed"
    assert server.overlaps == 0


async def test_the_next_one_waits_until_the_server_has_stopped(user: Client, server: PromptedA1111) -> None:
    await held(server)
    companion, stopped = (await user.companion())["id"], asyncio.Event()
    server.answers[INTERRUPT] = replace(status(200, {}), before_head=[stopped])
    try:
        first = await user.ask_image(companion)
        await server.wait_for(lambda: server.working)
        second = await user.ask_image(companion)
        await cancel(user, first["id"])
        with suppress(TimeoutError):
            await server.wait_for(lambda: server.overlaps > 0, within=1.5)
        server.held = False
        server.finish()
        stopped.set()
        assert (await user.done(second["id"]))["status"] == "completed"
        assert server.overlaps == 0
    finally:
        del server.answers[INTERRUPT]


async def companion_of(client: Client, conversation_id: str) -> str:
    return str((await client.http.get(f"/api/conversations/{conversation_id}")).json()["companion_id"])


async def test_a_cancel_and_an_end_at_once_have_one_outcome(
    user: Client, server: PromptedA1111, painting_hub: HubServer
) -> None:
    companion = (await user.companion())["id"]
    outcomes = set()
    for number in range(8):
        server.held = True
        job = await user.ask_image(companion, seed=number)
        await server.wait_for(lambda: server.working)
        server.held = False
        server.finish()
        if number % 2:
            await server.wait_for(lambda: not server.working)
        await cancel(user, job["id"])
        ended = await user.job(job["id"])
        outcomes.add(ended["status"])
        assert (ended["status"] == "completed") == (ended["result"] is not None)
    await server.wait_for(lambda: not server.working)
    stored = {each["recipe"]["seed"] for each in (await gallery(user, companion))["items"]}
    rows = await Store(painting_hub).database(
        "SELECT seed FROM jobs JOIN image_requests USING (id) WHERE companion_id::text = $1"
        " AND status = 'completed'",
        companion,
    )
    assert stored == {row["seed"] for row in rows}
    assert outcomes <= {"completed", "cancelled"}
    await eventually(lambda: not list(Store(painting_hub).temporary.iterdir()))


async def test_a_turn_that_is_cancelled_paints_nothing(
    user: Client, server: PromptedA1111, llm: FakeLLM
) -> None:
    talk = await talk_about(user, "never-painted")
    go = asyncio.Event()
    usual, llm.default = llm.default, lambda _: reply("one two three", between={1: go})
    before = len(llm.requests)
    try:
        sent = await user.send_for_image(talk, "Show me")
        await llm.wait_for_requests(before + 2)  # the reading of the scene, and the reply
        answer = await user.http.post(f"/api/responses/{sent['response']['id']}/cancel")
        assert answer.json()["status"] == "cancelled"
        assert answer.json()["image_job_id"] is None
    finally:
        llm.default = usual
        go.set()
    await user.paint(await companion_of(user, talk), prompt="the next one")
    assert server.asked("never-painted") == 0


async def test_an_answer_without_end_is_not_waited_for(user: Client, server: PromptedA1111) -> None:
    server.give("endless", Script(steps=[b" " * 1_000_000, 0.0] * 90, content_type="application/json"))
    asked = await user.ask_image((await user.companion())["id"], prompt="endless")
    job = await user.done(asked["id"], within=60)
    assert (job["status"], job["error"]["code"]) == ("failed", "image_bad_answer")
    assert server.asked("endless") == 1


async def test_no_prompt_and_no_key_is_in_the_log(
    user: Client, painting_hub: HubServer, server: PromptedA1111
) -> None:
    """Runs last. The log is at its most talkative, and the server repeats in its errors what it was told."""
    companion = (await user.companion())["id"]
    told = f"canary-refused {KEY}"
    for code in (400, 401, 422):
        server.give("canary-refused", status(code, {"detail": [{"msg": told}], "error": {"message": told}}))
        failed = await user.done((await user.ask_image(companion, prompt="canary-refused"))["id"])
        assert failed["status"] == "failed"
        assert "canary" not in str(failed)
    assert server.asked("canary-word") == 1
    assert server.asked("canary-refused") == 3
    assert server.requests[-1].headers["authorization"] == f"Basic {WIRED}"
    log = painting_hub.output
    assert "image failed" in log
    assert [word for word in ("canary", WIRED, "Traceback") if word in log] == []
