"""Making, changing and removing webhooks, and the addresses that are refused."""

from __future__ import annotations

import base64
import re
from typing import Any
from uuid import uuid4

import pytest

from tests.fakes.receiver import Receiver
from tests.services.foreign_addresses import PRIVATE, REFUSED_URLS, STRANGE_URLS
from tests.services.hub import Client, HubServer
from tests.services.refusals import pointers, refused
from tests.services.routes import NOBODY_THERE

SHOWN = {
    *("id", "url", "events", "description", "disabled", "disabled_reason", "failing_since"),
    *("created_at", "updated_at"),
}
EVENTS = ["response.completed", "image.completed"]
PUBLIC = "https://93.184.215.14/hooks"  # an address needs no name server


async def create(client: Client, url: str, **fields: Any) -> Any:
    return await client.http.post("/api/webhooks", json={"url": url, "events": EVENTS, **fields})


async def test_the_secret_is_shown_once(client: Client) -> None:
    answer = await create(client, PUBLIC, description="A lamp")
    made = answer.json()
    path = f"/api/webhooks/{made['id']}"
    assert (answer.status_code, answer.headers["location"]) == (201, path)
    assert set(made) == {*SHOWN, "secret"}
    assert 24 <= len(base64.b64decode(made["secret"].removeprefix("whsec_"), validate=True)) <= 64
    read = await client.http.get(path)
    assert read.headers["etag"] == answer.headers["etag"]
    shown = read.json()
    assert shown == {name: made[name] for name in SHOWN}
    assert (shown["url"], shown["events"], shown["description"]) == (PUBLIC, EVENTS, "A lamp")
    assert (shown["disabled"], shown["disabled_reason"], shown["failing_since"]) == (False, None, None)
    assert (await client.http.get("/api/webhooks")).json() == {"items": [shown], "next_cursor": None}


async def test_what_is_left_out_stays(client: Client) -> None:
    made = await client.webhook(NOBODY_THERE)
    path = f"/api/webhooks/{made['id']}"
    changes: list[dict[str, Any]] = [{"description": "x"}, {"events": ["image.completed"] * 2}, {}]
    changes += [{"url": PUBLIC}, {"disabled": True}]
    for change in changes:
        answer = await client.http.patch(path, json=change)
        assert answer.status_code == 200
    last = answer.json()
    assert (last["description"], last["events"], last["url"]) == ("x", ["image.completed"], PUBLIC)
    assert (last["disabled"], last["disabled_reason"]) == (True, "user")
    refused(await client.http.post(f"{path}/test"), 409)
    again = (await client.http.patch(path, json={"disabled": False})).json()
    assert (again["disabled"], again["disabled_reason"]) == (False, None)
    assert again["updated_at"] > made["updated_at"]
    assert (await client.http.delete(path)).status_code == 204
    refused(await client.http.get(path), 404)


async def test_pages_and_how_many_there_may_be(client: Client) -> None:
    made = [await client.webhook(NOBODY_THERE) for _ in range(20)]
    problem = refused(await create(client, NOBODY_THERE), 409)
    assert problem["type"] == "/problems/too-many-webhooks"
    path, found = "/api/webhooks?limit=7", []
    while True:
        page = (await client.http.get(path)).json()
        found += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        path = f"/api/webhooks?limit=7&cursor={page['next_cursor']}"
    assert found == [each["id"] for each in reversed(made)]


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"events": []}, "/events"),
        ({"events": ["webhook.test"]}, "/events/0"),
        ({"events": "image.completed"}, "/events"),
        ({"url": ""}, "/url"),
        ({"url": None}, "/url"),
        ({"url": f"https://hooks.example/{'x' * 2048}"}, "/url"),
        ({"description": "x" * 201}, "/description"),
        ({"description": "\0"}, "/description"),
        ({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "/secret"),
    ],
    ids=str,
)
async def test_what_is_out_of_bounds_is_named(client: Client, wrong: dict[str, Any], pointer: str) -> None:
    body = {"url": NOBODY_THERE, "events": EVENTS, **wrong}
    assert pointers(refused(await client.http.post("/api/webhooks", json=body), 400)) == {pointer}


def addresses() -> list[str]:
    """Return what leads inside in every disguise, by https, and what is no address for other reasons."""
    inside = [
        url.replace("http:", "https:", 1)
        for url in (*REFUSED_URLS, *STRANGE_URLS)
        if not re.match(r"(?i)http://localhost\.?[:/]", url)  # which this hub's operator allows
    ]
    literal = [f"https://[{each}]/" if ":" in each else f"https://{each}/" for each in PRIVATE[:-1]]
    plain = ["http://93.184.215.14/hooks", "http://[2606:4700::1111]/", "http://hooks.example/x"]
    return [*inside, *literal, *plain, f"{PUBLIC}#part", "https://localhost.example@10.0.0.1/"]


async def test_no_address_that_leads_inside_is_taken(client: Client) -> None:
    """Not at first, and not by a change."""
    made = await client.webhook(NOBODY_THERE)
    urls = addresses()
    assert len(urls) > 150
    for url in urls:
        answer = await create(client, url)
        assert answer.status_code == 400, url
        assert pointers(refused(answer, 400)) == {"/url"}, url
    for url in urls[::10]:
        refused(await client.http.patch(f"/api/webhooks/{made['id']}", json={"url": url}), 400)
    assert [each["id"] for each in (await client.http.get("/api/webhooks")).json()["items"]] == [made["id"]]


async def test_the_operator_may_allow_a_host_inside(client: Client, receiver: Receiver) -> None:
    """By its very name: what else leads to the same address is refused."""
    assert (await create(client, receiver.url("/x"))).status_code == 201
    assert (await create(client, receiver.url("/x").upper().replace("HTTP", "http"))).status_code == 201
    refused(await create(client, receiver.origin + "/x"), 400)


async def test_a_rotated_secret(client: Client) -> None:
    made = await client.webhook(NOBODY_THERE)
    rotated = (await client.http.post(f"/api/webhooks/{made['id']}/rotate-secret")).json()
    assert set(rotated) == {"secret", "old_secret_until"}
    assert rotated["secret"] != made["secret"]
    assert (await client.http.get(f"/api/webhooks/{made['id']}")).json().keys() == SHOWN


async def test_deliveries_are_those_of_their_webhook(client: Client, other: Client) -> None:
    first, second = await client.webhook(NOBODY_THERE), await client.webhook(NOBODY_THERE)
    theirs = await other.webhook(NOBODY_THERE)
    sent = (await client.http.post(f"/api/webhooks/{first['id']}/test")).json()
    for webhook in (second, theirs):
        path = f"/api/webhooks/{webhook['id']}/deliveries/{sent['id']}"
        refused(await client.http.get(path), 404)
        refused(await client.http.post(f"{path}/retry"), 404)
        refused(await other.http.get(path), 404)
    refused(await client.http.get(f"/api/webhooks/{first['id']}/deliveries/{uuid4()}"), 404)
    assert (await client.http.get(f"/api/webhooks/{second['id']}/deliveries")).json()["items"] == []


async def test_no_secret_and_no_address_is_in_the_log(client: Client, hub: HubServer) -> None:
    canary = f"canary-{uuid4().hex}"
    made = await client.webhook(f"{NOBODY_THERE}?token={canary}")
    rotated = (await client.http.post(f"/api/webhooks/{made['id']}/rotate-secret")).json()
    await client.http.post("/api/webhooks", json={"url": f"https://10.0.0.1/{canary}", "events": EVENTS})
    await client.http.post(f"/api/webhooks/{made['id']}/test")
    await hub.wait_for("webhook failed")
    for each in (canary, made["secret"], rotated["secret"], "whsec_"):
        assert each not in hub.output
