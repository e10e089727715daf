"""Pictures as rows: what is said of them, how they replace each other, who may see them, for how long."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from tests.services import pictures
from tests.services.hub import Client, HubServer
from tests.services.picture_files import (
    Store,
    gallery,
    names_of,
    new_companion,
    picture,
    send_header,
    set_header,
)
from tests.services.refusals import refused

FIELDS = {
    "id",
    "url",
    "kind",
    "width",
    "height",
    "bytes",
    "original_bytes",
    "media_type",
    "sha256",
    "created_at",
    "recipe",
}


@pytest.mark.parametrize(
    ("sent", "fitted"),
    [((1200, 900), (800, 600)), ((300, 1600), (150, 800)), ((801, 801), (800, 800)), ((64, 48), (64, 48))],
)
async def test_what_is_said_of_a_picture(
    client: Client, companion: str, hub: HubServer, sent: tuple[int, int], fitted: tuple[int, int]
) -> None:
    content = pictures.photo(*sent).jpegsave_buffer()
    image = await client.set_header_image(companion, content, "image/jpeg")
    assert set(image) == FIELDS
    assert (image["width"], image["height"]) == fitted
    assert (image["kind"], image["media_type"], image["recipe"]) == ("header", "image/avif", None)
    assert image["original_bytes"] == len(content)
    assert image["url"] == f"/api/images/{image['id']}"
    assert UUID(image["id"]).version == 7
    created = datetime.fromisoformat(image["created_at"])
    assert created.utcoffset() == timedelta(0)
    assert abs(created - datetime.now(UTC)) < timedelta(minutes=5)
    store = Store(hub)
    served = (await client.http.get(image["url"])).content
    assert served == store.main_file(companion, image["sha256"]).read_bytes()
    assert (sha256(served).hexdigest(), len(served)) == (image["sha256"], image["bytes"])
    assert store.names(companion) == names_of(image)
    stored = pictures.open_bytes(served)
    assert (stored.width, stored.height) == fitted
    assert (await gallery(client, companion)) == {"items": [image], "next_cursor": None}


async def test_a_companion_shows_its_header(client: Client, companion: str) -> None:
    plain = await new_companion(client)
    image = await set_header(client, companion, 1)
    path = f"/api/companions/{companion}"
    assert (await client.http.get(path)).json()["header_image"] == image
    changed = await client.http.patch(path, json={"name": "Mirabel"})
    assert (changed.json()["name"], changed.json()["header_image"]) == ("Mirabel", image)
    listed = (await client.http.get("/api/companions")).json()["items"]
    assert {each["id"]: each["header_image"] for each in listed} == {companion: image, plain: None}
    conversation = await client.conversation(companion)
    await client.send(conversation["id"], "Hello")
    assert [each["image"] for each in await client.messages(conversation["id"])][:1] == [None]


async def test_another_one_takes_its_place(client: Client, companion: str) -> None:
    first = await set_header(client, companion, 1)
    second = await set_header(client, companion, 2)
    again = await set_header(client, companion, 2)
    assert len({first["id"], second["id"], again["id"]}) == 3
    assert second["sha256"] == again["sha256"] != first["sha256"]
    for old in (first, second):
        refused(await client.http.get(old["url"]), 404)
        refused(await client.http.delete(old["url"]), 404)
    assert (await client.http.get(again["url"])).status_code == 200
    assert (await gallery(client, companion))["items"] == [again]


async def test_ten_at_once_leave_one(client: Client, companion: str, hub: HubServer) -> None:
    answers = await asyncio.gather(*(send_header(client, companion, picture(number)) for number in range(10)))
    assert [answer.status_code for answer in answers] == [200] * 10
    sent = {answer.json()["id"]: answer.json() for answer in answers}
    rows = await Store(hub).database("SELECT id FROM images WHERE companion_id = $1", UUID(companion))
    assert len(rows) == 1
    kept = sent[str(rows[0]["id"])]
    assert (await client.http.get(f"/api/companions/{companion}")).json()["header_image"] == kept
    statuses = {name: (await client.http.get(each["url"])).status_code for name, each in sent.items()}
    assert statuses == {name: 200 if name == kept["id"] else 404 for name in sent}


async def test_pictures_are_deleted_by_either_address(client: Client, companion: str) -> None:
    for by_its_own in (True, False):
        image = await set_header(client, companion, 3)
        path = image["url"] if by_its_own else f"/api/companions/{companion}/header-image"
        answer = await client.http.delete(path)
        assert (answer.status_code, answer.content) == (204, b"")
        refused(await client.http.delete(path), 404)
        refused(await client.http.get(image["url"]), 404)
        assert (await client.http.get(f"/api/companions/{companion}")).json()["header_image"] is None
        assert (await gallery(client, companion))["items"] == []


async def test_pictures_of_others_are_not_there(
    client: Client, other: Client, nobody: httpx2.AsyncClient, companion: str
) -> None:
    image = await set_header(client, companion, 4)
    png = {"Content-Type": "image/png"}
    routes: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", image["url"], {}),
        ("GET", f"{image['url']}?size=thumb", {}),
        ("GET", image["url"], {"headers": {"If-None-Match": f'"{image["sha256"]}"'}}),
        ("GET", image["url"], {"headers": {"Accept": "image/webp", "Range": "bytes=0-0"}}),
        ("DELETE", image["url"], {}),
        ("POST", f"{image['url']}/links", {}),
        ("GET", f"/api/companions/{companion}/images", {}),
        ("PUT", f"/api/companions/{companion}/header-image", {"content": picture(5), "headers": png}),
        ("DELETE", f"/api/companions/{companion}/header-image", {}),
    ]
    for method, path, more in routes:
        theirs = refused(await other.http.request(method, path, **more), 404)
        unknown = path.replace(image["id"], str(uuid4())).replace(companion, str(uuid4()))
        nothing = refused(await other.http.request(method, unknown, **more), 404)
        assert {**theirs, "request_id": ""} == {**nothing, "request_id": ""}
        refused(await nobody.request(method, path, **more), 401)
    assert (await client.http.get(f"/api/companions/{companion}")).json()["header_image"] == image
