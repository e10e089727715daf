"""Coming from the original: everything arrives once, nothing there changes, and what is wrong is named."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import secrets
import shutil
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from hub.core.errors import StartError
from hub.core.settings import load_settings
from hub.db.migrate import migrate
from hub.legacy.service import IMPORT_LOCK, Order, carry_out
from hub.legacy.source import open_source
from tests.services.fixtures import new_database, require_or_skip
from tests.services.hub import PASSWORD, PROJECT, Client, HubServer
from tests.services.legacy import Original, data_url, original, photo
from tests.services.refusals import refused
from tests.services.world import Done, query, run_hub

TYPES = (".jpg", ".png", ".webp")
AT = datetime(2024, 2, 1, 8, 0)  # noqa: DTZ001 - its columns have no time zone


@pytest.fixture
async def source(postgres: str) -> AsyncIterator[Original]:
    async with original(await new_database(postgres)) as found:
        yield found


class Hub:
    """A hub of its own that only imports: a folder and a database."""

    def __init__(self, folder: Path, dsn: str, source: Original) -> None:
        self.folder = folder
        self.dsn = dsn
        self.source = source
        self.settings = {
            "HUB_DATA_DIR": str(folder / "data"),
            "HUB_CONFIG_FILE": str(PROJECT / "config" / "hub.toml"),
            "HUB_IMAGE_PROCESSES": "1",  # each of these runs would have to start a second one
        }

    async def run(
        self, *, uploads: Path | None = None, verify: bool = False, clean: bool = True
    ) -> dict[str, Any]:
        """Import, or compare, and return the report; the source stays as it is."""
        before = await self.source.checksum()
        order = Order(source=self.source.dsn, uploads=uploads, verify=verify)
        settings = load_settings(self.settings, self.folder)
        report = await carry_out(order, settings, self.dsn, stream=io.StringIO())
        assert report.is_clean is clean, report.render()
        assert await self.source.checksum() == before
        return dict(json.loads(report.to_json()))

    async def say(self, *words: str) -> Done:
        """Import by the command."""
        command = ("import-legacy", "--source", self.source.dsn, *words)
        return await run_hub(self.folder, *command, HUB_DATABASE_URL=self.dsn)

    async def query(self, sql: str, *values: object) -> list[dict[str, Any]]:
        return await query(self.dsn, sql, *values)

    def file(self, image: dict[str, Any]) -> Path:
        kind = "headers" if image["kind"] == "header" else "generated"
        folder = self.folder / "data" / "uploads" / "companions" / str(image["companion_id"]) / kind
        return folder / f"{image['sha256']}.avif"


@pytest.fixture
async def alone(tmp_path: Path, empty_database: str, source: Original) -> Hub:
    await migrate(empty_database)
    return Hub(tmp_path, empty_database, source)


def reasons(report: dict[str, Any], column: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in report["remarks"]:
        if each["column"] == column:
            found[each["id"]] = f"{found.get(each['id'], '')} {each['text']}"
    return found


def counts(report: dict[str, Any], thing: str) -> dict[str, int]:
    return {name: count for name, count in report[thing].items() if count and name != "found"}


def put(uploads: Path, address: str, content: bytes) -> str:
    path = uploads / address.removeprefix("/uploads/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return address


class Move:
    """Somebody of the original who comes to the shared hub while it runs."""

    def __init__(self, hub: HubServer, source: Original, uploads: Path) -> None:
        self.hub = hub
        self.source = source
        self.uploads = uploads
        self.name = f"mover_{secrets.token_hex(4)}"
        self.email = f"{self.name}@example.org"
        self.header = photo(1, 1200, 900)
        self.painted = [photo(2, 400, 600), photo(3, 64, 64, ".png")]
        self.mira = ""

    async def fill(self) -> None:
        """Put a person with two companions, a talk and three pictures, one in a file, into the source."""
        user = await self.source.user(email=self.email, username=self.name, name="Ida ☕")
        self.mira = await self.source.companion(user)
        await self.source.companion(user, name="Noa")
        address = put(self.uploads, f"/uploads/companions/{self.mira}/headers/x1.jpg", self.header)
        await self.source.execute(
            'UPDATE "Companion" SET "headerImageUrl" = $2 WHERE id = $1', self.mira, address
        )
        await self.source.talk(self.mira, data_url(self.painted[0]), None, data_url(self.painted[1], "png"))

    async def go(self, *, verify: bool = False) -> dict[str, Any]:
        """Import beside the running hub."""
        beside = Hub(self.hub.folder, self.hub.settings["HUB_DATABASE_URL"], self.source)
        return await beside.run(uploads=self.uploads, verify=verify)

    async def sign_in(self, login: str = "") -> Client:
        """Sign in with the password of the original."""
        person = Client(self.hub.url)
        body = {"login": login or self.email, "password": PASSWORD}
        answer = await person.http.post("/api/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        person.use(answer.json()["access_token"])
        person.user = answer.json()["user"]
        return person


@pytest.fixture
async def move(hub: HubServer, source: Original, tmp_path: Path) -> Move:
    found = Move(hub, source, tmp_path)
    await found.fill()
    return found


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
    beside = Hub(move.hub.folder, move.hub.settings["HUB_DATABASE_URL"], move.source)
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


async def test_people_whose_names_and_addresses_do_not_fit(alone: Hub) -> None:
    source = alone.source
    first = await source.user()
    await alone.run()
    await alone.query(
        "INSERT INTO users (id, username, email, display_name, password_hash) VALUES"
        " (gen_random_uuid(), 'taken', 'Stranger@example.org', 'x', 'x')"
    )
    conflict = await source.user(email="stranger@EXAMPLE.org", username="imposter")
    theirs = await source.companion(conflict, headerImageLegacy=data_url(photo(1)))
    await source.talk(theirs, data_url(photo(2)))
    odd = {
        await source.user(username="taken"): ("taken_2", "Ida"),
        await source.user(username="Zoë O'Hara the Third of Somewhere"): ("zoe_o_hara_the_third", "Ida"),
        await source.user(username="x", name="   "): ("x__", "x__"),
        await source.user(username="日本語", name="n" * 300): ("___", "n" * 100),
    }
    shouting = await source.user(email="PERSON1@example.org", username="shouting")
    nowhere = await source.user(email="not an address", username="nowhere", hashedPassword="md5:abc")
    report = await alone.run(clean=False)
    assert counts(report, "users") == {"already_there": 1, "imported": len(odd) + 2, "failed": 1}
    assert counts(report, "companions") == {"failed": 1}
    assert counts(report, "messages") == {"failed": 2}
    assert counts(report, "pictures") == {"failed": 2}
    failed = reasons(report, "failed")
    assert set(failed) == {conflict, theirs}
    assert "email address belongs to an account here" in failed[conflict]
    assert "its 2 messages and 2 pictures" in failed[theirs]
    assert "sign in with the username" in reasons(report, "note")[shouting]
    people = await alone.query(
        "SELECT legacy_id, username, email, display_name, password_hash FROM legacy_imports"
        " JOIN users ON users.id = target_id"
    )
    by_id = {each["legacy_id"]: each for each in people}
    for user, (username, name) in odd.items():
        assert (by_id[user]["username"], by_id[user]["display_name"]) == (username, name)
        assert f"is {username!r} here" in reasons(report, "note")[user]
    assert by_id[first]["email"] == "person1@example.org"
    assert by_id[shouting]["email"].endswith("@email.invalid")
    assert by_id[nowhere]["email"].endswith("@email.invalid")
    assert by_id[nowhere]["password_hash"] == "!"
    assert (await alone.query("SELECT count(*) FROM companions"))[0]["count"] == 0
    assert conflict in reasons(await alone.run(verify=True, clean=False), "different")
    done = await alone.say("--verify")
    assert (done.code, "There are differences" in done.out) == (1, True), done.output
    done = await alone.say()
    assert (done.code, f"user {conflict}: its email address belongs" in done.out) == (1, True), done.output
    await alone.query("UPDATE users SET email = 'elsewhere@example.org' WHERE username = 'taken'")
    report = await alone.run()
    assert counts(report, "pictures") == {"imported": 2}
    report = await alone.run(verify=True)
    assert counts(report, "users") == {"verified": len(odd) + 4}


async def test_companions_and_messages_that_do_not_fit(alone: Hub) -> None:
    source = alone.source
    user = await source.user()
    long = await source.companion(user, name="N" * 250, description="D" * 20_000, currentOutfit=" ")
    blank = await source.companion(user, name=" \t", userAppearance=None, currentLocation="")
    system = await source.message(long, "You are a bot", role="system", imageUrl=data_url(photo(1)))
    empty = await source.message(long, "", role="assistant", imageUrl=data_url(photo(2)))
    twins = [await source.message(long, text, id=f"same{text}", createdAt=AT) for text in "ba"]
    report = await alone.run()
    assert set(reasons(report, "note")) == {long, blank}
    assert "role is 'system'" in reasons(report, "skipped")[system]
    assert counts(report, "pictures") == {"imported": 1, "skipped": 1}
    rows = await alone.query(
        "SELECT name, length(description) AS size, outfit, location FROM companions ORDER BY name"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("Companion", 31, "raincoat", "living room"),
        ("N" * 100, 20_000, "casual clothes", "greenhouse"),
    ]
    rows = await alone.query(
        "SELECT legacy_id, content, image_id IS NOT NULL AS has_image FROM messages"
        " JOIN legacy_imports ON target_id = messages.id ORDER BY position"
    )
    assert [tuple(row.values()) for row in rows] == [
        (empty, "", True),
        (twins[1], "a", False),
        (twins[0], "b", False),
    ]
    report = await alone.run(verify=True)
    assert counts(report, "messages") == {"verified": 3, "skipped": 1}


async def test_every_way_in_which_a_picture_is_written(alone: Hub, tmp_path: Path) -> None:
    source, uploads = alone.source, tmp_path / "old"
    mine = await source.companion(await source.user(), headerImageLegacy=data_url(photo(1)))
    other = await source.companion(await source.user())
    plain = base64.b64encode(photo(2)).decode()
    bare = {suffix: base64.b64encode(photo(3, suffix=suffix)).decode() for suffix in TYPES}
    good = [plain, plain.rstrip("="), "\n".join(plain[n : n + 76] for n in range(0, len(plain), 76))]
    good += [plain.translate(str.maketrans("+/", "-_")), data_url(photo(4, 2500, 20)), *bare.values()]
    for text in good:
        await source.message(mine, "Look!", role="assistant", imageUrl=text)
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(photo(5))
    file = put(uploads, f"/uploads/companions/{mine}/generated/a.jpg", photo(6))
    foreign = put(uploads, f"/uploads/companions/{other}/generated/b.jpg", photo(7))
    link = f"/uploads/companions/{mine}/generated/link.jpg"
    (uploads / link.removeprefix("/uploads/")).symlink_to(outside)
    late = await source.message(mine, imageUrl=file)
    bad = {
        await source.message(mine, imageUrl=text): reason
        for text, reason in [
            ("https://example.org/a.jpg", "asks no other server"),
            ("file:///etc/passwd", "a way that the original does not have"),
            (f"/uploads/companions/{mine}/../../../outside.jpg", "not one that the original gives"),
            (foreign, "another companion's file"),
            (link, "symbolic link"),
            (f"/uploads/companions/{mine}/generated/none.jpg", "not in the --uploads folder"),
            ("data:image/svg+xml;base64," + base64.b64encode(b"<svg/>" * 9).decode(), "no JPEG, PNG or WebP"),
            (data_url(photo(8, 300, 300)[:4000]), "cannot be decoded"),
            ("data:image/png;base64,", "empty"),
            (data_url(photo(9)) + "!", "characters"),
        ]
    }
    report = await alone.run()
    assert counts(report, "pictures")["imported"] == len(good) + 1
    failed = reasons(report, "failed")
    assert "no --uploads folder was given" in failed.pop(late)
    assert set(failed) == set(bad)
    report = await alone.run(uploads=uploads)
    assert counts(report, "pictures") == {"imported": 1, "already_there": len(good) + 1, "failed": len(bad)}
    failed = reasons(report, "failed")
    for message, reason in bad.items():
        assert reason in failed[message]
    report = await alone.run(uploads=uploads, verify=True)
    assert counts(report, "pictures") == {"verified": len(good) + 2, "damaged": len(bad)}
    assert set(reasons(report, "damaged")) == set(bad)
    report = await alone.run(verify=True)
    assert counts(report, "pictures")["not_compared"] == 1


async def test_a_header_in_two_places_is_the_file_or_else_the_old_text(alone: Hub, tmp_path: Path) -> None:
    source, uploads = alone.source, tmp_path / "old"
    user = await source.user()
    both = [await source.companion(user, headerImageLegacy=data_url(photo(n))) for n in range(4)]
    files = [photo(10 + n, 120, 120) for n in range(4)]
    files[2] = b"\xff\xd8\xff damaged"
    for companion, content in zip(both[:3], files, strict=False):
        address = put(uploads, f"/uploads/companions/{companion}/headers/h.jpg", content)
        await source.execute('UPDATE "Companion" SET "headerImageUrl" = $2 WHERE id = $1', companion, address)
    absent = f"/uploads/companions/{both[3]}/headers/none.jpg"
    await source.execute('UPDATE "Companion" SET "headerImageUrl" = $2 WHERE id = $1', both[3], absent)
    report = await alone.run(uploads=uploads)
    assert counts(report, "pictures") == {"imported": 4}
    rows = await alone.query(
        "SELECT legacy_id, original_bytes FROM images JOIN legacy_imports ON target_id = images.id"
    )
    sizes = {row["legacy_id"]: row["original_bytes"] for row in rows}
    expected = [len(files[0]), len(files[1]), len(photo(2)), len(photo(3))]
    assert [sizes[companion] for companion in both] == expected
    assert counts(await alone.run(uploads=uploads, verify=True), "pictures") == {"verified": 4}


async def test_a_header_that_was_chosen_here_stays(alone: Hub) -> None:
    source = alone.source
    companion = await source.companion(await source.user(), headerImageLegacy="broken")
    assert companion in reasons(await alone.run(), "failed")
    await alone.query(
        "INSERT INTO images (id, user_id, companion_id, kind, sha256)"
        " SELECT gen_random_uuid(), user_id, id, 'header', 'chosen' FROM companions"
    )
    await source.execute('UPDATE "Companion" SET "headerImageLegacy" = $1', data_url(photo(1)))
    assert "has another header picture" in reasons(await alone.run(), "skipped")[companion]
    assert counts(await alone.run(verify=True), "pictures") == {"changed_here": 1}
    assert [row["sha256"] for row in await alone.query("SELECT sha256 FROM images")] == ["chosen"]


async def test_verify_finds_every_kind_of_difference(alone: Hub) -> None:
    source = alone.source
    user = await source.user()
    companion = await source.companion(user, headerImageLegacy=data_url(photo(1)))
    second = await source.companion(user)
    said = await source.talk(companion, *(data_url(photo(n)) for n in range(2, 7)))
    await alone.run()
    assert counts(await alone.run(verify=True), "messages") == {"verified": 10}
    images = await alone.query(
        "SELECT legacy_imports.legacy_id, images.* FROM images JOIN legacy_imports ON target_id = images.id"
        " ORDER BY legacy_id"
    )
    by_row = {image["legacy_id"]: image for image in images}
    missing, damaged, thumbless, unlinked = (by_row[said[place]] for place in (1, 3, 5, 7))
    alone.file(missing).unlink()
    with alone.file(damaged).open("r+b") as file:
        file.seek(100)
        file.write(b"oops")
    alone.file(thumbless).with_suffix(".thumb.avif").unlink()
    await alone.query("UPDATE messages SET image_id = NULL WHERE image_id = $1", unlinked["id"])
    await alone.query("UPDATE images SET original_bytes = 5 WHERE kind = 'header'")
    await alone.query("UPDATE messages SET content = content || '.' WHERE content = 'Question 0?'")
    await alone.query("DELETE FROM messages WHERE content = 'Question 1?'")
    await alone.query("UPDATE messages SET role = 'assistant' WHERE content = 'Question 2?'")
    await alone.query("UPDATE messages SET created_at = now() WHERE content = 'Question 3?'")
    await alone.query("UPDATE messages SET position = 99 WHERE content = 'Question 4?'")
    await alone.query(
        "UPDATE companions SET name = 'Other' FROM legacy_imports WHERE target_id = companions.id"
        " AND legacy_id = $1",
        second,
    )
    new = await source.message(companion, "New")
    report = await alone.run(verify=True, clean=False)
    found = {(each["thing"], each["id"]): each["text"] for each in report["remarks"]}
    expected = {
        ("companions", second): "name",
        ("messages", said[0]): "text",
        ("messages", said[2]): "gone",
        ("messages", said[4]): "role",
        ("messages", said[6]): "time",
        ("messages", said[9]): "order",
        ("messages", new): "not imported",
        ("pictures", said[1]): "file is missing",
        ("pictures", said[3]): "not the one that was stored",
        ("pictures", said[5]): "thumbnail's file is missing",
        ("pictures", said[7]): "does not stand with its message",
        ("pictures", companion): "bytes",
    }
    assert {key: expected[key] in text for key, text in found.items() if key in expected} == dict.fromkeys(
        expected, True
    )
    assert set(found) == set(expected) | {("messages", new)}
    assert counts(report, "pictures") == {"verified": 1, "different": 5}


async def test_a_full_disk_ends_the_import_and_the_next_one_goes_on(alone: Hub) -> None:
    companion = await alone.source.companion(await alone.source.user())
    await alone.source.talk(companion, *(data_url(photo(n)) for n in range(3)))
    alone.settings["HUB_FREE_SPACE_FLOOR_MB"] = "10000000"
    with pytest.raises(StartError, match="no room for this picture"):
        await alone.run()
    assert not list((alone.folder / "data" / "uploads" / "tmp").iterdir())
    del alone.settings["HUB_FREE_SPACE_FLOOR_MB"]
    report = await alone.run()
    assert counts(report, "messages") == {"already_there": 6}
    assert counts(report, "pictures") == {"imported": 3}


async def test_what_people_change_here_is_no_difference(alone: Hub) -> None:
    user = await alone.source.user()
    renamed, talked = [await alone.source.companion(user) for _ in range(2)]
    await alone.run()
    await alone.query("UPDATE users SET email = 'new@example.org', display_name = 'New', password_hash = 'x'")
    change = "UPDATE companions SET {} FROM legacy_imports WHERE target_id = companions.id AND legacy_id = $1"
    await alone.query(change.format("name = 'New', updated_at = now()"), renamed)
    await alone.query(change.format("outfit = 'pyjamas'"), talked)
    report = await alone.run(verify=True)
    assert counts(report, "users") == {"changed_here": 1}
    assert counts(report, "companions") == {"changed_here": 2}


async def test_an_older_schema_without_columns_for_headers(alone: Hub) -> None:
    source = alone.source
    for column in ("headerImageUrl", "headerImageLegacy"):
        await source.execute(f'ALTER TABLE "Companion" DROP COLUMN "{column}"')
    companion = await source.companion(await source.user())
    await source.talk(companion, data_url(photo(1)))
    assert counts(await alone.run(), "pictures") == {"imported": 1}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:pass%20word@127.0.0.1:1/hub", "cannot be reached"),
        ("postgresql://me:pass%20word@[::1", "--source is not a URL"),
        ("mysql://me:pass%20word@127.0.0.1/hub", "does not start with postgresql://"),
        ("", "does not start with postgresql://"),
    ],
)
async def test_a_database_that_is_not_there(url: str, words: str) -> None:
    said = await refusal(url)
    assert words in said
    assert "pass" not in said.replace("password", "")


async def test_a_database_that_is_not_the_originals(source: Original, empty_database: str) -> None:
    assert 'has no tables "User", "Companion", "Message"' in await refusal(empty_database)
    assert "has no tables" in await refusal(f"{source.dsn}&schema=other")
    async with open_source(f"{source.dsn}&schema=public&connection_limit=5"):
        pass
    await source.execute('ALTER TABLE "Companion" DROP COLUMN "currentAction"')
    assert 'has no column "Companion"."currentAction"' in await refusal(source.dsn)


async def test_the_source_refuses_to_be_written(source: Original) -> None:
    await source.user()
    async with open_source(source.dsn) as opened:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await opened._connection.execute('DELETE FROM "User"')


async def refusal(url: str) -> str:
    with pytest.raises(StartError) as refused_with:
        async with open_source(url):
            pass
    said = str(refused_with.value)
    assert "\n" not in said
    return said


async def test_of_two_imports_at_once_the_second_says_so(alone: Hub) -> None:
    guard = await asyncpg.connect(alone.dsn)
    try:
        await guard.execute("SELECT pg_advisory_lock($1)", IMPORT_LOCK)
        with pytest.raises(StartError, match="Another import is running"):
            await alone.run()
    finally:
        await guard.close()
