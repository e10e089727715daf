"""Archives that are damaged or made to do harm: the first bad entry is named, nothing outside is touched."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

import hub
from hub.backup.archive import Nowhere, Writer, read_through
from hub.backup.errors import DamagedArchiveError
from hub.backup.manifest import ABOUT, MANIFEST, Database, Key, Manifest, Table
from hub.backup.staging import staging_in
from hub.core.clock import utc_now
from hub.core.errors import StartError
from tests.services.archives import packed, zstd

COMPANION = "01938f2e-0000-7000-8000-000000000001"
CHANCE = random.Random(1)
CONTENTS = {
    ABOUT: b"",
    "database/users/000001.copy": b"1\tAnn\n" * 40_000,
    "secret_key": b"k" * 64,
    **{
        f"uploads/companions/{COMPANION}/generated/{CHANCE.randbytes(32).hex()}{end}": CHANCE.randbytes(size)
        for end, size in ((".avif", 300_000), (".thumb.avif", 700), (".avif", 512), (".avif", 1))
    },
}
NAMES = list(CONTENTS)


def manifest(**changes: Any) -> Manifest:
    users = Table(name="users", columns=["id", "name"], rows=40_000, parts=1)
    database = Database(server="18.4", migrations=["m1"], tables=[users], sequences=[])
    fields: dict[str, Any] = {
        "format": 1,
        "version": hub.__version__,
        "migration": "m1",
        "created_at": utc_now(),
        "counts": {"users": 40_000, "companions": 0, "messages": 0, "images": 0},
        "database": database,
        "key": Key(in_archive=True, fingerprint=""),
        "files": {},
        "faults": [],
    }
    return Manifest(**{**fields, **changes})


def whole() -> bytes:
    """Return an archive as the hub writes it."""
    target = io.BytesIO()
    writer = Writer(target, modified=0)
    about = {each: getattr(manifest(), each) for each in ("format", "version", "migration")}
    for name, content in CONTENTS.items():
        writer.add(name, content or json.dumps({**about, "created_at": "2026-11-23T00:00:00Z"}).encode())
    writer.end(manifest(files=dict(writer.files)))
    return target.getvalue()


def by_others(contents: Mapping[str, bytes], *more: tarfile.TarInfo, **changes: Any) -> bytes:
    """Return an archive that another program has written, with a manifest that fits."""
    files = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for name, content in contents.items()
    }
    told = json.loads(json.dumps({"files": files, **changes}, default=str))
    return packed(
        {**contents, MANIFEST: msgspec.json.encode({**msgspec.to_builtins(manifest()), **told})}, *more
    )


def check(archive: bytes) -> Manifest:
    return read_through(io.BytesIO(archive), Nowhere())[0]


def refused(archive: bytes) -> DamagedArchiveError:
    with pytest.raises(DamagedArchiveError) as found:
        check(archive)
    return found.value


def test_other_programs_read_it_and_theirs_is_read() -> None:
    archive = whole()
    with tarfile.open(fileobj=io.BytesIO(zstd.decompress(archive))) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        assert {member.mode for member in tar.getmembers()} == {0o600}
    assert list(members) == [*NAMES, MANIFEST]
    assert {name: members[name] for name in NAMES[1:]} == {name: CONTENTS[name] for name in NAMES[1:]}
    told = check(archive)
    assert set(told.files) == set(NAMES)
    folder = tarfile.TarInfo("./uploads")
    folder.type = tarfile.DIRTYPE
    dotted = {f"./{name}": content for name, content in members.items()}
    assert check(packed(dotted, folder)) == told


def test_a_bit_that_flips_anywhere_is_found_and_the_entry_is_named() -> None:
    archive = whole()
    # The big picture takes most of the archive.
    place = archive.index(CONTENTS[NAMES[3]][1000:1100])
    flipped = bytearray(archive)
    flipped[place] ^= 1
    assert refused(bytes(flipped)).entry == NAMES[3]
    chance = random.Random(2)
    for _ in range(60):
        flipped = bytearray(archive)
        flipped[
            chance.choice((chance.randrange(400), chance.randrange(len(archive)), -chance.randrange(1, 900)))
        ] ^= 8
        refused(bytes(flipped))


def test_every_way_of_cutting_it_short_is_found() -> None:
    archive = whole()
    for length in (0, 1, 100, len(archive) // 2, len(archive) - 300, len(archive) - 1):
        refused(archive[:length])
    assert refused(archive[: len(archive) // 2]).entry == NAMES[3]
    assert "ends there" in str(refused(archive[: len(archive) // 2]))
    refused(archive + b"more")


@pytest.mark.parametrize(
    ("contents", "entry"),
    [
        ({**CONTENTS, NAMES[2]: b"x" * 64}, NAMES[2]),
        ({**CONTENTS, NAMES[4]: CONTENTS[NAMES[4]] + b"x"}, NAMES[4]),
        ({name: content for name, content in CONTENTS.items() if name != NAMES[5]}, NAMES[5]),
        ({**CONTENTS, f"{NAMES[3][:-5]}.thumb.avif": b"one more"}, f"{NAMES[3][:-5]}.thumb.avif"),
    ],
)
def test_entries_that_are_not_what_the_manifest_says_are_named(
    contents: dict[str, bytes], entry: str
) -> None:
    files = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for name, content in CONTENTS.items()
        if name != ABOUT
    }
    contents = {name: content for name, content in contents.items() if name != ABOUT}
    assert refused(by_others(contents, files=files)).entry == entry


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


HOSTILE = [
    by_others({"../outside": b"x"}),
    by_others({"/tmp/outside": b"x"}),
    by_others({"uploads/companions/../../../outside": b"x"}),
    by_others({f"uploads/companions/{COMPANION}/generated/../../../../outside.avif": b"x"}),
    by_others({"uploads/tmp/x": b"x"}),
    by_others({"postgres/data/pg_hba.conf": b"x"}),
    by_others({"database/users/../../secret_key/000001.copy": b"x"}),
    by_others({"secret_key\0": b"x"}),
    by_others({".//secret_key": b"x"}),
    by_others({"x" * 5000: b"x"}),
    by_others({}, member("secret_key", tarfile.SYMTYPE, "/etc/passwd")),
    by_others({}, member("secret_key", tarfile.LNKTYPE, "../outside")),
    by_others({}, member("secret_key", tarfile.CHRTYPE)),
    by_others({}, member("secret_key", tarfile.FIFOTYPE)),
    by_others({}, member(f"uploads/companions/{COMPANION}/generated", tarfile.SYMTYPE, "/tmp")),
    by_others({"secret_key": b"x" * 5000}),
    packed({"secret_key": b"k" * 64}),
    packed({MANIFEST: b"{}"}),
    packed({}),
    b"\x28\xb5\x2f\xfd" * 1000,
    zstd.compress(b"\0" * 50_000_000),
    zstd.compress(random.Random(3).randbytes(5000)),
]


def unpack(archive: bytes, data_dir: Path) -> None:
    with staging_in(data_dir) as staging:
        staging.clear()
        read_through(io.BytesIO(archive), staging)


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_nothing_leads_out_of_the_folder(number: int, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    data_dir = tmp_path / "one" / "data"
    with pytest.raises(DamagedArchiveError):
        unpack(HOSTILE[number], data_dir)
    assert outside.read_text() == "mine"
    assert not data_dir.exists(), "a refused archive leaves nothing"
    assert {each.name for each in tmp_path.iterdir()} == {"outside", "one"}


def test_an_entry_that_comes_twice_is_refused() -> None:
    twice = io.BytesIO()
    with tarfile.open(fileobj=twice, mode="w") as tar:
        for _ in range(2):
            entry = tarfile.TarInfo("secret_key")
            entry.size = 64
            tar.addfile(entry, io.BytesIO(b"k" * 64))
    assert "twice" in str(refused(zstd.compress(twice.getvalue())))


def test_what_would_fill_the_disk_is_refused_before_it_is_written(tmp_path: Path) -> None:
    size = 1_900_000_000
    count = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize // size + 1
    with pytest.raises(StartError, match="more room"):
        begin(tmp_path / "data", count, size)
    assert not (tmp_path / "data").exists()


def begin(data_dir: Path, count: int, size: int) -> None:
    with staging_in(data_dir) as staging:
        staging.clear()
        for number in range(count):
            staging.begin(f"database/users/{number:06}.copy", size)


@pytest.mark.parametrize(
    "changes", [{"format": 2, "version": "9.1.0"}, {"version": "9.1.0"}, {"version": "0.1.1"}]
)
def test_newer_versions_are_refused_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(StartError) as found:
        check(by_others({}, **changes))
    assert changes["version"] in str(found.value)
    assert hub.__version__ in str(found.value)


def test_a_newer_version_is_refused_before_anything_that_is_not_understood() -> None:
    about = {"format": 7, "version": "9.1.0", "migration": "", "created_at": "2030-01-01T00:00:00Z", "new": 1}
    with pytest.raises(StartError, match=r"9\.1\.0"):
        check(packed({ABOUT: json.dumps(about).encode(), "something/new": b"x"}))


def users(**changes: Any) -> dict[str, Any]:
    return {"name": "users", "columns": ["id", "name"], "rows": 40_000, "parts": 1, **changes}


def database(*tables: dict[str, Any]) -> dict[str, Any]:
    return {"database": {"server": "18.4", "migrations": ["m1"], "tables": tables, "sequences": []}}


@pytest.mark.parametrize(
    ("changes", "entry"),
    [
        ({"counts": {"users": 99, "companions": 0, "messages": 0, "images": 0}}, MANIFEST),
        ({"key": {"in_archive": False, "fingerprint": ""}}, MANIFEST),
        (database(users(parts=2)), MANIFEST),
        (database(users(parts=10**12)), MANIFEST),
        (database(users(rows=-1)), MANIFEST),
        (database(users(), users()), MANIFEST),
        (database(users(parts=0)), NAMES[1]),
        (database(), NAMES[1]),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(changes: dict[str, Any], entry: str) -> None:
    contents = {name: content for name, content in CONTENTS.items() if name != ABOUT}
    check(by_others(contents))
    assert refused(by_others(contents, **changes)).entry == entry


def test_a_manifest_is_as_large_as_what_it_tells_of() -> None:
    huge = zstd.compress(archive_header(MANIFEST, 100_000_000) + b"[" * 1_000_000)
    assert "absurd size" in str(refused(huge))


def archive_header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf()
