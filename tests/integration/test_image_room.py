"""How much room pictures may take, how much they do, and that nothing is lost where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest
import pyvips

from tests.services import pictures
from tests.services.fixtures import new_user, running_hub
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.picture_files import Store, gallery, new_companion, picture, send_header, set_header
from tests.services.refusals import refused
from tests.services.uploads import connection
from tests.services.waiting import eventually
from tests.services.world import within

QUOTA = 1_000_000


def noise(seed: int) -> bytes:
    """Return a picture of which nothing can be saved: some 350 kB as a JPEG of quality 90."""
    layers = [
        pyvips.Image.gaussnoise(600, 480, mean=128, sigma=50, seed=3 * seed + band) for band in range(3)
    ]
    image = layers[0].bandjoin(layers[1:]).cast("uchar").copy(interpretation="srgb")
    content: bytes = image.jpegsave_buffer(Q=90)
    return content


@pytest.fixture(scope="module")
async def small(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HubServer]:
    """Yield a hub where each user has one megabyte, and where pictures are stored as JPEG."""
    async with running_hub(
        tmp_path_factory.mktemp("small"),
        postgres,
        HUB_IMAGE_QUOTA_MB="1",
        HUB_IMAGE_FORMAT="jpeg",
        HUB_IMAGE_QUALITY="90",
        **llm_settings("http://127.0.0.1:1/v1"),
    ) as server:
        yield server


@pytest.fixture(scope="module")
async def user(small: HubServer) -> AsyncIterator[Client]:
    """Yield a user of it."""
    async with new_user(small) as found:
        yield found


@pytest.fixture(autouse=True)
async def swept(small: HubServer) -> AsyncIterator[None]:
    """Leave no picture to the next test."""
    yield
    await Store(small).database("DELETE FROM companions")


@pytest.fixture
async def neighbour(small: HubServer) -> AsyncIterator[Client]:
    """Yield another user of it."""
    async with new_user(small) as found:
        yield found


async def used(store: Store, user: Client) -> int:
    """Return what the user's pictures take."""
    sql = "SELECT coalesce(sum(bytes + thumb_bytes), 0)::bigint AS used FROM images WHERE user_id = $1"
    return int((await store.database(sql, UUID(user.user["id"])))[0]["used"])


@asynccontextmanager
async def held_up(store: Store) -> AsyncIterator[Callable[[int], Awaitable[bool | None]]]:
    """Let nobody store a picture until the context ends; it gives what tells that so many wait, or None."""
    connection = await asyncpg.connect(store.server.settings["HUB_DATABASE_URL"])

    async def waiting(count: int) -> bool | None:
        sql = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return len(await store.database(sql)) >= count or None

    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE images IN SHARE ROW EXCLUSIVE MODE")
            yield waiting
    finally:
        await connection.close()


async def headers(user: Client, companions: Sequence[str]) -> list[dict[str, Any] | None]:
    """Return the header pictures of companions."""
    paths = [f"/api/companions/{companion}" for companion in companions]
    return [(await user.http.get(path)).json()["header_image"] for path in paths]


async def test_a_user_has_so_much_room_and_no_more(small: HubServer, user: Client) -> None:
    store = Store(small)
    companions = [await new_companion(user) for _ in range(10)]
    contents = [noise(number) for number in range(10)]
    async with held_up(store) as waiting:
        sending = [
            asyncio.create_task(send_header(user, *each)) for each in zip(companions, contents, strict=True)
        ]
        await within(20, lambda: waiting(8))
    answers = await asyncio.gather(*sending)
    for answer in answers:
        if answer.status_code != 200:
            problem = refused(answer, 507)
            assert problem["type"] == "/problems/quota-exceeded"
            assert "1 MB" in problem["detail"]
    taken = [answer.status_code == 200 for answer in answers]
    assert 1 < sum(taken) < 10
    assert QUOTA / 2 < await used(store, user) <= QUOTA
    before = await headers(user, companions)
    assert before == [answer.json() if answer.status_code == 200 else None for answer in answers]
    await eventually(lambda: not list(store.temporary.iterdir()))
    full, empty = taken.index(True), taken.index(False)
    again = await send_header(user, companions[full], contents[empty])
    assert again.status_code == 200, "what it replaces does not count"
    refused(await send_header(user, companions[empty], contents[full]), 507)
    for companion, has in zip(companions, taken, strict=True):
        if has:
            await user.http.delete(f"/api/companions/{companion}/header-image")
    assert (await send_header(user, companions[empty], contents[empty])).status_code == 200


async def test_one_user_does_not_take_the_room_of_another(user: Client, neighbour: Client) -> None:
    mine = await new_companion(user)
    theirs = [await new_companion(neighbour) for _ in range(4)]
    answers = [await send_header(neighbour, each, noise(number)) for number, each in enumerate(theirs)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[0] == 200
    assert statuses[-1] == 507
    assert (await send_header(user, mine, noise(9))).status_code == 200


async def test_other_stored_formats(small: HubServer, user: Client) -> None:
    """A JPEG is sent to who takes one; who names only others gets WebP if that is among them."""
    companion = await new_companion(user)
    image = await user.set_header_image(companion, pictures.photo(900, 600).pngsave_buffer())
    assert (image["media_type"], image["width"]) == ("image/jpeg", 800)
    names = {f"{image['sha256']}.jpg", f"{image['sha256']}.thumb.jpg"}
    assert Store(small).names(companion) == names
    for accept, wanted in (
        ("*/*", "jpeg"),
        ("image/avif,image/webp,*/*", "jpeg"),
        ("image/jpeg", "jpeg"),
        ("image/webp", "webp"),
        ("image/png", "jpeg"),
    ):
        answer = await user.http.get(image["url"], headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, f"image/{wanted}"), accept
        assert pictures.open_bytes(answer.content).width == 800
    assert Store(small).names(companion) == {*names, f"{image['sha256']}.webp"}


async def all_pages(admin: httpx2.AsyncClient, limit: int) -> list[dict[str, Any]]:
    """Return the lines of all companions."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await admin.get("/api/stats/storage/companions", params={"limit": str(limit), **cursor})
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


async def test_what_is_stored_is_counted(small: HubServer, user: Client, neighbour: Client) -> None:
    store, admin = Store(small), neighbour
    await store.database("UPDATE users SET role = 'admin' WHERE id = $1", UUID(admin.user["id"]))
    paths = ("/api/stats/storage", "/api/stats/storage/companions")
    nothing = await admin.http.get(paths[0])
    assert nothing.status_code == 200
    assert set(nothing.json().values()) == {0}
    owners = (user, user, admin)
    companions = [await new_companion(each) for each in owners]
    await new_companion(user)  # without a picture it is none of them
    images = [await set_header(*each) for each in zip(owners, companions, range(3), strict=True)]
    total = (await admin.http.get(paths[0])).json()
    stored, original = (sum(each[name] for each in images) for name in ("bytes", "original_bytes"))
    thumbs = [
        store.main_file(*each).with_suffix(".thumb.jpg")
        for each in zip(companions, (i["sha256"] for i in images), strict=True)
    ]
    assert total.pop("saved_share") == pytest.approx(1 - stored / original)
    assert total == {
        "total_images": 3,
        "total_bytes": stored,
        "thumbnail_bytes": sum(each.stat().st_size for each in thumbs),
        "original_bytes": original,
        "companion_count": 3,
    }
    lines = await all_pages(admin.http, 100)
    assert [each["companion_id"] for each in lines] == sorted(companions)
    assert {each["companion_id"]: each["total_bytes"] for each in lines} == {
        companion: image["bytes"] for companion, image in zip(companions, images, strict=True)
    }
    for limit in (1, 2, 3):
        assert await all_pages(admin.http, limit) == lines
    refused(await admin.http.get(f"{paths[1]}?cursor=abc"), 400)
    for path in paths:
        refused(await user.http.get(path), 403)


async def test_a_full_disk_takes_nothing_and_loses_nothing(small: HubServer, user: Client) -> None:
    """Runs last: the hub is started again with a disk on which ten terabytes have to stay free."""
    companion, empty = await new_companion(user), await new_companion(user)
    image = await set_header(user, companion, 1)
    await small.kill()
    small.settings |= {"HUB_FREE_SPACE_FLOOR_MB": "10000000", "HUB_IMAGE_FORMAT": "webp"}
    await small.start()
    again = Client(small.url)
    again.use(user.token)
    for each in (companion, empty):
        problem = refused(await send_header(again, each, picture(2)), 507)
        assert problem["type"] == "/problems/no-room"
    lines = ("Content-Type: image/png", "Content-Length: 1000000")
    path = f"/api/companions/{companion}/header-image"
    async with connection(again, path, *lines) as (reader, _), asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 507 "), "before the body is sent"
    assert await headers(again, (companion, empty)) == [image, None]
    assert (await gallery(again, companion))["items"] == [image]
    shown = await again.http.get(image["url"])
    assert (shown.status_code, sha256(shown.content).hexdigest()) == (200, image["sha256"])
    assert not list(Store(small).temporary.iterdir())
    await again.close()
