"""Comparing the original with what was imported: every difference is found, changes on purpose are none."""

from __future__ import annotations

from tests.services.legacy import data_url, photo
from tests.services.legacy_import import Importer, counts


async def test_verify_finds_every_kind_of_difference(alone: Importer) -> None:
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


async def test_what_people_change_here_is_no_difference(alone: Importer) -> None:
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
