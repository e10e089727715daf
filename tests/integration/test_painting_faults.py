"""An image server, a disk or a quota that fails: never the text, and said in a clear sentence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from tests.fakes import a1111
from tests.fakes.a1111 import answer, cut, encoded
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import Script, status
from tests.services.fixtures import new_user, running_hub
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.painting import COMPLETED, FAILED, PromptedA1111, talk_about
from tests.services.picture_files import Store, gallery, picture
from tests.services.pictures import flat_png
from tests.services.waiting import eventually

SMALL = {"width": 64, "height": 64}
#: Seconds that a picture may take here.
PATIENCE = 3.0

# What the server says once, and the code it comes to: nothing of it gets better by asking again.
FOR_GOOD: dict[str, tuple[Script, str]] = {
    "no-api": (a1111.NO_API, "image_not_found"),
    "wrong-password": (a1111.WRONG_PASSWORD, "image_refused_key"),
    "invalid": (a1111.INVALID, "image_bad_request"),
    "no-credit": (a1111.NO_CREDIT, "image_quota"),
    "html": (a1111.HTML, "image_bad_answer"),
    "no-images": (answer([]), "image_empty"),
    "no-picture": (answer([encoded(b"This is no picture. " * 9)]), "image_bad_answer"),
    "torn-picture": (answer([encoded(picture(1)[:900])]), "unreadable_image"),
    "huge-picture": (answer([encoded(flat_png(9000, 9000))]), "too_many_pixels"),
}
# What the server says, with the next answers, and how it ends after how many tries.
FOR_NOW: dict[str, tuple[list[Script], int, str | None]] = {
    "broken": ([a1111.BROKEN], 2, None),
    "reset": ([a1111.RESET], 2, None),
    "cut-short": ([cut(), cut()], 3, None),
    "silent": ([a1111.HANG], 2, None),
    "busy": ([status(429, {}, headers={"Retry-After": "2"})], 2, None),
    "out-of-memory": ([a1111.OUT_OF_MEMORY] * 3, 3, "image_out_of_memory"),
    "worse-and-worse": ([a1111.BROKEN, a1111.INVALID], 2, "image_bad_request"),
}


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[PromptedA1111]:
    async with PromptedA1111() as fake:
        yield fake


@pytest.fixture(scope="module")
async def faulty_hub(
    server: PromptedA1111, llm: FakeLLM, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HubServer]:
    """Yield a hub that asks a server that may fail, for small pictures."""
    async with running_hub(
        tmp_path_factory.mktemp("faulty"),
        postgres,
        HUB_SD_URL=server.url,
        HUB_SD_KIND="a1111",
        HUB_SD_TIMEOUT=str(PATIENCE),
        HUB_IMAGE_WIDTH="64",
        HUB_IMAGE_HEIGHT="64",
        HUB_IMAGE_QUOTA_MB="1",
        **llm_settings(llm.url),
    ) as hub:
        yield hub


@pytest.fixture
async def user(faulty_hub: HubServer) -> AsyncIterator[Client]:
    async with new_user(faulty_hub) as found:
        yield found


def is_clear(error: dict[str, Any]) -> bool:
    """Say whether an error is one of a job or response, in whole sentences for people."""
    message = str(error["message"])
    inside = ("Error", "Traceback", "HTTP", "{", "None", "cuda", "CUDA", "send another")  # they sent none
    return (
        set(error) == {"code", "message"} and message.endswith(".") and not any(w in message for w in inside)
    )


async def test_no_fault_of_the_server_costs_the_text(
    user: Client, server: PromptedA1111, faulty_hub: HubServer
) -> None:
    talks: dict[str, str] = {}
    for word, (script, _) in FOR_GOOD.items():
        server.give(word, script)
        talks[await talk_about(user, word)] = word
    async with user.socket() as socket:
        for talk in talks:
            await socket.subscribe(talk)
            await socket.say(talk, "Show me", response={"generate_image": True})
        while len(failed := socket.seen(FAILED)) < len(talks):
            await socket.receive()
        assert not socket.seen(COMPLETED)
        assert not socket.seen("response.failed")
    errors = {talks[each["conversation_id"]]: each["error"] for each in failed}
    assert {word: error["code"] for word, error in errors.items()} == {
        word: code for word, (_, code) in FOR_GOOD.items()
    }
    assert [error for error in errors.values() if not is_clear(error)] == []
    for talk, word in talks.items():
        reply = (await user.messages(talk))[1]
        assert reply["image"] is None
        response = await user.response(reply["response_id"])
        assert (response["status"], response["output_text"]) == ("completed", reply["content"])
        job = await user.job(response["image_job_id"])
        assert (job["status"], job["error"], job["result"]) == ("failed", errors[word], None)
        assert server.asked(word) == 1, f"{word} was asked for again"
    await eventually(lambda: not list(Store(faulty_hub).temporary.iterdir()))


async def test_what_may_get_better_is_tried_up_to_three_times(user: Client, server: PromptedA1111) -> None:
    companion = (await user.companion())["id"]
    interrupts = server.interrupts
    for word, (scripts, _, _) in FOR_NOW.items():
        server.give(word, *scripts)
    began = time.monotonic()
    asked = {word: await user.ask_image(companion, prompt=f"so {word}") for word in FOR_NOW}
    jobs = {word: asyncio.create_task(user.done(job["id"], within=60)) for word, job in asked.items()}
    await jobs["busy"]
    assert time.monotonic() - began >= 2, "it waits as long as the server wishes"
    for word, (_, tries, code) in FOR_NOW.items():
        job = await jobs[word]
        assert (job["error"] or {}).get("code") == code, (word, job)
        assert job["error"] is None or is_clear(job["error"])
        assert job["status"] == ("failed" if code else "completed"), word
        assert server.asked(word) == tries, word
    assert server.interrupts == interrupts + 1, "the silent one is told to stop"
    made = sum(code is None for _, _, code in FOR_NOW.values())
    assert len((await gallery(user, companion, kind="generated"))["items"]) == made


async def test_a_server_that_is_gone_is_told_of_at_once_until_it_is_back(
    user: Client, server: PromptedA1111
) -> None:
    companion = (await user.companion())["id"]
    await server.stop()
    try:
        first = [await user.ask_image(companion) for _ in range(3)]
        for job in first:
            ended = await user.done(job["id"], within=30)
            assert ended["status"] == "failed"
            assert ended["error"]["code"] in ("image_unreachable", "image_server_down")
        quickest = min([await seconds_to_fail(user, companion) for _ in range(4)])
        assert quickest < 1
    finally:
        await server.start()
    deadline = time.monotonic() + 20
    while (await user.done((await user.ask_image(companion))["id"]))["status"] != "completed":
        assert time.monotonic() < deadline, "it is not looked for any more"
        await asyncio.sleep(0.2)


async def seconds_to_fail(user: Client, companion: str) -> float:
    """Ask for a picture and return how long it took to be told that the server is down."""
    began = time.monotonic()
    job = await user.done((await user.ask_image(companion))["id"], within=30)
    assert (job["status"], is_clear(job["error"])) == ("failed", True)
    return time.monotonic() - began


async def test_a_full_quota_is_said_before_and_nothing_is_lost(user: Client, faulty_hub: HubServer) -> None:
    store, companion = Store(faulty_hub), (await user.companion())["id"]
    first = await user.paint(companion, **SMALL)
    await store.database("UPDATE images SET bytes = 1000000 WHERE user_id = $1", UUID(user.user["id"]))
    job = await user.done((await user.ask_image(companion, **SMALL))["id"])
    assert (job["status"], job["error"]["code"]) == ("failed", "quota_exceeded")
    assert is_clear(job["error"])
    assert "1 MB" in job["error"]["message"]
    stored = (await gallery(user, companion))["items"]
    assert [each["id"] for each in stored] == [first["result"]["id"]]
    await user.http.delete(f"/api/images/{first['result']['id']}")
    assert (await user.paint(companion, **SMALL))["status"] == "completed"
    await eventually(lambda: not list(store.temporary.iterdir()))


async def test_a_disk_that_refuses_for_a_moment_costs_no_picture(
    user: Client, server: PromptedA1111, faulty_hub: HubServer
) -> None:
    companion = (await user.companion())["id"]
    in_the_way = Store(faulty_hub).folder(companion)
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.touch()
    job = await user.ask_image(companion, prompt="refused at first")
    await faulty_hub.wait_for("code=storage_failed")
    in_the_way.unlink()
    assert (await user.done(job["id"]))["status"] == "completed"
    assert server.asked("refused at first") == 2


async def test_a_full_disk_is_said_and_the_text_stays(
    user: Client, server: PromptedA1111, faulty_hub: HubServer
) -> None:
    """Runs last: the hub is started again with a disk on which ten terabytes have to stay free."""
    await faulty_hub.kill()
    faulty_hub.settings["HUB_FREE_SPACE_FLOOR_MB"] = "10000000"
    await faulty_hub.start()
    again = Client(faulty_hub.url)
    again.use(user.token)
    talk = await talk_about(again, "no room")
    async with again.socket() as socket:
        await socket.subscribe(talk)
        await socket.say(talk, "Show me", response={"generate_image": True})
        failed = await socket.expect(FAILED)
    assert (failed["error"]["code"], is_clear(failed["error"])) == ("no_room", True)
    assert server.asked("no room") == 0, "it is known before"
    assert (await again.messages(talk))[1]["image"] is None
    assert not list(Store(faulty_hub).temporary.iterdir())
    await again.close()
    assert "Traceback" not in faulty_hub.output
