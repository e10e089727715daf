"""Files of pictures go when nothing needs them, and never before, whoever is at work at the same time."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from hub.domain.images.collector import Collector
from hub.domain.images.delivery import Delivery, Picture
from hub.domain.images.errors import HeaderKeptError
from hub.domain.images.service import ImageService, NewImage
from hub.storage.files import FileStore
from hub.storage.images import Encoding, ImageProcesses, MediaType
from tests.services.hub import Client, HubServer
from tests.services.picture_files import Store, names_of, new_companion, picture, send_header, set_header

ENCODING = Encoding(media_type="image/avif", quality=70, effort=0)


async def test_the_old_files_go_after_the_grace_and_not_before(store: Store, user: Client) -> None:
    companion, deleted = await new_companion(user), await new_companion(user)
    first = await set_header(user, companion, 1)
    gone = await set_header(user, deleted, 2)
    webp = await user.http.get(first["url"], headers={"Accept": "image/webp"})
    assert webp.headers["content-type"] == "image/webp"
    second = await set_header(user, companion, 3)
    assert (await user.http.delete(f"/api/companions/{deleted}/header-image")).status_code == 204
    assert await store.run_task("images") == 0
    assert store.names(companion) == {*names_of(first), *names_of(second), f"{first['sha256']}.webp"}
    assert store.names(deleted) == names_of(gone)
    await store.age("1 hour")
    assert await store.run_task("images") == 2
    assert store.names(companion) == names_of(second)
    assert not store.folder(deleted).exists()
    assert not list(store.temporary.iterdir())
    assert await store.database("SELECT FROM image_removals") == []


async def test_folders_go_with_their_companion_or_their_user(
    store: Store, user: Client, picture_hub: HubServer
) -> None:
    other = await Client(picture_hub.url).register()
    kept, deleted, orphaned = await new_companion(user), await new_companion(user), await new_companion(other)
    image = await set_header(user, kept, 0)
    await set_header(user, deleted, 0)
    await set_header(other, orphaned, 1)
    assert (await user.http.delete(f"/api/companions/{deleted}")).status_code == 204
    await store.database("DELETE FROM users WHERE id = $1", UUID(other.user["id"]))
    await other.close()
    files = [each for id_ in (deleted, orphaned) for each in store.folder(id_).rglob("*.avif")]
    size = sum(each.stat().st_size for each in files)
    removed = await store.gc("--grace", "0")
    assert removed["removals"] == 2
    assert removed["total"] == {"files": 4, "bytes": size}
    assert [each.name for each in store.folder(kept).parent.iterdir()] == [kept]
    assert store.names(kept) == names_of(image)
    assert await store.wrong() == []


async def test_collecting_without_grace_beside_uploads_takes_no_file_that_a_row_needs(
    store: Store, user: Client
) -> None:
    """The same picture comes again and again while others are removed: all three meet at one file."""
    companions = [await new_companion(user) for _ in range(2)]
    running = True
    answers: list[int] = []

    async def upload(companion: str, number: int) -> None:
        while running:
            answers.append((await send_header(user, companion, picture(number))).status_code)
            if number:
                await user.http.delete(f"/api/companions/{companion}/header-image")

    async def collect() -> None:
        while running:
            await store.collect()

    async def compare() -> None:
        while running:
            assert await store.wrong() == []

    async def collect_from_elsewhere() -> None:
        nonlocal running
        await store.gc("--grace", "0")
        await asyncio.sleep(1)
        running = False

    uploads = [upload(companion, number) for companion in companions for number in (0, 0, 1)]
    await asyncio.gather(*uploads, compare(), collect(), collect(), collect_from_elsewhere())
    assert set(answers) == {200}
    assert len(answers) > 20
    images = [await set_header(user, companion, 0) for companion in companions]
    await store.collect()
    assert await store.wrong() == []
    for companion, image in zip(companions, images, strict=True):
        assert store.names(companion) == names_of(image)
        assert (await user.http.get(image["url"])).status_code == 200


async def test_a_removal_that_is_not_over_keeps_files_that_an_earlier_one_names(
    store: Store, user: Client
) -> None:
    companion = await new_companion(user)
    image = await set_header(user, companion, 5)
    await user.http.delete(f"/api/images/{image['id']}")
    await store.age("10 minutes")
    await set_header(user, companion, 5)
    await user.http.delete(f"/api/companions/{companion}/header-image")
    collector = Collector(store.data_dir)
    assert await collector.collect(10, grace=300) == 1
    assert store.names(companion) == names_of(image), "a backup under way may need them"
    await store.age("10 minutes")
    assert await collector.collect(10, grace=300) == 1
    assert store.names(companion) == set()


async def test_what_is_in_use_waits_and_does_not_hold_up_others(store: Store, user: Client) -> None:
    companions = [await new_companion(user) for _ in range(3)]
    images = [await set_header(user, companion, number) for number, companion in enumerate(companions)]
    for image in images:
        await user.http.delete(f"/api/images/{image['id']}")
    held = store.main_file(companions[0], images[0]["sha256"])
    files = FileStore(store.data_dir)
    collector = Collector(store.data_dir)
    async with files.temporary() as temp, files.temporary() as unused:
        os.write(temp.descriptor, held.read_bytes())
        await files.place(temp, held)
        assert await collector.collect(2, grace=0) == 2
        assert await collector.collect(2, grace=0) == 0
        assert [store.names(each) for each in companions] == [names_of(images[0]), set(), set()]
        await collector.sweep_strays(10, grace=0)
        await collector.sweep_temporary(grace=0)
        assert held.exists()
        assert {temp.path, unused.path} <= set(store.temporary.iterdir())
    assert await collector.collect(2, grace=0) == 1
    assert not store.folder(companions[0]).exists()


async def test_leftovers_of_a_killed_collector_are_put_back_or_removed(store: Store, user: Client) -> None:
    companion = await new_companion(user)
    image = await set_header(user, companion, 6)
    main, thumb = (store.folder(companion) / "headers" / each for each in sorted(names_of(image)))
    prefix = f"removed-{companion}-header-"
    main.rename(store.temporary / f"{prefix}{main.name}")
    shutil.copy(thumb, store.temporary / f"{prefix}{thumb.name}")
    shutil.copy(thumb, store.temporary / f"removed-{uuid4()}-generated-{thumb.name}")
    (store.temporary / f"{prefix}..").write_text("no name of ours")
    assert await store.wrong() == [("row without file", image["id"], main.name)]
    tally = await store.collect()
    assert (tally.put_back, tally.temporary.files) == (1, 3)
    assert store.names(companion) == names_of(image)
    assert not list(store.temporary.iterdir())
    assert await store.wrong() == []


async def test_strays_go_when_they_are_a_day_old_or_at_once_when_asked(store: Store, user: Client) -> None:
    companion = await new_companion(user)
    image = await set_header(user, companion, 7)
    headers = store.folder(companion) / "headers"
    old, new = headers / f"{'0' * 64}.avif", headers / f"{'1' * 64}.thumb.webp"
    deep = store.folder("by-hand") / "some" / "where"
    deep.mkdir(parents=True)
    for path in (old, new, deep / "notes.txt", headers / "draft.avif"):
        path.write_bytes(b"x" * 10)
        if path != new:
            os.utime(path, (time.time() - 25 * 3600,) * 2)
    assert await store.run_task("stray_files") == 3
    assert store.names(companion) == {*names_of(image), new.name}
    assert not store.folder("by-hand").exists()
    freed = (await store.collect()).strays
    assert (freed.files, freed.bytes) == (1, 10)
    assert store.names(companion) == names_of(image)


async def test_a_database_that_knows_none_of_the_pictures_does_not_cost_them(
    store: Store, user: Client
) -> None:
    """Somebody starts with an empty database over a folder that has been filled for years."""
    lost = [store.folder(str(uuid4())) / "generated" / f"{number:064x}.avif" for number in range(11)]
    companion = await new_companion(user)
    known = store.main_file(companion, (await set_header(user, companion, 1))["sha256"])
    for path in (*lost, known):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    assert await store.run_task("stray_files") == 0
    assert (await store.gc())["strays"]["files"] == 0
    assert all(path.exists() for path in (*lost, known))
    assert (await store.gc("--grace", "86400"))["strays"]["files"] == 11
    assert not any(path.exists() for path in lost)
    assert known.exists()


class SlowProcesses(ImageProcesses):
    """Image processes of which one takes so long that the picture is gone by then, and collected."""

    def __init__(self, store: Store) -> None:
        super().__init__(count=1)
        self._store = store

    async def convert(self, source: Path, *, target: Path, media_type: MediaType, quality: int) -> None:
        """Convert, and have the picture removed before the file is put in place."""
        await super().convert(source, target=target, media_type=media_type, quality=quality)
        await self._store.database("DELETE FROM images")
        await self._store.collect()


async def test_another_format_that_is_ready_after_its_picture_went_is_collected(
    store: Store, user: Client
) -> None:
    companion = await new_companion(user)
    image = await set_header(user, companion, 4)
    processes = SlowProcesses(store)
    delivery = Delivery(ImageService(FileStore(store.data_dir), processes, encoding=ENCODING, quota=None))
    stored = await delivery.find(UUID(image["id"]), user_id=None)
    try:
        await delivery.file(Picture(stored, "full", "image/webp"))
    finally:
        await processes.close()
    assert await store.wrong() == []
    assert (await store.collect()).removals == 1
    assert not store.folder(companion).exists()


async def test_a_header_that_is_there_stays_where_it_is_not_to_be_replaced(
    store: Store, user: Client, tmp_path: Path
) -> None:
    companion = await new_companion(user)
    image = await set_header(user, companion, 5)
    source = tmp_path / "other.png"
    source.write_bytes(picture(6))
    new = NewImage(
        companion_id=UUID(companion), user_id=UUID(user.user["id"]), original_bytes=1, replaces=False
    )
    processes = ImageProcesses(count=1)
    service = ImageService(FileStore(store.data_dir), processes, encoding=ENCODING, quota=None)
    try:
        async with service.prepared(source, kind="header") as prepared:
            with pytest.raises(HeaderKeptError):
                await service.store(prepared, new)
    finally:
        await processes.close()
    assert (await user.http.get(f"/api/companions/{companion}")).json()["header_image"] == image
    assert (await store.collect()).removals == 1  # what was put in place for nothing
    assert store.names(companion) == names_of(image)
    assert await store.wrong() == []
