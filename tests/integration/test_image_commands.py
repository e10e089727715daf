"""``hub images`` beside a running hub: what is wrong is named, and nothing leads out of the data folder."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from uuid import uuid4

import pytest

from tests.services.hub import Client
from tests.services.picture_files import Store, names_of, new_companion, picture, set_header

ODD_NAMES = (b"...", b"..\\..\\x", b"\xff\xfe.avif", b"a\nb\x1b[31m", b"%2e%2e%2fx", b"\xe2\x80\xae.avif")


def plant(store: Store, companion: str, sha256: str, outside: Path) -> int:
    """Put links and odd names everywhere; return how many there are below the companions' folder."""
    root, zeros = store.folder(companion).parent, f"{'0' * 64}.avif"
    linked = root / str(uuid4())
    (root / str(uuid4())).mkdir()
    (root / str(uuid4())).symlink_to(outside)
    (root / "..outside").symlink_to(outside / "keep.txt")
    (linked / "generated").mkdir(parents=True)
    (linked / "headers").symlink_to(outside / "headers")
    (linked / "generated" / zeros).symlink_to(outside / "headers" / zeros)
    (root / companion / "headers" / f"{sha256}.webp").symlink_to(outside / "keep.txt")
    for name in ODD_NAMES:
        os.close(os.open(os.fsencode(root) + b"/" + name, os.O_CREAT))
    os.mkfifo(root / "pipe")
    (store.temporary / "link").symlink_to(outside / "keep.txt")
    (store.temporary / f"removed-{companion}-header-{sha256}.jpg").symlink_to(outside / "keep.txt")
    return 6 + len(ODD_NAMES)


def inodes(folder: Path) -> dict[Path, int]:
    """Return what lies in a folder, and whether it is still the same."""
    return {each: each.stat().st_ino for each in folder.rglob("*")}


async def test_links_and_odd_names_lead_nowhere_else(store: Store, user: Client, tmp_path: Path) -> None:
    companion = await new_companion(user)
    image = await set_header(user, companion, 8)
    (tmp_path / "headers").mkdir()
    for name in ("keep.txt", f"headers/{'0' * 64}.avif"):
        (tmp_path / name).write_text("mine")
    before = inodes(tmp_path)
    count = plant(store, companion, image["sha256"], tmp_path)
    assert [kind for kind, *_ in await store.wrong()] == ["file without row"] * count
    assert (await store.collect()).strays.files == count
    assert inodes(tmp_path) == before
    assert [each.name for each in store.folder(companion).parent.iterdir()] == [companion]
    assert store.names(companion) == names_of(image)
    assert not list(store.temporary.iterdir())
    assert await store.wrong() == []


async def test_verify_names_every_kind_of_fault(store: Store, user: Client) -> None:
    companions = [await new_companion(user) for _ in range(6)]
    images = [await set_header(user, companion, number) for number, companion in enumerate(companions)]
    files = [store.main_file(*pair) for pair in zip(companions, (i["sha256"] for i in images), strict=True)]
    thumb = files[1].with_suffix(".thumb.avif")
    stray = files[4].with_name(f"{'f' * 64}.avif")
    odd = files[4].with_name("a\nb\x1b[31m")
    assert await store.wrong() == []
    files[0].unlink()
    thumb.unlink()
    content = bytearray(files[2].read_bytes())
    content[len(content) // 2] ^= 1
    files[2].write_bytes(content)
    files[3].write_bytes(files[3].read_bytes()[:-1])
    stray.write_bytes(files[4].read_bytes())
    odd.write_bytes(b"")
    files[5].unlink()
    files[5].mkdir()
    wanted: list[tuple[str, str | None, Path]] = [
        ("row_without_file", images[0]["id"], files[0]),
        ("row_without_file", images[1]["id"], thumb),
        ("wrong_hash", images[2]["id"], files[2]),
        ("wrong_hash", images[3]["id"], files[3]),
        ("unreadable_file", images[5]["id"], files[5]),
        ("file_without_row", None, stray),
        ("file_without_row", None, odd.with_name(r"a\nb\x1b[31m")),
    ]
    done = await store.images("verify", "--json")
    assert done.code == 1, done.output
    told = json.loads(done.out)
    found = [(each["fault"], each["image_id"], store.data_dir / each["path"]) for each in told["faults"]]
    assert sorted(found, key=str) == sorted(wanted, key=str)
    assert (told["images"], told["files"]) == (6, 11)
    done = await store.images("verify")
    assert done.code == 1
    for kind, image_id, path in wanted:
        line = f"{kind.replace('_', ' ')}:" + (f"  image {image_id}" if image_id else "")
        assert f"{line}  {path.relative_to(store.data_dir)}\n" in done.out
    assert "7 faults" in done.out
    files[5].rmdir()


async def test_verify_is_content_when_rows_and_files_agree(store: Store, user: Client) -> None:
    companion = await new_companion(user)
    await set_header(user, companion, 1)
    image = await set_header(user, companion, 2)
    await user.http.get(image["url"], headers={"Accept": "image/jpeg"})
    done = await store.images("verify")
    assert done.code == 0, done.output
    assert re.fullmatch(r"1 pictures, 5 files, [\d.]+ k?B read\. Rows and files agree\.\n", done.out)


async def test_stats_say_what_there_is(store: Store, user: Client) -> None:
    companions = [await new_companion(user) for _ in range(2)]
    images = [await set_header(user, companion, number) for number, companion in enumerate(companions)]
    await set_header(user, companions[0], 9)
    done = await store.images("stats", "--companions", "--json")
    assert done.code == 0, done.output
    told = json.loads(done.out)
    sent = [len(picture(number)) for number in (9, 1)]
    assert (told["total_images"], told["companion_count"], told["waiting_for_removal"]) == (2, 2, 1)
    assert told["original_bytes"] == sum(sent)
    mains = [each for each in store.data_dir.rglob("*.avif") if ".thumb" not in each.name]
    gone = store.main_file(companions[0], images[0]["sha256"])
    assert told["total_bytes"] == sum(each.stat().st_size for each in mains) - gone.stat().st_size
    assert told["saved_share"] == pytest.approx(1 - told["total_bytes"] / told["original_bytes"])
    lines = {each["companion_id"]: each["original_bytes"] for each in told["companions"]}
    assert lines == dict(zip(companions, sent, strict=True))
    shown = await store.images("stats", "--companions")
    assert all(companion in shown.out for companion in companions)
    assert re.search(r"^Pictures +2 of 2 companions$", shown.out, re.MULTILINE)
