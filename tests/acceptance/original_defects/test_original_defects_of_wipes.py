"""The eighth defect of the original: a wipe leaves files behind, and work under way writes back afterwards.

| what | the test |
|---|---|
| a wipe while a reply, a look at the scene and a picture are under way | test_08_a_wipe_leaves... |
| clearing away and storing at once, which must not wait for each other | test_08_a_scene... |
| a message that comes in the middle of a wipe | test_08_a_message... |
| asking for something of a companion that goes at this moment | test_08_what_is_asked... |
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from tests.acceptance.original_defects.conftest import TEXT, Analyses, all_painted, scene_of
from tests.fakes.a1111 import FakeA1111
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import reply
from tests.integration.conftest import Answers, last_said
from tests.services.hub import Client
from tests.services.picture_files import Store, gallery
from tests.services.refusals import refused
from tests.services.waiting import eventually
from tests.services.world import within

OF_SCENES = "hashtextextended('scene:' || $1, 0)"


@asynccontextmanager
async def transaction(files: Store) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection to the hub's database, in a transaction."""
    connection = await asyncpg.connect(files.server.settings["HUB_DATABASE_URL"])
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


async def waits_for(connection: asyncpg.Connection, count: int = 1) -> None:
    """Wait until so many wait for a lock that this connection has."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"

    async def look() -> bool | None:
        return await connection.fetchval(sql) >= count or None

    await within(20, look)


async def test_08_a_wipe_leaves_no_file_and_nothing_writes_back(
    ada: Client, files: Store, held: FakeA1111, replies: Answers, analyses: Analyses
) -> None:
    go = asyncio.Event()
    companion = (await ada.companion(default_outfit="a green apron"))["id"]
    talks = [(await ada.conversation(companion))["id"] for _ in range(2)]
    ready = await ada.ask_image(companion)
    await held.wait_for(lambda: held.working, within=20)
    held.finish()
    assert (await ada.done(ready["id"]))["status"] == "completed"
    assert files.names(companion), "there is a picture to be wiped"
    # A reply that is being written and wants a picture, a scene that is being read, a picture being painted.
    replies.give("Tell me a tale", reply(TEXT, between={3: go}))
    replies.give("Where are we?", reply("At the harbour, of course."))
    analyses.give("At the harbour, of course.", {"location": "the harbour"}, after=go)
    answered = await ada.send(talks[0], "Where are we?")
    await ada.ended(answered["response"]["id"])
    await analyses.are_asked("At the harbour, of course.")
    painting = await ada.ask_image(companion)
    await held.wait_for(lambda: held.working, within=20)
    async with ada.socket() as socket:
        await socket.subscribe(talks[1])
        await socket.say(talks[1], "Tell me a tale", response={"generate_image": True})
        response_id = await socket.reads("Moss is patient")
        lost = files.server.output.count("taken away")
        wiped = (await ada.http.post(f"/api/companions/{companion}/wipe")).json()
    go.set()
    held.finish()
    assert wiped == {"messages": 3, "memories": 0, "images": 1, "jobs_cancelled": 3}
    await eventually(lambda: files.server.output.count("taken away") == lost + 3)
    assert (await files.gc("--grace", "0"))["removals"] == 1
    assert not files.folder(companion).exists()
    assert not list(files.temporary.iterdir())
    assert [await ada.messages(each) for each in talks] == [[], []]
    assert (await gallery(ada, companion))["items"] == []
    assert (await scene_of(ada, companion))["location"] == "living room"
    assert (await scene_of(ada, companion))["outfit"] == "a green apron"
    assert (await ada.job(painting["id"]))["status"] == "cancelled"
    refused(await ada.http.get(f"/api/responses/{response_id}"), 404)
    # And life goes on, with nothing of what was.
    sent = await ada.send(talks[1], "Hello again")
    assert (await ada.ended(sent["response"]["id"]))["status"] == "completed"
    assert [each["role"] for each in await ada.messages(talks[1])] == ["user", "assistant"]


async def test_08_a_scene_that_is_stored_and_what_clears_away_do_not_wait_for_each_other(
    ada: Client, files: Store, replies: Answers, analyses: Analyses, go: asyncio.Event
) -> None:
    """Whoever clears away takes the jobs first and the scene last; so has to do whoever reads scenes."""
    companion = (await ada.companion())["id"]
    conversation = (await ada.conversation(companion))["id"]
    replies.give("Paint the lamps", reply("They are lit."))
    analyses.give("They are lit.", {"location": "the quay"}, after=go)
    sent = await ada.send_for_image(conversation, "Paint the lamps")
    await ada.ended(sent["response"]["id"])
    await analyses.are_asked("They are lit.")
    async with transaction(files) as clearing:
        of_ada = "user_id = $1 AND kind = 'image'"
        await clearing.execute(f"SELECT FROM jobs WHERE {of_ada} FOR UPDATE", UUID(ada.user["id"]))
        go.set()
        await waits_for(clearing)
        assert await clearing.fetchval(f"SELECT pg_try_advisory_xact_lock({OF_SCENES})", companion)
    await all_painted(ada, files)
    assert (await scene_of(ada, companion))["location"] == "the quay"
    assert (await ada.messages(conversation))[1]["image"] is not None


async def test_08_a_message_in_the_middle_of_a_wipe_does_not_hold_up_the_next(
    ada: Client, files: Store, model: FakeLLM, replies: Answers, go: asyncio.Event
) -> None:
    """It comes too late to be cancelled and too early to stay; its reply begins, and is wiped away."""
    companion = (await ada.companion())["id"]
    conversation = (await ada.conversation(companion))["id"]
    replies.give("In the middle", reply(TEXT, between={3: go}))
    async with transaction(files) as end_of_wipe:
        await end_of_wipe.execute(f"SELECT pg_advisory_xact_lock({OF_SCENES})", companion)
        async with transaction(files) as end_of_send:
            # The last that a send does is to note its key.
            await end_of_send.execute("LOCK TABLE idempotency_keys IN SHARE MODE")
            key = {"Idempotency-Key": "in-the-middle"}
            sending = asyncio.create_task(ada.send_for_image(conversation, "In the middle", **key))
            await waits_for(end_of_send)
            wiping = asyncio.create_task(ada.http.post(f"/api/companions/{companion}/wipe"))
            await eventually_blocked(files, 2)
        assert (await sending)["response"]["status"] == "queued"
        await eventually(lambda: any(last_said(each.body) == "In the middle" for each in model.chats))
        await waits_for(end_of_wipe)
    wiped = (await wiping).json()
    assert (wiped["messages"], wiped["jobs_cancelled"]) == (1, 0)
    go.set()
    sent = await ada.send(conversation, "Is anybody there?")
    assert (await ada.ended(sent["response"]["id"], within=15))["status"] == "completed"
    said = [each["content"] for each in await ada.messages(conversation)]
    assert (len(said), said[0]) == (2, "Is anybody there?")


async def eventually_blocked(files: Store, count: int) -> None:
    """Wait until so many of the hub's connections wait for somebody's lock."""
    sql = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
    )

    async def look() -> bool | None:
        return (await files.database(sql))[0]["count"] >= count or None

    await within(20, look)


async def test_08_what_is_asked_of_a_companion_that_is_being_deleted_finds_none(
    ada: Client, files: Store
) -> None:
    companion = (await ada.companion())["id"]
    async with transaction(files) as deleting:
        await deleting.execute("DELETE FROM companions WHERE id = $1", UUID(companion))
        asking = asyncio.gather(
            ada.http.post(f"/api/companions/{companion}/images", json={}),
            ada.http.post("/api/conversations", json={"companion_id": companion}),
        )
        await waits_for(deleting, 2)
    for answer in await asking:
        refused(answer, 404)
