"""Edits by If-Match, reading again by If-None-Match, and links from page to page."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.services.hub import Client
from tests.services.pictures import flat_png
from tests.services.refusals import pointers, refused
from tests.services.routes import NOBODY_THERE

THINGS = ("companion", "conversation", "me", "webhook")
EDITS: dict[str, dict[str, Any]] = {
    "companion": {"name": "Nora"},
    "conversation": {"title": "About ferns"},
    "me": {"display_name": "Somebody"},
    "webhook": {"description": "A lamp"},
}


async def made(client: Client, thing: str) -> str:
    """Make a thing that can be edited and return its path."""
    if thing == "me":
        return "/api/me"
    if thing == "webhook":
        return f"/api/webhooks/{(await client.webhook(NOBODY_THERE))['id']}"
    companion = await client.companion()
    if thing == "companion":
        return f"/api/companions/{companion['id']}"
    return f"/api/conversations/{(await client.conversation(companion['id']))['id']}"


async def tag(client: Client, path: str) -> str:
    return str((await client.http.get(path)).headers["etag"])


@pytest.mark.parametrize("thing", THINGS)
async def test_an_edit_goes_through_while_nothing_has_changed(client: Client, thing: str) -> None:
    path = await made(client, thing)
    first = await tag(client, path)
    assert first.startswith('"')
    answer = await client.http.patch(path, json=EDITS[thing], headers={"If-Match": f'"other", {first}'})
    assert answer.status_code == 200
    assert answer.headers["etag"] not in ("", first)
    assert await tag(client, path) == answer.headers["etag"]
    stale = await client.http.patch(path, json=EDITS[thing], headers={"If-Match": first})
    assert refused(stale, 412)["type"] == "/problems/stale-edit"
    assert await tag(client, path) == answer.headers["etag"]


@pytest.mark.parametrize("thing", THINGS)
async def test_of_two_edits_of_the_same_state_one_is_done(client: Client, thing: str) -> None:
    path = await made(client, thing)
    for number in range(5):
        headers = {"If-Match": await tag(client, path)}
        field = next(iter(EDITS[thing]))
        edits = [
            client.http.patch(path, json={field: f"edit {number} {each}"}, headers=headers)
            for each in range(4)
        ]
        answers = await asyncio.gather(*edits)
        assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
        done = next(answer for answer in answers if answer.status_code == 200)
        assert (await client.http.get(path)).json() == done.json()


@pytest.mark.parametrize("thing", THINGS)
async def test_anything_will_do_or_nothing_is_said(client: Client, thing: str) -> None:
    path = await made(client, thing)
    for headers in ({"If-Match": "*"}, {}):
        assert (await client.http.patch(path, json=EDITS[thing], headers=headers)).status_code == 200


@pytest.mark.parametrize("value", ["", "abc", '"abc', "W/abc", '"a" "b"', '*, "a"', "x" * 3000, ","])
async def test_a_malformed_if_match_is_refused(client: Client, value: str) -> None:
    for thing in THINGS:
        path = await made(client, thing)
        answer = await client.http.patch(path, json=EDITS[thing], headers={"If-Match": value})
        assert pointers(refused(answer, 400)) == {"/If-Match"}


async def test_a_weak_tag_never_fits_an_edit(client: Client) -> None:
    path = await made(client, "companion")
    weak = {"If-Match": f"W/{await tag(client, path)}"}
    refused(await client.http.patch(path, json={"name": "Nora"}, headers=weak), 412)


@pytest.mark.parametrize("thing", ["companion", "conversation"])
async def test_what_has_changed_is_not_deleted(client: Client, thing: str) -> None:
    path = await made(client, thing)
    first = await tag(client, path)
    await client.http.patch(path, json=EDITS[thing])
    refused(await client.http.delete(path, headers={"If-Match": first}), 412)
    refused(await client.http.delete(path, headers={"If-Match": "abc"}), 400)
    assert (await client.http.delete(path, headers={"If-Match": await tag(client, path)})).status_code == 204
    refused(await client.http.get(path), 404)


async def test_a_tag_of_somebody_elses_thing_opens_nothing(client: Client, other: Client) -> None:
    path = await made(client, "companion")
    for value in (await tag(client, path), '"x"', "*"):
        headers = {"If-Match": value}
        refused(await other.http.patch(path, json={"name": "Mine"}, headers=headers), 404)
        refused(await other.http.delete(path, headers=headers), 404)


async def test_a_companions_tag_changes_with_all_that_is_shown_of_it(client: Client) -> None:
    companion = await client.companion()
    path = f"/api/companions/{companion['id']}"
    seen = [await tag(client, path)]
    for change in (
        client.http.patch(path, json={"scene": {"location": "a garden"}}),
        client.set_header_image(companion["id"], flat_png(64, 48)),
        client.http.delete(f"{path}/header-image"),
    ):
        await change
        seen.append(await tag(client, path))
    assert len(set(seen[:3])) == 3
    assert seen[3] == seen[1]  # it looks as before


async def test_a_conversations_tag_changes_with_what_is_said(client: Client) -> None:
    path = await made(client, "conversation")
    before = await tag(client, path)
    sent = await client.send(path.rpartition("/")[2], "Hello")
    await client.ended(sent["response"]["id"])
    refused(await client.http.patch(path, json={"title": "x"}, headers={"If-Match": before}), 412)


async def test_what_is_made_comes_with_its_tag(client: Client) -> None:
    body = {"name": "Mira", "description": "A calm botanist who loves moss."}
    answer = await client.http.post("/api/companions", json=body)
    assert answer.headers["etag"] == await tag(client, answer.headers["location"])
    body = {"companion_id": answer.json()["id"]}
    answer = await client.http.post("/api/conversations", json=body)
    assert answer.headers["etag"] == await tag(client, answer.headers["location"])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_a_client_has_already_is_not_sent_again(client: Client, method: str) -> None:
    companion = await client.companion()
    conversation = await client.conversation(companion["id"])
    for path in (
        f"/api/companions/{companion['id']}",
        f"/api/conversations/{conversation['id']}",
        f"/api/conversations/{conversation['id']}/messages",
        "/api/companions",
        "/api/me",
    ):
        first = await client.http.request(method, path)
        known = first.headers["etag"]
        for value in (known, f"W/{known}", f'"x", {known}', "*"):
            answer = await client.http.request(method, path, headers={"If-None-Match": value})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["etag"] == known
            assert answer.headers["cache-control"] == "private, no-cache"
        for value in ('"x"', "nonsense", ""):
            answer = await client.http.request(method, path, headers={"If-None-Match": value})
            assert answer.status_code == 200


async def test_a_list_has_another_tag_when_it_has_changed(client: Client) -> None:
    await client.companion()
    before = await tag(client, "/api/companions")
    await client.companion()
    answer = await client.http.get("/api/companions", headers={"If-None-Match": before})
    assert len(answer.json()["items"]) == 2


async def test_links_lead_through_a_list(client: Client) -> None:
    companion = await client.companion()
    names = {(await client.conversation(companion["id"]))["id"] for _ in range(5)}
    path = f"/api/conversations?limit=2&companion_id={companion['id']}"
    found: list[str] = []
    while path:
        answer = await client.http.get(path)
        found += [each["id"] for each in answer.json()["items"]]
        link = answer.links.get("next")
        assert (link is None) == (answer.json()["next_cursor"] is None)
        path = urljoin(path, link["url"]) if link else ""
        assert not link or f"companion_id={companion['id']}" in path
    assert len(found) == 5
    assert set(found) == names


async def test_messages_are_linked_page_by_page(client: Client) -> None:
    conversation = await client.conversation((await client.companion(greeting="Hello!"))["id"])
    sent = await client.send(conversation["id"], "Hello")
    await client.ended(sent["response"]["id"])
    answer = await client.http.get(f"/api/conversations/{conversation['id']}/messages?limit=2")
    link = answer.links["next"]["url"]
    assert link.startswith(f"/api/conversations/{conversation['id']}/messages?limit=2&cursor=")
    answer = await client.http.get(link)
    assert [each["content"] for each in answer.json()["items"]] == ["Hello!"]
    assert "link" not in answer.headers
