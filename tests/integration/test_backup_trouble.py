"""Disks, places and connections that fail while a backup is made: the sentence says which it was."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.backup.taking import Backup
from hub.core.errors import StartError
from hub.core.progress import Progress
from hub.core.settings import Settings


@pytest.fixture
def silent() -> Iterator[Progress]:
    with Path(os.devnull).open("w") as nowhere:
        yield Progress(nowhere)


def work(dsn: str, data_dir: Path, silent: Progress) -> Backup:
    data_dir.mkdir()
    return Backup(Settings(data_dir=data_dir, database_url=dsn), dsn, silent)


async def test_a_disk_that_is_full_is_not_taken_for_a_fault_of_the_database(
    ready_database: str, tmp_path: Path, silent: Progress
) -> None:
    backup = work(ready_database, tmp_path / "data", silent)
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(StartError, match="the disk of standard output is full"):
            await backup.to_pipe(full)
    finally:
        os.close(full)


async def test_a_reader_who_leaves_is_not_taken_for_a_fault_of_the_database(
    ready_database: str, tmp_path: Path, silent: Progress
) -> None:
    backup = work(ready_database, tmp_path / "data", silent)
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        with pytest.raises(StartError, match="nobody reads standard output any more"):
            await asyncio.wait_for(backup.to_pipe(theirs), 30)
    finally:
        os.close(theirs)
