"""Companions: made, listed, changed and removed by their owner."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from tests.services.hub import Client
from tests.services.refusals import pointers, refused

FIELDS = {
    "id",
    "name",
    "description",
    "appearance",
    "user_appearance",
    "default_outfit",
    "greeting",
    "scene",
    "header_image",
    "created_at",
    "updated_at",
    "sample",
}
DESCRIPTION = "A calm botanist who loves moss."


async def test_a_companion_is_made_in_its_scene(client: Client) -> None:
    body = {
        "name": "Mira 🌿",
        "description": DESCRIPTION,
        "appearance": "green eyes",
        "user_appearance": "a grey coat",
        "default_outfit": "an apron",
        "greeting": "Hello, you!",
    }
    answer = await client.http.post("/api/companions", json=body)
    assert answer.status_code == 201
    companion = answer.json()
    assert answer.headers["location"] == f"/api/companions/{companion['id']}"
    assert set(companion) == FIELDS
    assert {name: companion[name] for name in body} == body
    assert set(companion["scene"]) == {"outfit", "location", "action", "expression"}
    assert companion["scene"]["outfit"] == "an apron"
    assert all(companion["scene"].values())
    assert companion["header_image"] is None
    assert UUID(companion["id"]).version == 7
    assert datetime.fromisoformat(companion["created_at"]).utcoffset() is not None
    shown = await client.http.get(answer.headers["location"])
    assert shown.status_code == 200
    assert shown.json() == companion


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x" * 100},
        {"name": "🫖" * 100},
        {"description": "x" * 10},
        {"description": "🫖" * 8000},
        {"greeting": ""},
        {"appearance": "tabs\tand\nlines \u2028 \u202e\ufeff"},
    ],
)
async def test_bounds_are_inside(client: Client, fields: dict[str, str]) -> None:
    companion = await client.companion(**fields)
    for name, value in fields.items():
        assert companion[name] == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", " \t\n"),
        ("name", "x" * 101),
        ("name", "a\0b"),
        ("name", None),
        ("description", "x" * 9),
        ("description", " " * 20),
        ("description", "x" * 8001),
        ("description", 5),
        ("greeting", "a\0b"),
        ("appearance", ["green"]),
        ("id", "018f0000-0000-7000-8000-000000000000"),
        ("user_id", "018f0000-0000-7000-8000-000000000000"),
        ("scene", {"mood": "x"}),
    ],
)
async def test_what_no_companion_has_is_refused(client: Client, field: str, value: Any) -> None:
    body = {"name": "Mira", "description": DESCRIPTION, field: value}
    problem = refused(await client.http.post("/api/companions", json=body), 400)
    assert pointers(problem) == {f"/{field}"}
    assert (await client.http.get("/api/companions")).json() == {"items": [], "next_cursor": None}
    made = await client.companion()
    refused(await client.http.patch(f"/api/companions/{made['id']}", json={field: value}), 400)
    assert (await client.http.get(f"/api/companions/{made['id']}")).json() == made


async def test_a_change_leaves_the_rest(client: Client) -> None:
    made = await client.companion(appearance="green eyes")
    path = f"/api/companions/{made['id']}"
    changed = (await client.http.patch(path, json={"name": "Ida"})).json()
    assert changed["updated_at"] > made["updated_at"]
    assert changed == {**made, "name": "Ida", "updated_at": changed["updated_at"]}
    emptied = (await client.http.patch(path, json={"appearance": "", "greeting": ""})).json()
    assert emptied["appearance"] == ""
    assert (await client.http.get(path)).json() == emptied


async def test_an_empty_change_is_no_error(client: Client) -> None:
    made = await client.companion()
    answer = await client.http.patch(f"/api/companions/{made['id']}", json={})
    assert answer.status_code == 200
    assert {**answer.json(), "updated_at": made["updated_at"]} == made


async def test_an_outfit_left_empty_is_the_usual_one_at_any_time(client: Client) -> None:
    made = await client.companion(default_outfit="")
    assert made["default_outfit"]
    path = f"/api/companions/{made['id']}"
    await client.http.patch(path, json={"default_outfit": "a coat"})
    assert (await client.http.patch(path, json={"default_outfit": " "})).json() == {
        **made,
        "updated_at": (await client.http.get(path)).json()["updated_at"],
    }


async def test_pages_hold_every_companion_once_newest_first(client: Client) -> None:
    made = [(await client.companion(name=f"Number {n}"))["id"] for n in range(7)]
    for limit in (1, 2, 3, 7, 8, 1000):
        seen: list[str] = []
        cursor: str | None = None
        while True:
            query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
            answer = await client.http.get("/api/companions", params=query)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            assert set(page) == {"items", "next_cursor"}
            assert len(page["items"]) <= limit
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == made[::-1]


async def test_a_page_is_not_moved_by_what_comes_and_goes(client: Client) -> None:
    made = [(await client.companion())["id"] for _ in range(4)]
    first = (await client.http.get("/api/companions?limit=2")).json()
    await client.http.delete(f"/api/companions/{made[2]}")
    await client.companion()
    rest = (
        await client.http.get("/api/companions", params={"limit": "2", "cursor": first["next_cursor"]})
    ).json()
    assert [item["id"] for item in rest["items"]] == [made[1], made[0]]


async def test_deleting_takes_the_conversations_along(client: Client) -> None:
    companion = await client.companion()
    conversation = await client.conversation(companion["id"])
    sent = await client.send(conversation["id"], "Hello")
    await client.ended(sent["response"]["id"])
    path = f"/api/companions/{companion['id']}"
    gone = await client.http.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    for other in (
        path,
        f"/api/conversations/{conversation['id']}",
        f"/api/conversations/{conversation['id']}/messages",
        f"/api/responses/{sent['response']['id']}",
    ):
        refused(await client.http.get(other), 404)
    refused(await client.http.delete(path), 404)
    refused(await client.http.patch(path, json={"name": "Ida"}), 404)
    body = {"companion_id": companion["id"]}
    refused(await client.http.post("/api/conversations", json=body), 404, 400)
    assert (await client.http.get("/api/conversations")).json()["items"] == []
