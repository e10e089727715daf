"""Coming from the original to a running hub: what people find there, and how it goes on."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from typing import Any
from uuid import UUID

from tests.services.fixtures import require_or_skip
from tests.services.hub import PASSWORD, PROJECT, Client
from tests.services.legacy import data_url, photo
from tests.services.legacy_import import Importer, Move, counts
from tests.services.refusals import refused
from tests.services.world import query


async def talk_of(person: Client, name: str) -> dict[str, Any]:
    companions = (await person.http.get("/api/companions")).json()["items"]
    (companion,) = (each for each in companions if each["name"] == name)
    path = f"/api/conversations?companion_id={companion['id']}"
    (talk,) = (await person.http.get(path)).json()["items"]
    return dict(talk)


async def bytes_of(person: Client, image: dict[str, Any]) -> bytes:
    answer = await person.http.get(image["url"])
    assert answer.status_code == 200
    assert hashlib.sha256(answer.content).hexdigest() == image["sha256"]
    return bytes(answer.content)


async def test_whoever_comes_over_signs_in_and_finds_everything(move: Move, client: Client) -> None:
    before = await move.source.checksum()
    beside = Importer(move.hub.folder, move.hub.settings["HUB_DATABASE_URL"], move.source)
    done = await beside.say("--uploads", str(move.uploads))
    assert (done.code, "Everything that can be read is imported." in done.out) == (0, True), done.output
    assert await move.source.checksum() == before
    for private in ("Question", "$2a$", move.email):
        assert private not in done.output + move.hub.output
    person = await move.sign_in(move.name)
    assert person.user["username"] == move.name
    assert (person.user["display_name"], person.user["role"]) == ("Ida ☕", "user")
    assert UUID(person.user["id"]).version == 7
    assert person.user["created_at"].startswith("2024-01-01T12:01:00.123")
    stored = await query(
        move.hub.settings["HUB_DATABASE_URL"], "SELECT password_hash FROM users WHERE email = $1", move.email
    )
    assert stored[0]["password_hash"].startswith("$argon2id$")

    found = (await person.http.get("/api/companions")).json()["items"]
    assert [each["name"] for each in found] == ["Noa", "Mira"]
    scene = ("raincoat", "greenhouse", "watering ferns", "neutral")
    assert tuple(found[1]["scene"].values()) == scene
    assert (found[1]["appearance"], found[1]["user_appearance"]) == ("red hair", "tall")
    assert found[1]["default_outfit"] == "casual clothes"
    assert found[1]["description"] == "A calm botanist who loves moss."
    header = found[1]["header_image"]
    assert (header["width"], header["height"], header["original_bytes"]) == (800, 600, len(move.header))
    assert len(await bytes_of(person, header)) == header["bytes"]
    refused(await client.http.get(header["url"]), 404)
    await person.close()


async def test_the_example_shows_what_came_over(move: Move) -> None:
    if shutil.which("curl") is None:
        require_or_skip("curl", "curl is not installed; install it with: apt-get install curl")
    await move.go()
    script = str(PROJECT / "docs" / "examples" / "after_the_move.sh")
    process = await asyncio.create_subprocess_exec(
        *("sh", script, move.name, PASSWORD, move.hub.url), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        told = (await process.communicate())[0].decode()
    assert process.returncode == 0, told
    assert f"signed in as {move.name}" in told
    assert "gallery: 2 pictures" in told
    assert "talk: 6 messages, 2 with a picture" in told


async def test_talks_come_over_with_their_pictures_and_go_on(move: Move) -> None:
    await move.go()
    person = await move.sign_in()
    talk = await talk_of(person, "Mira")
    history = await person.messages(talk["id"])
    texts = [text for n in range(3) for text in (f"Question {n}?", f"Answer {n}. ☕")]
    assert [each["content"] for each in history] == texts
    assert [each["role"] for each in history] == ["user", "assistant"] * 3
    assert [each["position"] for each in history] == [1, 2, 3, 4, 5, 6]
    assert history[0]["created_at"].startswith("2024-01-01T12:04:00.123")
    assert [each["image"] is not None for each in history] == [False, True, False, False, False, True]
    pictures = [each["image"] for each in history if each["image"]]
    assert [(each["width"], each["height"]) for each in pictures] == [(400, 600), (64, 64)]
    assert [each["original_bytes"] for each in pictures] == [len(each) for each in move.painted]
    assert all([await bytes_of(person, each) for each in pictures])
    gallery = await person.http.get(f"/api/companions/{talk['companion_id']}/images?kind=generated")
    assert {each["id"] for each in gallery.json()["items"]} == {each["id"] for each in pictures}

    sent = await person.send(talk["id"], "Still there?")
    await person.ended(sent["response"]["id"])
    await move.source.message(move.mira, "Meanwhile in the original")
    await move.go()
    history = await person.messages(talk["id"])
    assert [each["content"] for each in history[6::2]] == ["Still there?", "Meanwhile in the original"]
    assert [each["position"] for each in history] == list(range(1, 10))
    await person.close()


async def test_what_was_deleted_here_does_not_come_back(move: Move) -> None:
    await move.go()
    person = await move.sign_in()
    mira, noa = await talk_of(person, "Mira"), await talk_of(person, "Noa")
    picture = (await person.messages(mira["id"]))[1]["image"]
    assert (await person.http.delete(picture["url"])).status_code == 204
    assert (await person.http.delete(f"/api/companions/{noa['companion_id']}")).status_code == 204
    report = await move.go()
    assert counts(report, "companions") == {"already_there": 1, "deleted_here": 1}
    assert counts(report, "pictures") == {"already_there": 2, "deleted_here": 1}
    assert counts(await move.go(verify=True), "pictures") == {"verified": 2, "deleted_here": 1}
    assert (await person.http.delete(f"/api/conversations/{mira['id']}")).status_code == 204
    await move.source.message(move.mira, "One more", imageUrl=data_url(photo(9)))
    report = await move.go()
    assert counts(report, "messages") == {"deleted_here": 7}
    assert counts(report, "pictures") == {"already_there": 2, "deleted_here": 2}
    assert (await person.http.get("/api/conversations")).json()["items"] == []
    await person.close()
