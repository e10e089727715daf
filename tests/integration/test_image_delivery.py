"""Pictures as clients get them: the format they take, the part they ask for, what they have already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.services import pictures
from tests.services.hub import Client, HubServer
from tests.services.picture_files import Store, new_companion, set_header
from tests.services.refusals import pointers, refused

PHOTO: bytes = pictures.photo(1200, 900).jpegsave_buffer()
SUFFIXES = {"image/avif": ".avif", "image/webp": ".webp", "image/jpeg": ".jpg"}


class Shown:
    """A stored picture, its owner and its files."""

    def __init__(self, client: Client, image: dict[str, Any], folder: Path) -> None:
        self.client = client
        self.image = image
        self.folder = folder

    @property
    def main(self) -> bytes:
        """The stored file."""
        return (self.folder / f"{self.image['sha256']}.avif").read_bytes()

    async def get(self, *, method: str = "GET", query: str = "", **headers: str) -> httpx2.Response:
        """Ask for it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.http.request(method, self.image["url"] + query, headers=named)


@pytest.fixture(scope="module")
async def shown(hub: HubServer) -> AsyncIterator[Shown]:
    """Yield a picture that all these tests share."""
    client = await Client(hub.url).register()
    companion = await new_companion(client)
    image = await client.set_header_image(companion, PHOTO)
    yield Shown(client, image, Store(hub).folder(companion) / "headers")
    await client.close()


async def test_the_bytes_and_what_is_said_of_them(shown: Shown) -> None:
    answer = await shown.get()
    assert answer.status_code == 200
    assert answer.content == shown.main
    assert sha256(answer.content).hexdigest() == shown.image["sha256"]
    assert len(answer.content) == shown.image["bytes"]
    wanted = {
        "content-type": "image/avif",
        "content-length": str(shown.image["bytes"]),
        "etag": f'"{shown.image["sha256"]}"',
        "vary": "Accept, Origin",
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
    }
    assert {name: answer.headers[name] for name in wanted} == wanted
    cache = {each.strip() for each in answer.headers["cache-control"].split(",")}
    assert {"private", "immutable"} < cache
    head = await shown.get(method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    unlike = {"date", "x-request-id"}
    assert {name: head.headers[name] for name in head.headers if name not in unlike} == {
        name: answer.headers[name] for name in answer.headers if name not in unlike
    }


async def test_a_small_one(shown: Shown) -> None:
    answer = await shown.get(query="?size=thumb")
    assert answer.content == (shown.folder / f"{shown.image['sha256']}.thumb.avif").read_bytes()
    assert answer.headers["etag"] == f'"{sha256(answer.content).hexdigest()}"'
    small = pictures.open_bytes(answer.content)
    assert (small.width, small.height) == (256, 192)
    assert (await shown.get(query="?size=full")).content == shown.main
    for size in ("nonsense", "", "THUMB", "../x", "%00"):
        assert pointers(refused(await shown.get(query=f"?size={size}"), 400)) == {"/size"}


ACCEPTED = {
    "": "avif",
    "*/*": "avif",
    "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8": "avif",
    "image/avif": "avif",
    "IMAGE/AVIF": "avif",
    "image/*": "avif",
    "image/webp, */*;q=0.1": "avif",
    "text/html": "avif",
    "application/json, text/plain": "avif",
    "image/webp": "webp",
    "image/webp,image/png;q=0.9": "webp",
    "image/avif;q=0, image/webp": "webp",
    "image/avif; q=0.000, image/*": "webp",
    "image/jpeg": "jpeg",
    "image/jpeg, image/webp;q=0": "jpeg",
    "image/png": "jpeg",
    "image/png, */*;q=0": "jpeg",
}


@pytest.mark.parametrize(("accept", "wanted"), ACCEPTED.items(), ids=ACCEPTED)
async def test_the_format_that_a_client_takes(shown: Shown, accept: str, wanted: str) -> None:
    for query, width in (("", 800), ("?size=thumb", 256)):
        answer = await shown.get(query=query, Accept=accept)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == f"image/{wanted}"
        assert answer.headers["vary"] == "Accept, Origin"
        image = pictures.open_bytes(answer.content)
        assert (image.width, image.height) == (width, width * 3 // 4)
        assert image.get("vips-loader") == {"avif": "heifload_buffer"}.get(wanted, f"{wanted}load_buffer")


async def test_another_format_is_made_once_and_kept(client: Client, hub: HubServer) -> None:
    companion = await new_companion(client)
    image = await client.set_header_image(companion, PHOTO)
    store = Store(hub)
    for media_type in ("image/webp", "image/jpeg"):
        path = store.main_file(companion, image["sha256"]).with_suffix(SUFFIXES[media_type])
        assert not path.exists()
        accept = {"Accept": media_type}
        answers = await asyncio.gather(*(client.http.get(image["url"], headers=accept) for _ in range(10)))
        before = path.stat()
        answers.append(await client.http.get(image["url"], headers=accept))
        assert {each.content for each in answers} == {path.read_bytes()}
        etags = {each.headers["etag"] for each in answers}
        assert len(etags) == 1
        after = path.stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        known = await client.http.get(image["url"], headers={**accept, "If-None-Match": etags.pop()})
        assert known.status_code == 304
        assert (await client.http.get(image["url"], headers={"If-None-Match": known.headers["etag"]})).content
    assert len(store.names(companion)) == 4, "a thumbnail is not made before somebody asks for it"


async def test_what_a_client_has_already_is_not_sent_again(shown: Shown) -> None:
    etag = f'"{shown.image["sha256"]}"'
    for known in (etag, f"W/{etag}", f'"x", {etag}', f'W/"x",W/{etag}', "*", f'"x" , {etag}'):
        for method in ("GET", "HEAD"):
            answer = await shown.get(method=method, If_None_Match=known, Range="bytes=0-0")
            assert (answer.status_code, answer.content) == (304, b""), known
            assert answer.headers["etag"] == etag
            assert "private" in answer.headers["cache-control"]
            assert answer.headers["vary"] == "Accept, Origin"
    for unknown in ("", '"x"', shown.image["sha256"], f'{etag[:-1]}x"', '"*"', etag.upper()):
        assert (await shown.get(If_None_Match=unknown)).status_code == 200, unknown


async def test_a_part(shown: Shown) -> None:
    whole, size = shown.main, shown.image["bytes"]
    parts = {
        "bytes=0-0": (0, 1),
        "bytes=0-99": (0, 100),
        "bytes=100-": (100, size),
        f"bytes={size - 1}-": (size - 1, size),
        "bytes=-1": (size - 1, size),
        "bytes=-100": (size - 100, size),
        f"bytes=-{size + 100}": (0, size),
        f"bytes=0-{size + 100}": (0, size),
        "bytes=5-999999999999999999": (5, size),
    }
    for asked, (start, end) in parts.items():
        for condition in ({}, {"If_Range": f'"{shown.image["sha256"]}"'}):
            answer = await shown.get(Range=asked, **condition)
            assert answer.status_code == 206, asked
            assert answer.content == whole[start:end], asked
            assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
            assert answer.headers["content-type"] == "image/avif"
            assert answer.headers["etag"] == f'"{shown.image["sha256"]}"'


async def test_a_part_that_there_is_not(shown: Shown) -> None:
    size = shown.image["bytes"]
    for asked in (f"bytes={size}-", f"bytes={size}-{size + 5}", "bytes=-0", "bytes=999999999999999999-"):
        answer = await shown.get(Range=asked)
        refused(answer, 416)
        assert answer.headers["content-range"] == f"bytes */{size}"


@pytest.mark.parametrize(
    ("asked", "condition"),
    [
        ("bytes=0-1,5-6", None),
        ("bytes=5-1", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=a-b", None),
        ("bytes=0-9" + "9" * 40, None),
        ("bytes=1-2;x", None),
        ("bytes=\u0661-".encode().decode("latin-1"), None),
        ("pixels=0-1", None),
        ("nonsense", None),
        ("bytes=0-1", '"another"'),
        ("bytes=0-1", "W/{etag}"),
        ("bytes=0-1", "Mon, 23 Nov 2026 00:00:00 GMT"),
    ],
)
async def test_what_is_no_part_gets_the_whole(shown: Shown, asked: str, condition: str | None) -> None:
    headers = [(b"Range", asked.encode("latin-1"))]
    if condition is not None:
        headers.append((b"If-Range", condition.format(etag=f'"{shown.image["sha256"]}"').encode()))
    answer = await shown.client.http.get(shown.image["url"], headers=headers)
    assert (answer.status_code, answer.content) == (200, shown.main)
    assert "content-range" not in answer.headers


async def test_head_knows_no_parts(shown: Shown) -> None:
    """RFC 9110 section 14.2: ranges are defined for GET only."""
    for asked in ("bytes=0-0", "bytes=99999999-"):
        answer = await shown.get(method="HEAD", Range=asked)
        assert answer.status_code == 200
        assert answer.headers["content-length"] == str(shown.image["bytes"])


async def test_a_file_that_is_lost(client: Client, hub: HubServer) -> None:
    store = Store(hub)
    companion = await new_companion(client)
    image = await set_header(client, companion, 1)
    main = store.main_file(companion, image["sha256"])
    content = main.read_bytes()
    main.unlink()
    for accept in ("*/*", "image/webp"):
        problem = refused(await client.http.get(image["url"], headers={"Accept": accept}), 404)
        assert problem["type"] == "/problems/image-file-missing"
        assert "hub images verify" in problem["detail"]
    lines = [line for line in hub.output.splitlines() if "image file missing" in line]
    assert any(image["sha256"] in line for line in lines)
    assert (await client.http.get(f"{image['url']}?size=thumb")).status_code == 200
    main.write_bytes(content[: len(content) // 2])
    assert (await client.http.get(image["url"], headers={"Accept": "image/webp"})).status_code == 404
    main.write_bytes(content)
    assert (await client.http.get(image["url"], headers={"Accept": "image/webp"})).status_code == 200
