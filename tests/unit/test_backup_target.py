"""Where a backup may go, and what is said where it may not."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.backup.target import partial_in, place_in, require_file
from hub.core.errors import StartError


def test_only_files_are_replaced(tmp_path: Path) -> None:
    queue = tmp_path / "queue"
    os.mkfifo(queue)
    for other in (queue, Path(os.devnull)):
        with pytest.raises(StartError, match="is not a file") as found:
            require_file(other)
        assert "use - for standard output" in str(found.value)
    assert queue.is_fifo()


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "disk" / "real", tmp_path / "link"
    link.symlink_to(real)
    assert require_file(link) == real
    assert require_file(tmp_path / "new") == tmp_path / "new"


def test_a_folder_that_is_missing_is_named_and_not_what_would_be_in_it(tmp_path: Path) -> None:
    with pytest.raises(StartError) as found, partial_in(tmp_path / "none"):
        pytest.fail("there is none")
    assert str(found.value) == f"There is no folder {tmp_path / 'none'}. Make it, or choose another place."


def test_a_disk_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As FAT has none, which disks that one carries about often have."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    time = datetime(2026, 11, 23, 2, tzinfo=UTC)
    for number in range(2):
        with partial_in(tmp_path) as partial:
            partial.write(b"%d" % number)
            place_in(partial, tmp_path, time)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {
        "hub-20261123T020000Z.tar.zst": b"0",
        "hub-20261123T020001Z.tar.zst": b"1",
    }
