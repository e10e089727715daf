"""Coming from the original: everything arrives once, nothing there changes, and what is wrong is named."""

from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path

import asyncpg
import pytest

from hub.core.errors import StartError
from hub.legacy.service import IMPORT_LOCK
from hub.legacy.source import open_source
from tests.services.legacy import Original, data_url, photo
from tests.services.legacy_import import Importer, counts, put, reasons

TYPES = (".jpg", ".png", ".webp")
AT = datetime(2024, 2, 1, 8, 0)  # noqa: DTZ001 - its columns have no time zone


async def test_people_whose_names_and_addresses_do_not_fit(alone: Importer) -> None:
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


async def test_companions_and_messages_that_do_not_fit(alone: Importer) -> None:
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


async def test_every_way_in_which_a_picture_is_written(alone: Importer, tmp_path: Path) -> None:
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


async def test_a_header_in_two_places_is_its_file_or_else_the_text(alone: Importer, tmp_path: Path) -> None:
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


async def test_a_header_that_was_chosen_here_stays(alone: Importer) -> None:
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


async def test_a_full_disk_ends_the_import_and_the_next_one_goes_on(alone: Importer) -> None:
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


async def test_an_older_schema_without_columns_for_headers(alone: Importer) -> None:
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


async def test_of_two_imports_at_once_the_second_says_so(alone: Importer) -> None:
    guard = await asyncpg.connect(alone.dsn)
    try:
        await guard.execute("SELECT pg_advisory_lock($1)", IMPORT_LOCK)
        with pytest.raises(StartError, match="Another import is running"):
            await alone.run()
    finally:
        await guard.close()
