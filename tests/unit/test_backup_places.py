"""Where archives go, and where they are unpacked."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from hub.backup.staging import Staging, staging_in
from hub.backup.target import Pipe, partial_in, place_in
from hub.core.clock import utc_now
from hub.core.errors import StartError
from hub.storage import layout

PICTURE = f"uploads/companions/01938f2e-0000-7000-8000-000000000001/headers/{'0' * 64}.avif"


def placed(data_dir: Path) -> Path:
    """Leave what a restore leaves that is killed just before its commit; return the picture."""
    with suppress(KeyboardInterrupt), staging_in(data_dir) as staging:
        staging.clear()
        staging.begin(PICTURE, 4)(b"face")
        staging.close()
        staging.place("digest")
        raise KeyboardInterrupt
    assert Staging(data_dir).left_over == "digest"
    assert (data_dir / PICTURE).read_bytes() == b"face"
    return data_dir / PICTURE


def test_what_a_killed_restore_had_placed_goes_with_the_next(tmp_path: Path) -> None:
    picture = placed(tmp_path)
    with staging_in(tmp_path) as staging:
        staging.clear(placed=True)
        assert not picture.exists()
        staging.finish()
    assert not (tmp_path / "restoring").exists()


def test_but_not_once_a_hub_has_been_started_there(tmp_path: Path) -> None:
    picture = placed(tmp_path)
    layout.prepare(tmp_path)
    with staging_in(tmp_path) as staging:
        assert staging.left_over == ""
        staging.clear()
        assert picture.read_bytes() == b"face"


def test_two_restores_at_once_are_refused(tmp_path: Path) -> None:
    with staging_in(tmp_path), pytest.raises(StartError, match="Another restore"):
        staging_in(tmp_path).__enter__()


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full, pytest.raises(StartError, match="is full"):
        Pipe(full.fileno()).write(b"x" * 10_000)
    with partial_in(tmp_path) as partial:
        os.dup2(os.open("/dev/full", os.O_WRONLY), partial._descriptor)
        with pytest.raises(StartError, match="is full"):
            partial.write(b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_is_told_of() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(StartError, match="nobody reads"):
        Pipe(writing).write(b"x")
    os.close(writing)


def test_a_name_that_is_taken_is_left_alone_and_what_was_killed_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".hub-backup-of-one-that-was-killed").touch()
    now = utc_now()
    with partial_in(tmp_path) as first, partial_in(tmp_path) as second:
        first.write(b"1")
        second.write(b"2")
        files = [place_in(each, tmp_path, now) for each in (first, second)]
    assert [each.read_bytes() for each in files] == [b"1", b"2"]
    assert sorted(tmp_path.iterdir()) == sorted(files)
