"""The parts of the import: texts back into bytes, files safely found, names made to fit, sizes read."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path

import pytest

from hub.core.errors import StartError
from hub.legacy import names, writing
from hub.legacy.dimensions import dimensions, fits
from hub.legacy.uploads import Uploads
from hub.legacy.writing import UnreadablePictureError, form_of, write_base64
from tests.services.legacy import photo

CONTENT = bytes(range(256)) * 5 + b"\xfb\xff\xfe"
ENCODED = base64.b64encode(CONTENT).decode()


async def decoded(folder: Path, text: str, *, size: int = 1000, is_url: bool = False) -> bytes:
    async def slices() -> AsyncIterator[str]:
        for first in range(0, len(text), size):
            yield text[first : first + size]

    descriptor = os.open(folder / "out", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        written = await write_base64(slices(), descriptor, is_url=is_url)
    finally:
        os.close(descriptor)
    content = (folder / "out").read_bytes()
    assert written == len(content)
    return content


@pytest.mark.parametrize("size", [1, 3, 7, 1000, 10_000])
@pytest.mark.parametrize("cut", [0, 1, 2])
async def test_base64_is_taken_as_it_comes(tmp_path: Path, size: int, cut: int) -> None:
    content = CONTENT[: len(CONTENT) - cut]
    plain = base64.b64encode(content).decode()
    spaced = "\n".join(plain[first : first + 76] for first in range(0, len(plain), 76)) + "\r\n "
    for text in (plain, plain.rstrip("="), spaced, plain.translate(str.maketrans("+/", "-_"))):
        assert await decoded(tmp_path, text, size=size) == content


async def test_a_data_url_loses_its_head(tmp_path: Path) -> None:
    for head in ("data:image/png;base64,", "DATA:;BASE64,", " data:image/jpeg;charset=utf-8;base64,"):
        assert await decoded(tmp_path, head + ENCODED, is_url=True) == CONTENT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("data:image/svg+xml,<svg/>", "not written in base64"),
        ("data:image/png;base64", "no beginning"),
        ("data:image/png;base64,AAA*", "characters"),
        ("data:image/png;base64,AAé=", "characters"),
        ("data:image/png;base64,AAAAA", "cut off"),
        ("data:image/png;base64,AA==AAAA", "characters"),
    ],
)
async def test_what_is_no_base64_says_why(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UnreadablePictureError, match=reason):
        await decoded(tmp_path, text, is_url=True)


async def test_padding_may_only_end_a_text(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePictureError, match="characters"):
        await decoded(tmp_path, "AA==" + "AAAA", size=4)


async def test_there_is_a_largest_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "LIMIT", len(CONTENT))
    assert await decoded(tmp_path, ENCODED) == CONTENT
    monkeypatch.setattr(writing, "LIMIT", len(CONTENT) - 1)
    with pytest.raises(UnreadablePictureError, match="larger"):
        await decoded(tmp_path, ENCODED)


@pytest.mark.parametrize(
    ("start", "form"),
    [
        ("data:image/png;base64,AAAA", "data"),
        ("/9j/4AAQSkZJRg" + "A" * 900, "base64"),
        ("iVBORw0KGgo\nAAAA", "base64"),
        ("/uploads/companions/c1/headers/a.jpg", "file"),
        ("https://example.org/a.jpg", "remote"),
        ("HTTP://169.254.169.254/", "remote"),
        ("//example.org/a.jpg", "remote"),
        ("file:///etc/passwd", "unknown"),
        ("../../etc/passwd", "unknown"),
        ("C:\\pictures\\a.jpg", "unknown"),
    ],
)
def test_how_a_picture_is_written(start: str, form: str) -> None:
    assert form_of(start) == form


def copied(uploads: Uploads, address: str, target: Path, companion_id: str = "c1") -> bytes:
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        uploads.copy(address, companion_id, descriptor)
    finally:
        os.close(descriptor)
    return target.read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an uploads folder; a secret lies beside it, and links to the secret in it."""
    companions = tmp_path / "uploads" / "companions"
    (companions / "c1" / "headers").mkdir(parents=True)
    (companions / "c1" / "headers" / "a.jpg").write_bytes(b"picture")
    (companions / "c2" / "headers").mkdir(parents=True)
    (companions / "c2" / "headers" / "b.jpg").write_bytes(b"another's")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.jpg").write_bytes(b"secret")
    (companions / "c1" / "headers" / "link.jpg").symlink_to(tmp_path / "secret" / "key.jpg")
    (companions / "c1" / "generated").symlink_to(tmp_path / "secret")
    (companions / "c3").symlink_to(tmp_path / "secret")
    (companions / "c1" / "headers" / "folder.jpg").mkdir()
    os.mkfifo(companions / "c1" / "headers" / "pipe.jpg")
    return tmp_path / "uploads"


def test_a_file_is_found_by_its_address(folder: Path, tmp_path: Path) -> None:
    address = "/uploads/companions/c1/headers/a.jpg"
    assert copied(Uploads(folder), address, tmp_path / "out") == b"picture"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("/uploads/companions/c1/headers/none.jpg", "not in the"),
        ("/uploads/companions/c2/headers/b.jpg", "another companion"),
        ("/uploads/companions/c1/headers/link.jpg", "symbolic link"),
        ("/uploads/companions/c1/generated/key.jpg", "symbolic link"),
        ("/uploads/companions/c1/headers/folder.jpg", "not a regular"),
        ("/uploads/companions/c1/headers/pipe.jpg", "not a regular"),
        ("/uploads/companions/c1/headers/../../../../secret/key.jpg", "address"),
        ("/uploads/companions/../companions/c1/headers/a.jpg", "address"),
        ("/uploads/companions/c1/headers/..", "address"),
        ("/uploads/companions/c1/headers/.hidden", "address"),
        ("/uploads/companions/c1/headers/%2e%2e%2f%2e%2e%2fsecret", "address"),
        ("/uploads/companions/c1/headers/a.jpg\n/etc/passwd", "address"),
        ("/uploads//companions/c1/headers/a.jpg", "address"),
        ("/uploads/companions/c1/headers\\a.jpg", "address"),
        ("/uploads/secret/key.jpg", "address"),
        ("/uploads/companions/c1/headers/" + "a" * 5000, "address"),
    ],
)
def test_no_address_leads_out_of_the_folder(folder: Path, tmp_path: Path, address: str, reason: str) -> None:
    with pytest.raises(UnreadablePictureError, match=reason):
        copied(Uploads(folder), address, tmp_path / "out")
    assert not (tmp_path / "out").read_bytes()


def test_a_link_in_place_of_a_companion_is_not_followed(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnreadablePictureError, match="symbolic link"):
        copied(Uploads(folder), "/uploads/companions/c3/headers/key.jpg", tmp_path / "out", "c3")


def test_a_folder_that_holds_no_companions_is_a_mistake(folder: Path) -> None:
    with pytest.raises(StartError, match="no folder companions"):
        Uploads(folder.parent)


@pytest.mark.parametrize(
    ("wanted", "first"),
    [
        ("ida", "ida"),
        (" Ida ", "ida"),
        ("Zoë Müller", "zoe_muller"),
        ("al-ice.b", "al_ice_b"),
        ("ab", "ab_"),
        ("", "___"),
        ("日本", "___"),
        ("a" * 500, "a" * 20),
        ("../../etc", "______etc"),
    ],
)
def test_a_username_is_made_to_fit(wanted: str, first: str) -> None:
    found = list(islice(names.usernames(wanted), 1200))
    assert found[0] == first
    assert len(set(found)) == len(found)
    assert all(re.fullmatch("[a-z0-9_]{3,20}", each) for each in found)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a@b", "a@b"),
        (" a@b ", "a@b"),
        ("", None),
        ("alice", None),
        ("a@b@c", None),
        ("a" * 260 + "@b", None),
    ],
)
def test_an_address_is_one_or_is_not(given: str, expected: str | None) -> None:
    assert names.email_or_none(given) == expected


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".webp[lossless=true]", ".jpg[interlace=true]"])
@pytest.mark.parametrize("size", [(96, 64), (1, 1), (640, 481)])
def test_a_picture_says_how_large_it_is(suffix: str, size: tuple[int, int]) -> None:
    content = photo(1, *size, suffix)
    assert dimensions(io.BytesIO(content)) == size
    for end in (0, 1, 2, 10, 20, 29):
        assert dimensions(io.BytesIO(content[:end])) in (None, size)


@pytest.mark.parametrize(
    ("original", "stored", "expected"),
    [
        ((100, 50), (100, 50), True),
        ((100, 50), (50, 100), True),
        ((1600, 801), (800, 400), True),
        ((1600, 801), (800, 401), True),
        ((1600, 800), (1600, 800), False),
        ((400, 400), (800, 800), False),
        ((5000, 2), (800, 1), True),
    ],
)
def test_a_stored_size_follows_from_the_original(
    original: tuple[int, int], stored: tuple[int, int], *, expected: bool
) -> None:
    assert fits(original, stored, 800) is expected
