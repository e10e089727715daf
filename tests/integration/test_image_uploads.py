"""Uploads of header pictures: raw and as forms, whole, broken, too large, hostile or cut off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.services import pictures
from tests.services.fixtures import new_user
from tests.services.hub import Client, HubServer
from tests.services.mutants import mutants
from tests.services.picture_files import Store, picture
from tests.services.refusals import pointers, refused
from tests.services.uploads import BOUNDARY, FORM, connection, form, in_pieces, part
from tests.services.waiting import eventually

LIMIT = 10 * 1024 * 1024
PNG = picture(0)
JPEG: bytes = pictures.photo(60, 40).jpegsave_buffer()
WEBP: bytes = pictures.photo(60, 40).webpsave_buffer()
FORM_HEADER = {"Content-Type": FORM}

CONTENTS = {"image/png": PNG, "image/jpeg": JPEG, "image/webp": WEBP}


def padded(size: int) -> bytes:
    """Return a picture of so many bytes: what stands behind a JPEG's end is nobody's business."""
    return JPEG.ljust(size, b"\0")


class Upload:
    """A user's companion that waits for its header picture."""

    def __init__(self, client: Client, companion: str, store: Store) -> None:
        self.client = client
        self.companion = companion
        self.store = store
        self.path = f"/api/companions/{companion}/header-image"

    async def put(self, content: bytes | AsyncIterator[bytes], media_type: str = "image/png") -> Any:
        """Send a body."""
        return await self.client.http.put(self.path, content=content, headers={"Content-Type": media_type})

    async def header(self) -> dict[str, Any] | None:
        """Return what the companion shows."""
        companion = (await self.client.http.get(f"/api/companions/{self.companion}")).json()
        header: dict[str, Any] | None = companion["header_image"]
        return header

    async def nothing_left(self) -> None:
        """Wait until no temporary file is left."""
        await eventually(lambda: not list(self.store.temporary.iterdir()))


@pytest.fixture(scope="module")
async def user(hub: HubServer) -> AsyncIterator[Client]:
    """Yield a user that all these tests share."""
    async with new_user(hub) as found:
        yield found


@pytest.fixture
async def upload(hub: HubServer, user: Client) -> AsyncIterator[Upload]:
    """Yield a companion without a picture; in the end no temporary file may be left."""
    found = Upload(user, (await user.companion())["id"], Store(hub))
    yield found
    await found.nothing_left()


@pytest.mark.parametrize("real", CONTENTS)
@pytest.mark.parametrize("declared", [*CONTENTS, "IMAGE/PNG; charset=x", FORM])
async def test_the_content_says_what_it_is(upload: Upload, declared: str, real: str) -> None:
    content = CONTENTS[real]
    answer = await upload.put(form(part(content)) if declared == FORM else content, declared)
    assert answer.status_code == 200, answer.text
    image = answer.json()
    assert (image["media_type"], image["original_bytes"]) == ("image/avif", len(content))
    assert await upload.header() == image


FORMS = {
    "other fields before": form(
        part(b"x" * 5_000, name="notes", file_name=None), part(PNG, file_name="me.png")
    ),
    "other fields behind": form(part(PNG), part(b"y", name="notes", file_name=None)),
    "other files": form(part(JPEG, name="second"), part(PNG), part(WEBP, name="file2")),
    "no file name": form(part(PNG, file_name=None)),
    "a type that it is not": form(part(PNG, more=b"Content-Type: text/html\r\n")),
    "words around": b"preamble\r\n" + form(part(PNG)) + b"epilogue",
}
FILE_NAMES = (
    "../../../../etc/cron.d/x",
    "..\\\\..\\\\x.png",
    "/etc/passwd",
    "%2e%2e%2fx.png",
    "a\0b.png",
    "x" * 3_000 + ".png",
    "🌿\u202e.png",
    "",
)


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
async def test_forms(upload: Upload, body: bytes) -> None:
    image = (await upload.put(PNG)).json()
    for content in (body, in_pieces(body, 1)):
        answer = await upload.put(content, FORM)
        assert answer.status_code == 200, answer.text
        assert answer.json()["original_bytes"] == len(PNG)
        assert answer.json()["sha256"] == image["sha256"]


async def test_the_name_of_a_file_leads_nowhere(upload: Upload) -> None:
    for name in FILE_NAMES:
        answer = await upload.put(form(part(PNG, file_name=name)), FORM)
        assert answer.status_code in (200, 400), answer.text
    image = await upload.header()
    assert image is not None
    sha256 = image["sha256"]
    assert upload.store.names(upload.companion) == {f"{sha256}.avif", f"{sha256}.thumb.avif"}
    assert {each.name for each in upload.store.data_dir.joinpath("uploads").iterdir()} == {
        "companions",
        "tmp",
    }


BROKEN_FORMS: dict[str, tuple[str, bytes, str]] = {
    "no boundary": ("multipart/form-data", form(part(PNG)), ""),
    "an empty boundary": ("multipart/form-data; boundary=", form(part(PNG)), ""),
    "another boundary": ("multipart/form-data; boundary=other", form(part(PNG)), ""),
    "a boundary of odd letters": ("multipart/form-data; boundary=\xfc\xff", form(part(PNG)), ""),
    "a very long boundary": (f"multipart/form-data; boundary={'b' * 5_000}", form(part(PNG)), ""),
    "nothing": (FORM, b"", ""),
    "no parts": (FORM, form(), "/file"),
    "no file": (FORM, form(part(PNG, name="picture")), "/file"),
    "two files": (FORM, form(part(PNG), part(JPEG)), "/file"),
    "cut off in the file": (FORM, part(PNG)[:-20], ""),
    "no end": (FORM, part(PNG), ""),
    "cut off in a header": (FORM, part(PNG)[:40], ""),
    "many parts": (FORM, form(*[part(b"", name=str(number)) for number in range(99)], part(PNG)), ""),
    "a large header": (FORM, form(part(PNG, more=b"X-A: " + b"a" * 60_000 + b"\r\n")), ""),
    "no disposition": (FORM, f"--{BOUNDARY}\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(), ""),
    "no UTF-8": (FORM, form(part(PNG, more=b"X-A: \xff\xfe\r\n")), ""),
    "no UTF-8 in a name": (FORM, form(part(PNG).replace(b'"a.png"', b'"\xff\xfe.png"')), ""),
    "JSON": (FORM, b'{"file": "x"}', ""),
}


@pytest.mark.parametrize(("media_type", "body", "pointer"), BROKEN_FORMS.values(), ids=BROKEN_FORMS)
async def test_broken_forms_are_refused(upload: Upload, media_type: str, body: bytes, pointer: str) -> None:
    headers = [(b"Content-Type", media_type.encode("latin-1"))]
    for content in (body, in_pieces(body, 100)):
        answer = await upload.client.http.put(upload.path, content=content, headers=headers)
        assert pointers(refused(answer, 400)) == {pointer}
    assert await upload.header() is None


REFUSALS: dict[str, tuple[int, str, Callable[[], bytes]]] = {
    "a GIF": (
        415,
        "image/png",
        lambda: b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
    ),
    "an SVG": (415, "image/png", lambda: b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
    "a PDF": (415, "image/jpeg", lambda: b"%PDF-1.7\n%%EOF"),
    "a page": (415, "image/png", lambda: b"<!doctype html><script>alert(1)</script>"),
    "a TIFF": (415, "image/png", lambda: pictures.photo(20, 20).tiffsave_buffer()),
    "an AVIF": (415, "image/png", lambda: pictures.photo(20, 20).heifsave_buffer(compression="av1")),
    "half a PNG": (422, "image/png", lambda: PNG[: len(PNG) // 2]),
    "half a JPEG": (422, "image/jpeg", lambda: JPEG[: len(JPEG) // 2]),
    "half a WebP": (422, "image/webp", lambda: WEBP[: len(WEBP) // 2]),
    "only a signature": (422, "image/png", lambda: PNG[:8]),
    "48 megapixels": (413, "image/png", lambda: pictures.flat_png(8_000, 6_000)),
    "too wide": (413, "image/png", lambda: pictures.flat_png(16_385, 1)),
    "a GIF by name": (415, "image/gif", lambda: PNG),
    "an SVG by name": (415, "image/svg+xml", lambda: PNG),
    "JSON by name": (415, "application/json", lambda: PNG),
    "anything by name": (415, "application/octet-stream", lambda: PNG),
    "a type of two": (415, "image/png, image/jpeg", lambda: PNG),
    "half a type": (415, "image/", lambda: PNG),
    "a form in the address": (415, "application/x-www-form-urlencoded", lambda: b"file=x"),
}


@pytest.mark.parametrize(("status", "media_type", "make"), REFUSALS.values(), ids=REFUSALS)
async def test_what_is_no_picture_is_refused(
    upload: Upload, status: int, media_type: str, make: Callable[[], bytes]
) -> None:
    content = make()
    refused(await upload.put(content, media_type), status)
    if media_type in CONTENTS:
        refused(await upload.put(form(part(content)), FORM), status)
    assert await upload.header() is None
    assert not upload.store.folder(upload.companion).exists()


async def test_no_bytes_and_no_type(upload: Upload) -> None:
    for body, media_type in ((b"", "image/png"), (form(part(b"")), FORM)):
        refused(await upload.put(body, media_type), 415, 422)
    refused(await upload.client.http.put(upload.path, content=PNG), 415)
    refused(await upload.client.http.put(upload.path), 415)
    assert await upload.header() is None


async def test_ten_megabytes_are_taken_and_not_a_byte_more(upload: Upload) -> None:
    fits, larger = padded(LIMIT), padded(LIMIT + 1)
    for body, media_type in ((fits, "image/jpeg"), (form(part(fits)), FORM)):
        answer = await upload.put(body, media_type)
        assert answer.status_code == 200, answer.text
        assert answer.json()["original_bytes"] == LIMIT
    before = await upload.header()
    for body, media_type in ((larger, "image/jpeg"), (form(part(larger)), FORM)):
        for content in (body, in_pieces(body, 1 << 18)):
            problem = refused(await upload.put(content, media_type), 413)
            assert "10 MB" in problem["detail"]
    assert await upload.header() == before


async def test_a_form_may_not_be_large_beside_its_file(upload: Upload) -> None:
    """Fields that nobody reads cost nothing to send without a length, and time to receive."""
    body = form(part(b"x" * (LIMIT + 100_000), name="notes", file_name=None), part(PNG))
    refused(await upload.put(in_pieces(body, 1 << 18), FORM), 413)
    assert await upload.header() is None


async def test_a_hundred_megabytes_are_refused_before_they_come(upload: Upload) -> None:
    lines = ("Content-Type: image/png", f"Content-Length: {100 * 1024 * 1024}", "Expect: 100-continue")
    async with connection(upload.client, upload.path, *lines) as (reader, _), asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("length", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("media_type", ["image/png", FORM])
async def test_a_client_that_leaves_in_the_middle(upload: Upload, media_type: str, length: str) -> None:
    noise = part(PNG)[:-2] + random.Random(1).randbytes(300_000)
    body = noise if media_type == FORM else noise[200:]
    if "chunked" in length:
        body = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    lines = (f"Content-Type: {media_type}", length)
    async with connection(upload.client, upload.path, *lines) as (_, writer):
        writer.write(body)
        await writer.drain()
        await eventually(lambda: any(each.stat().st_size for each in upload.store.temporary.iterdir()))
    await upload.nothing_left()
    assert await upload.header() is None
    assert (await upload.put(PNG)).status_code == 200


async def test_a_body_that_comes_byte_by_byte(upload: Upload) -> None:
    lines = ("Content-Type: image/png", f"Content-Length: {len(PNG)}", "Connection: close")
    async with connection(upload.client, upload.path, *lines) as (reader, writer), asyncio.timeout(30):
        for start in range(0, len(PNG), 16):
            writer.write(PNG[start : start + 16])
            await asyncio.sleep(0.001)
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    image = await upload.header()
    assert image is not None
    assert image["original_bytes"] == len(PNG)


async def test_mutants_harm_nobody(upload: Upload) -> None:
    gate = asyncio.Semaphore(3)

    async def send(content: bytes) -> int:
        async with gate:
            answer = await upload.put(content, "image/jpeg")
        if answer.status_code != 200:
            refused(answer, 413, 415, 422)
        return int(answer.status_code)

    statuses = await asyncio.gather(*(send(each.content) for each in mutants(2024, 40)))
    assert {200, 422} <= set(statuses)
    await upload.nothing_left()
    answer = await upload.put(PNG)
    assert answer.status_code == 200
    assert await upload.header() == answer.json()
    assert (await upload.client.http.get("/api/health/ready")).status_code == 200


async def test_nothing_is_read_for_a_companion_of_somebody_else(upload: Upload, other: Client) -> None:
    theirs, nobodys = upload.path, f"/api/companions/{uuid4()}/header-image"
    for path in (theirs, nobodys):
        lines = ("Content-Type: image/png", "Content-Length: 1000000")
        async with connection(other, path, *lines) as (reader, _), asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
    assert await upload.header() is None
