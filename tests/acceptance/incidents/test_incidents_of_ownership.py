"""Incidents of comparable systems: somebody else's talks, files and streams."""

from __future__ import annotations

import asyncio

from tests.services.hub import Client
from tests.services.refusals import refused
from tests.services.routes import Home


async def test_cve_2026_45349_a_foreign_chat_is_not_continued(client: Client, other: Client) -> None:
    home = await Home.of(client)
    before = await home.everything()
    chat = home.ids["conversation_id"]
    path = f"/api/conversations/{chat}"
    sent = {"content": "I go on here"}
    key = {"Idempotency-Key": "a-key"}
    assert (await client.http.post(f"{path}/messages", json=sent, headers=key)).status_code == 202
    for headers in ({}, key):  # nor is the answer given again that the owner got by the same key
        refused(await other.http.post(f"{path}/messages", json=sent, headers=headers), 404)
    refused(await other.http.get(f"{path}/messages"), 404)
    refused(await other.http.patch(path, json={"title": "Mine"}, headers={"If-Match": "*"}), 404)
    body = {"companion_id": home.ids["companion_id"]}
    refused(await other.http.post("/api/conversations", json=body), 404)
    async with other.socket() as socket:
        await socket.say(chat, "I go on here")
        assert (await socket.expect("error"))["error"]["code"] == "conversation_not_found"
        await socket.send(type="conversation.subscribe", conversation_id=chat)
        assert (await socket.expect("error"))["error"]["code"] == "conversation_not_found"
    said = [each["content"] for each in await client.messages(chat)]
    assert said.count("I go on here") == 1
    assert (await home.everything())["/api/me"] == before["/api/me"]


async def test_cve_2024_41703_a_message_is_edited_by_its_owner_alone(client: Client, other: Client) -> None:
    home = await Home.of(client)
    own = await Home.of(other)
    chat = home.ids["conversation_id"]
    before = await client.messages(chat)
    assert {each["role"] for each in before} == {"user", "assistant"}
    for message in before:
        path, edit = f"/api/messages/{message['id']}", {"content": "This is what you said"}
        for headers in ({}, {"If-Match": "*"}, {"If-Match": (await client.http.get(path)).headers["etag"]}):
            refused(await other.http.patch(path, json=edit, headers=headers), 404)
            refused(await other.http.delete(path, headers=headers), 404)
        refused(await other.http.delete(f"{path}?following=true"), 404)
        refused(await other.http.get(path), 404)
        refused(await other.http.get(f"{path}/alternatives"), 404)
        refused(await other.http.post(f"{path}/alternatives/1/choose"), 404)
        # nor does a conversation of one's own help
        moved = {**edit, "conversation_id": own.ids["conversation_id"]}
        refused(await other.http.patch(path, json=moved), 400, 404)
    assert await client.messages(chat) == before
    first = f"/api/messages/{before[0]['id']}"
    assert (await client.http.patch(first, json={"content": "I say so"})).status_code == 200


async def test_cve_2026_45671_others_files_are_not_deleted(client: Client, other: Client) -> None:
    home = await Home.of(client)
    gallery = f"/api/companions/{home.ids['companion_id']}/images"
    images = (await client.http.get(gallery)).json()["items"]
    pictures = {image["url"]: (await client.http.get(image["url"])).content for image in images}
    assert len(pictures) == 2
    for path in (
        *pictures,
        *(f"/api/images/{image['id']}" for image in images),
        f"/api/companions/{home.ids['companion_id']}/header-image",
        f"/api/companions/{home.ids['companion_id']}",
        f"/api/conversations/{home.ids['conversation_id']}",
    ):
        for headers in ({}, {"If-Match": "*"}):
            refused(await other.http.delete(path, headers=headers), 404)
    refused(await other.http.post(f"/api/companions/{home.ids['companion_id']}/wipe"), 404)
    for url, content in pictures.items():
        refused(await other.http.get(url), 404)
        assert (await client.http.get(url)).content == content


async def test_cve_2026_31950_nobody_listens_to_the_stream_of_another(client: Client, other: Client) -> None:
    home = await Home.of(client)
    events = f"/api/responses/{home.ids['response_id']}/events"
    for headers in ({}, {"Last-Event-ID": "0"}):
        refused(await other.http.get(events, headers=headers), 404)
    refused(await other.http.get(f"/api/responses/{home.ids['response_id']}"), 404)
    refused(await other.http.post(f"/api/responses/{home.ids['response_id']}/cancel"), 404)
    async with other.socket() as theirs, client.socket() as mine:
        chat = home.ids["conversation_id"]
        await theirs.send(type="conversation.subscribe", conversation_id=chat)
        await theirs.expect("error")
        await mine.subscribe(chat)
        await mine.say(chat, "This is between us", response={})
        await mine.finished()
        await theirs.send(type="response.cancel", response_id=home.ids["response_id"])
        await theirs.expect("error")  # whatever there was to be told came before
        assert {frame["type"] for frame in theirs.frames} == {"session.created", "error"}


async def test_cve_2026_31950_a_stream_ends_with_the_sign_in_that_opened_it(client: Client) -> None:
    async with client.socket() as socket:
        assert (await client.http.post("/api/auth/logout")).status_code == 204
        async with asyncio.timeout(5):
            await socket.connection.wait_closed()
        assert socket.connection.close_code == 4401
