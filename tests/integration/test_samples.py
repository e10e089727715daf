"""Samples: there once however often they are asked for, gone by one call, and whose they are once changed."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from hub.domain.samples import queries
from hub.domain.samples.contents import samples_in
from hub.domain.samples.schemas import Standing
from tests.services.fixtures import new_user
from tests.services.hub import Client
from tests.services.picture_files import Store, gallery, names_of, picture, send_header

PATH = "/api/companions/samples"


async def add(user: Client, **body: str) -> list[dict[str, Any]]:
    """Ask for the samples and return those that are there then."""
    answer = await user.http.post(PATH, json=body) if body else await user.http.post(PATH)
    assert answer.status_code == 201, answer.text
    assert answer.json()["next_cursor"] is None
    return list(answer.json()["items"])


async def listed(user: Client, path: str = "/api/companions", **query: str) -> list[dict[str, Any]]:
    """Return what a list has."""
    return list((await user.http.get(path, params=query)).json()["items"])


async def talk_with(user: Client, companion_id: str) -> dict[str, Any]:
    """Return the only conversation with a companion."""
    (found,) = await listed(user, "/api/conversations", companion_id=companion_id)
    return found


async def test_many_clicks_at_once_add_two_companions_with_portrait_and_talk(
    store: Store, user: Client
) -> None:
    asked = await asyncio.gather(*(add(user) for _ in range(4)))
    companions = await listed(user)
    assert [each["name"] for each in companions] == [each.companion.name for each in samples_in("en")]
    assert all([each["id"] for each in found] == [each["id"] for each in companions] for found in asked)
    assert await add(user, language="de") == companions, "nothing twice, in whatever language"
    for companion, sample in zip(companions, samples_in("en"), strict=True):
        talk = await talk_with(user, companion["id"])
        messages = await user.messages(talk["id"])
        said = [(each["role"], each["content"]) for each in messages]
        assert said == [(each.role, each.content) for each in sample.conversation.messages]
        assert [each["position"] for each in messages] == list(range(1, talk["last_position"] + 1))
        painted = messages[sample.picture.message - 1]["image"]
        assert painted["recipe"]["scene"] == companion["scene"]
        header = companion["header_image"]
        assert companion["sample"]
        assert {each["id"] for each in (await gallery(user, companion["id"]))["items"]} == {
            header["id"],
            painted["id"],
        }
        assert store.names(companion["id"]) == names_of(header) | names_of(painted)
        assert (await user.http.get(header["url"])).status_code == 200
    assert await store.wrong() == []


async def test_one_call_removes_them_with_files_and_talks_and_nobody_elses(
    store: Store, user: Client
) -> None:
    own = await user.companion()
    companions = await add(user, language="de")
    talk = await talk_with(user, companions[0]["id"])
    assert "ß" in companions[1]["description"]
    await user.send(talk["id"], "Moin!")
    user_id = UUID(user.user["id"])
    assert await queries.standing(user_id) == Standing(companions=2, messages=1)
    async with new_user(store.server) as other:
        theirs = await add(other)
        assert (await user.http.delete(PATH)).status_code == 204
        assert await listed(other) == theirs
        assert (await other.http.get(theirs[0]["header_image"]["url"])).status_code == 200
    assert [each["id"] for each in await listed(user)] == [own["id"]]
    assert (await user.http.get(f"/api/conversations/{talk['id']}")).status_code == 404
    assert await queries.standing(user_id) == Standing(companions=0, messages=0)
    assert (await user.http.delete(PATH)).status_code == 204, "none is no error"
    await store.collect()
    assert not any(store.folder(each["id"]).exists() for each in companions)
    assert await store.wrong() == []


async def test_whoever_changes_one_keeps_it(store: Store, user: Client) -> None:
    edited, dressed = await add(user)
    answer = await user.http.patch(f"/api/companions/{edited['id']}", json={"name": "Mairi"})
    assert answer.json()["sample"] is False
    assert (await send_header(user, dressed["id"], picture(1))).status_code == 200
    assert (await user.http.get(f"/api/companions/{dressed['id']}")).json()["sample"] is False
    assert (await user.http.delete(PATH)).status_code == 204
    assert {each["id"] for each in await listed(user)} == {edited["id"], dressed["id"]}
    again = await add(user)
    assert [each["name"] for each in again] == [each.companion.name for each in samples_in("en")]
    assert len(await listed(user)) == 4
    assert await store.wrong() == []


async def test_asking_again_completes_one_whose_pictures_are_gone(store: Store, user: Client) -> None:
    companion = (await add(user))[0]
    talk = await talk_with(user, companion["id"])
    painted = (await user.messages(talk["id"]))[-1]["image"]
    assert (await user.http.delete(f"/api/images/{painted['id']}")).status_code == 204
    answer = await user.http.delete(f"/api/companions/{companion['id']}/header-image")
    assert answer.status_code == 204
    completed = (await add(user))[0]
    assert completed["id"] == companion["id"]
    assert completed["header_image"]["sha256"] == companion["header_image"]["sha256"]
    assert (await user.messages(talk["id"]))[-1]["image"]["sha256"] == painted["sha256"]
    assert await store.wrong() == []
