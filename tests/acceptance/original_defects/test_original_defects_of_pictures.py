"""The defects of the original in pictures and what counts them, each shown to be absent from outside.

| no. | the original | the test |
|---|---|---|
| 3 | a picture that fails takes the text with it | test_03... |
| 6 | pictures asked for in a talk are not counted | test_06... |
| 7 | the limiter reads and then writes, lets everything through when it fails, believes whatever address a \
header names, and never clears up | the four of test_07... |
| 9 | a replaced header stays on the disk; a companion's files go before its row | the two of test_09... |
| 10 | whoever has the address of a picture sees it | test_10... |

The others are in ``test_original_defects_of_talk.py`` and, 8, in ``test_original_defects_of_wipes.py``.

What 7 says of limits is shown here on that of pictures in an hour; those of sign-ins, messages and companions
are in ``tests/integration/test_limits.py`` and ``test_sign_in_limits.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import httpx2

from tests.acceptance.original_defects.conftest import IMAGES_PER_HOUR, TEXT, all_painted, jobs_of
from tests.fakes.a1111 import INVALID, FakeA1111
from tests.fakes.llm_script import reply
from tests.integration.conftest import Answers
from tests.services.hub import Client, HubServer
from tests.services.picture_files import Store, names_of, set_header
from tests.services.refusals import refused
from tests.services.world import exactly_one_reply, within

REFUSE = "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\
 RAISE EXCEPTION 'not today'; END $$"


WAITING = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'"""


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect to the hub's database."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def refusing(files: Store, table: str, what: str) -> AsyncIterator[None]:
    """Have the database refuse a kind of change to a table."""
    await files.database(REFUSE)
    await files.database(
        f"CREATE TRIGGER refused BEFORE {what} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    try:
        yield
    finally:
        await files.database(f"DROP TRIGGER refused ON {table}")


async def test_03_a_failed_picture_costs_none_of_the_text(
    ada: Client, easel: FakeA1111, held: FakeA1111, replies: Answers
) -> None:
    conversation = (await ada.conversation())["id"]
    replies.give("Paint this", reply(TEXT))
    async with ada.socket() as socket:
        await socket.subscribe(conversation)
        await socket.say(conversation, "Paint this", response={"generate_image": True})
        response = await socket.finished()
        await easel.wait_for(lambda: held.working, within=20)
        # The text is there for good while the picture is not even begun.
        assert await exactly_one_reply(ada, conversation, response) == TEXT
        easel.answers["/sdapi/v1/txt2img"] = INVALID
        job_id = (await ada.response(response["id"]))["image_job_id"]
        await ada.http.post(f"/api/jobs/{job_id}/cancel")
        failed = await socket.expect("response.image_generation_call.failed")
        assert failed["error"]["code"] == "image_cancelled"
        await socket.say(conversation, "Paint that", response={"generate_image": True})
        failed = await socket.expect("response.image_generation_call.failed")
    assert failed["error"]["code"] == "image_bad_request"
    assert failed["error"]["message"]
    told = await ada.response(failed["response_id"])
    assert (told["status"], told["error"]) == ("completed", None)
    stored = await ada.messages(conversation)
    assert [each["content"] for each in stored[::2]] == ["Paint this", "Paint that"]
    assert [each["content"] for each in stored[1::2]] == [TEXT, told["output_text"]]
    assert [each["image"] for each in stored] == [None] * 4
    del easel.answers["/sdapi/v1/txt2img"]


async def test_06_every_way_of_asking_for_a_picture_counts(ada: Client, files: Store) -> None:
    companion = (await ada.companion())["id"]
    conversation = (await ada.conversation(companion))["id"]
    path = f"/api/conversations/{conversation}/messages"
    wanted = {"generate_image": True}
    painted = (await ada.paint(companion, seed=7))["result"]
    key = {"Idempotency-Key": "the-same-message"}
    first = await ada.send_for_image(conversation, "And a picture", **key)
    for _ in range(IMAGES_PER_HOUR):  # the same message again is no further picture
        replay = await ada.http.post(path, json={"content": "And a picture", **wanted}, headers=key)
        assert replay.json()["message"] == first["message"]
    async with ada.socket() as socket:
        await socket.subscribe(conversation)
        for _ in range(IMAGES_PER_HOUR):
            await socket.say(conversation, "Over the socket", event_id="the same", response=wanted)
        again = await ada.http.post(f"/api/images/{painted['id']}/again", json={})
        assert again.status_code == 202
        assert (await ada.done(again.json()["id"]))["status"] == "completed"
        asked = await all_painted(ada, files)
        assert asked == IMAGES_PER_HOUR
        # Every way is closed now, and what is refused leaves nothing behind.
        stored = await ada.messages(conversation)
        for route, body in (
            (path, {"content": "One more", **wanted}),
            (f"/api/companions/{companion}/images", {}),
            (f"/api/images/{painted['id']}/again", {}),
        ):
            answer = await ada.http.post(route, json=body)
            assert refused(answer, 429)["type"] == "/problems/too-many-requests"
            assert 3000 < int(answer.headers["retry-after"]) <= 3600
        event_id = await socket.say(conversation, "One more", response=wanted)
        error = (await socket.expect("error"))["error"]
        assert (error["code"], error["event_id"]) == ("too_many_requests", event_id)
    assert await ada.messages(conversation) == stored
    assert await all_painted(ada, files) == asked
    # Without a picture the talk goes on, and what was sent before is still told again.
    await ada.ended((await ada.send(conversation, "Only words"))["response"]["id"])
    replay = await ada.http.post(path, json={"content": "And a picture", **wanted}, headers=key)
    assert (replay.status_code, replay.json()["message"]) == (202, first["message"])


async def test_06_the_last_picture_of_the_hour_sent_twice_at_once_is_one(ada: Client, files: Store) -> None:
    companion = (await ada.companion())["id"]
    for _ in range(IMAGES_PER_HOUR - 1):
        await ada.ask_image(companion)
    conversation = (await ada.conversation(companion))["id"]
    key = {"Idempotency-Key": "twice-at-once"}
    dsn = files.server.settings["HUB_DATABASE_URL"]
    async with connected(dsn) as holder, connected(dsn) as watcher:
        async with holder.transaction():  # both are on their way before either is stored
            await holder.execute("SELECT FROM conversations WHERE id = $1 FOR UPDATE", UUID(conversation))
            sends = [
                asyncio.create_task(ada.send_for_image(conversation, "The last one", **key)) for _ in range(2)
            ]
            async with asyncio.timeout(20):
                while await watcher.fetchval(WAITING) < len(sends):  # noqa: ASYNC110 - another process knows
                    await asyncio.sleep(0.02)
        sent = await asyncio.gather(*sends)
    assert sent[0]["message"] == sent[1]["message"]
    assert await all_painted(ada, files) == IMAGES_PER_HOUR


async def test_07_of_fifty_at_once_exactly_as_many_pass_as_may(
    ada: Client, ben: Client, files: Store
) -> None:
    companion = (await ada.companion())["id"]
    conversation = (await ada.conversation(companion))["id"]

    async def ask(number: int) -> int:
        path, body = f"/api/companions/{companion}/images", {}
        if number % 2:
            path = f"/api/conversations/{conversation}/messages"
            body = {"content": f"Picture {number}", "generate_image": True}
        return (await ada.http.post(path, json=body)).status_code

    statuses = await asyncio.gather(*(ask(number) for number in range(50)))
    assert sorted(statuses) == [202] * IMAGES_PER_HOUR + [429] * (50 - IMAGES_PER_HOUR)
    assert await all_painted(ada, files) == IMAGES_PER_HOUR
    said = [each for each in await ada.messages(conversation) if each["role"] == "user"]
    assert len(said) == sum(status == 202 for status in statuses[1::2])
    theirs = await ben.paint((await ben.companion())["id"])
    assert theirs["status"] == "completed", "one who asks too much is in nobody else's way"


async def test_07_no_header_about_the_callers_address_changes_the_count(ada: Client) -> None:
    path = f"/api/companions/{(await ada.companion())['id']}/images"
    statuses = []
    for number in range(IMAGES_PER_HOUR + 4):
        address = f"203.0.113.{number}"
        headers = {
            "X-Forwarded-For": f"{address}, 10.0.0.1",
            "X-Real-IP": address,
            "Forwarded": f"for={address}",
            "Via": f"1.1 {address}",
        }
        statuses.append((await ada.http.post(path, json={}, headers=headers)).status_code)
    assert statuses == [202] * IMAGES_PER_HOUR + [429] * 4


async def test_07_counters_that_are_over_are_deleted_by_the_schedule(
    ada: Client, ben: Client, files: Store
) -> None:
    for each in (ada, ben):
        await each.paint((await each.companion())["id"])
    schedule = (await files.database("SELECT * FROM schedules WHERE name = 'rate_limits'"))[0]
    assert schedule["every_seconds"] <= 3600
    left = (
        "SELECT extract(epoch FROM due_at - now())::float8 AS left FROM schedules WHERE name = 'rate_limits'"
    )
    assert (await files.database(left))[0]["left"] <= schedule["every_seconds"], "it comes by itself"
    await files.database(
        "UPDATE rate_limits SET reset_at = now() - interval '1 second' WHERE subject = $1", ada.user["id"]
    )
    await files.database("UPDATE schedules SET due_at = now() WHERE name = 'rate_limits'")

    async def cleared() -> bool | None:
        sql = "SELECT FROM rate_limits WHERE subject = $1"
        return not await files.database(sql, ada.user["id"]) or None

    await within(30, cleared)
    kept = await files.database("SELECT action, used FROM rate_limits WHERE subject = $1", ben.user["id"])
    counted = {each["action"]: each["used"] for each in kept}
    assert counted == {"create": 1, "images": 1}, "a window that is not over stays as it is"


async def test_07_a_limiter_that_fails_lets_nobody_through(ada: Client, files: Store) -> None:
    companion = (await ada.companion())["id"]
    conversation = (await ada.conversation(companion))["id"]
    picture = f"/api/companions/{companion}/images"
    message = f"/api/conversations/{conversation}/messages"
    wanted = {"content": "With a picture", "generate_image": True}
    async with refusing(files, "rate_limits", "INSERT OR UPDATE"), ada.socket() as socket:
        refused(await ada.http.post(picture, json={}), 500, 503)
        refused(await ada.http.post(message, json=wanted), 500, 503)
        event_id = await socket.say(conversation, "And over the socket", response={"generate_image": True})
        assert (await socket.expect("error"))["error"]["event_id"] == event_id
        refused(await ada.http.post(message, json={"content": "Only words"}), 500, 503)
        assert (await ada.http.get("/api/me")).status_code == 200  # what is not counted goes on
    assert await jobs_of(files, ada) == 0
    assert await ada.messages(conversation) == []
    words = await ada.send(conversation, "Only words")
    assert (await ada.ended(words["response"]["id"]))["status"] == "completed"
    assert (await ada.paint(companion))["status"] == "completed"


async def test_09_a_replaced_header_is_deleted(ada: Client, cellar: Store) -> None:
    companion = (await ada.companion())["id"]
    first = await set_header(ada, companion, 1)
    second = await set_header(ada, companion, 2)
    refused(await ada.http.get(first["url"]), 404)
    assert (await cellar.collect()).removals >= 1
    assert cellar.names(companion) == names_of(second)
    assert (await ada.http.get(second["url"])).status_code == 200


async def test_09_the_files_of_a_companion_go_only_after_its_row(ada: Client, cellar: Store) -> None:
    companion = (await ada.companion())["id"]
    header = await set_header(ada, companion, 3)
    async with refusing(cellar, "companions", "DELETE"):
        refused(await ada.http.delete(f"/api/companions/{companion}"), 500, 503)
        await cellar.collect()
    assert cellar.names(companion) == names_of(header)
    assert (await ada.http.get(header["url"])).status_code == 200
    assert (await ada.http.delete(f"/api/companions/{companion}")).status_code == 204
    refused(await ada.http.get(header["url"]), 404)
    await cellar.collect()
    assert not cellar.folder(companion).exists()


async def test_10_pictures_are_only_for_their_owner(
    ada: Client, ben: Client, house: HubServer, files: Store
) -> None:
    companion = (await ada.companion())["id"]
    painted: dict[str, Any] = (await ada.paint(companion))["result"]
    async with httpx2.AsyncClient(base_url=house.url) as nobody:
        for image in (painted, await set_header(ada, companion, 4)):
            for address in (image["url"], f"{image['url']}?size=thumb"):
                seen = await ada.http.get(address)
                assert (seen.status_code, "private" in seen.headers["cache-control"]) == (200, True)
                refused(await ben.http.get(address), 404)
                refused(await nobody.get(address), 401)
            forged = await nobody.get(f"{image['url']}/signed?expires=4000000000&signature=AAAA")
            assert forged.status_code in (401, 403, 404)
        for path in files.folder(companion).rglob("*.avif"):
            place = path.relative_to(files.data_dir)
            for address in (f"/{place}", f"/{place.relative_to('uploads')}", f"/static/{place}"):
                assert (await nobody.get(address)).status_code in (401, 404)
    refused(await ben.http.get(f"/api/companions/{companion}/images"), 404)
    refused(await ben.http.post(f"{painted['url']}/again", json={}), 404)
    refused(await ben.http.post(f"{painted['url']}/links"), 404)
