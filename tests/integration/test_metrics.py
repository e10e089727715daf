"""What ``/metrics`` of a hub in one process tells: every family, and numbers that move with what happens."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import httpx2

from tests.fakes.llm_script import End, reply
from tests.integration.conftest import Answers
from tests.services.hub import Client, HubServer
from tests.services.numbers import PROMISED, numbers


async def test_every_family_is_told_with_its_type_and_what_it_is(hub: HubServer) -> None:
    told = await numbers(hub.url)
    assert PROMISED.items() <= told.types.items()
    assert told.types["process_resident_memory_bytes"] == "gauge"
    for name in told.types:
        assert f"# HELP {name} " in told.text
    for status in ("completed", "failed", "cancelled"):
        assert f'hub_responses_total{{status="{status}"}} ' in told.text
    assert told.value("hub_database_up") == 1
    assert 0 < told.value("hub_memory_used_bytes") < told.value("hub_memory_limit_bytes")
    assert told.value("hub_disk_free_bytes") > told.value("hub_disk_floor_bytes") == 512_000_000
    assert told.value("hub_database_pool_connections", state="max") == 20
    assert told.value("hub_database_pool_connections", state="idle") >= 1


async def test_a_turn_over_a_socket_is_counted(hub: HubServer, client: Client) -> None:
    conversation = await client.conversation()
    before = await numbers(hub.url)
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "Hello there")
        assert (await socket.finished())["status"] == "completed"
        during = await numbers(hub.url)
    for name, labels in (
        ("hub_responses_total", {"status": "completed"}),
        ("hub_queue_wait_seconds_count", {"kind": "reply"}),
        ("hub_first_token_seconds_count", {}),
        ("hub_tokens_per_second_count", {}),
        ("hub_websockets", {}),
    ):
        assert during.value(name, **labels) == before.value(name, **labels) + 1, name
    spent = during.value("hub_first_token_seconds_sum") - before.value("hub_first_token_seconds_sum")
    assert 0 < spent < 20
    written = "hub_tokens_total"
    assert during.value(written, kind="completion") > before.value(written, kind="completion")


async def test_failures_and_cancels_are_counted(hub: HubServer, client: Client, answers: Answers) -> None:
    conversation = await client.conversation()
    before = await numbers(hub.url)
    answers.give("Say nothing", reply(""))
    sent = await client.send(conversation["id"], "Say nothing")
    assert (await client.ended(sent["response"]["id"]))["status"] == "failed"
    answers.give("Begin and hang", reply("One two three four", between={2: End.HANG}))
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        sent = await client.send(conversation["id"], "Begin and hang")
        await socket.reads("One")
        await client.http.post(f"/api/responses/{sent['response']['id']}/cancel")
    after = await numbers(hub.url)
    ended = {
        status: after.value("hub_responses_total", status=status)
        - before.value("hub_responses_total", status=status)
        for status in ("completed", "failed", "cancelled")
    }
    assert ended == {"completed": 0, "failed": 1, "cancelled": 1}
    code = {"code": "llm_empty_reply"}
    failures = "hub_llm_failures_total"
    assert after.value(failures, **code) == before.value(failures, **code) + 1


async def test_a_picture_is_counted_with_what_it_saves(hub: HubServer, client: Client) -> None:
    companion = await client.companion()
    before = await numbers(hub.url)
    await client.paint(companion["id"])
    items = (await client.http.get(f"/api/companions/{companion['id']}/images?kind=generated")).json()[
        "items"
    ]
    after = await numbers(hub.url)
    assert after.value("hub_image_seconds_count") == before.value("hub_image_seconds_count") + 1
    assert after.value("hub_images_total", status="completed") > 0
    saved = after.value("hub_image_bytes_saved_total") - before.value("hub_image_bytes_saved_total")
    assert saved == items[0]["original_bytes"] - items[0]["bytes"] > 0


async def test_the_newest_backup_is_told(hub: HubServer) -> None:
    folder = hub.folder / "backups"
    folder.mkdir(exist_ok=True)
    assert (await numbers(hub.url)).value("hub_backup_timestamp_seconds") == 0
    made = [folder / f"hub-{time}.tar.zst" for time in ("20261122T020000Z", "20261123T020000Z")]
    for file in (*made, folder / "hub-20990101T000000Z.tar.zst.part", folder / "other.tar.zst"):
        file.touch()
    at = datetime(2026, 11, 23, 2, tzinfo=UTC).timestamp()
    assert (await numbers(hub.url)).value("hub_backup_timestamp_seconds") == at
    for file in folder.iterdir():
        file.unlink()


async def test_what_people_send_makes_no_new_series(hub: HubServer, nobody: httpx2.AsyncClient) -> None:
    await nobody.get("/nowhere/0")
    before = await numbers(hub.url)
    for number in range(20):
        await nobody.get(f"/nowhere/{number}?a={number}")
        await nobody.get(f"/api/companions/{uuid4()}")
        await nobody.request("PROPFIND", f"/nowhere/{number}")
        await nobody.head(f"/api/companions/{uuid4()}")
    after = await numbers(hub.url)
    new = after.labels("hub_http_requests_total", "route") - before.labels("hub_http_requests_total", "route")
    assert new <= {"none", "/metrics", "/api/companions/{companion_id}"}
    assert "other" in after.labels("hub_http_requests_total", "method")
    for method, route, count in (("GET", "none", 20), ("other", "none", 20)):
        labels = {"method": method, "route": route, "status": "4xx"}
        moved = after.value("hub_http_requests_total", **labels) - before.value(
            "hub_http_requests_total", **labels
        )
        assert moved == count, labels
    head = {"method": "HEAD", "route": "/api/companions/{companion_id}"}
    assert after.value("hub_http_requests_total", **head) >= 20
