"""Files are written and taken away safely, whoever else is at work in the same folders."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from hub.storage import files, layout, removal
from hub.storage.errors import StorageFailedError
from hub.storage.files import FileStore, TempFile, claim
from hub.storage.layout import Family
from hub.storage.threads import to_end


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """Return the files of an empty data folder."""
    layout.prepare(tmp_path)
    return FileStore(tmp_path)


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Do something over and over in a thread."""
    ending = threading.Event()

    def run() -> None:
        while not ending.wait(0.0005):
            with suppress(OSError):
                work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


async def test_a_file_is_placed_while_empty_folders_are_taken_away(store: FileStore) -> None:
    target = Family(uuid4(), "header", "0" * 64).file(store.data_dir, "image/avif")

    def tidy() -> None:
        with suppress(OSError):
            target.parent.rmdir()
        target.parent.parent.rmdir()

    with beside(tidy):
        for number in range(150):
            async with store.temporary() as temp:
                os.write(temp.descriptor, b"%d" % number)
                await store.place(temp, target)
            assert target.read_bytes() == b"%d" % number
            target.unlink()


async def test_a_folder_that_is_never_there_is_an_error(store: FileStore) -> None:
    target = store.data_dir / "no" / "such" / "folder" / "file"
    async with store.temporary() as temp:
        with pytest.raises(StorageFailedError):
            await store.place(temp, target)
    assert not list(layout.temporary_folder(store.data_dir).iterdir())


async def test_who_is_cancelled_while_a_file_is_made_leaves_none(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, go, descriptors = threading.Event(), threading.Event(), list[int]()
    create = files.create

    def slow(folder: Path) -> TempFile:
        temp = create(folder)
        descriptors.append(temp.descriptor)
        made.set()
        go.wait(10)
        return temp

    async def use() -> None:
        async with store.temporary():
            raise AssertionError("it was cancelled before")

    monkeypatch.setattr(files, "create", slow)
    using = asyncio.create_task(use())
    await asyncio.to_thread(made.wait, 10)
    using.cancel()
    await asyncio.sleep(0)
    go.set()
    with suppress(asyncio.CancelledError):
        await using
    assert not list(layout.temporary_folder(store.data_dir).iterdir())
    with pytest.raises(OSError, match="Bad file descriptor"):
        fcntl.fcntl(descriptors[0], fcntl.F_GETFD)


def test_the_data_folder_is_writable_also_while_the_collector_is_at_work(store: FileStore) -> None:
    def sweep() -> None:
        for path in layout.temporary_folder(store.data_dir).iterdir():
            descriptor = claim(path)
            if descriptor is not None:
                path.unlink(missing_ok=True)
                os.close(descriptor)

    with beside(sweep):
        for _ in range(1000):
            layout.check_writable(store.data_dir)


async def test_a_thread_is_waited_for_however_often_its_caller_is_cancelled() -> None:
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(10)
        ended.set()

    waiting = asyncio.create_task(to_end(work))
    await asyncio.to_thread(begun.wait, 10)
    for _ in range(3):
        waiting.cancel()
        await asyncio.sleep(0)
        assert not waiting.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


async def test_a_temporary_file_that_cannot_be_removed_is_no_error_and_is_let_go(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path, *, missing_ok: bool) -> None:
        assert missing_ok
        raise OSError(errno.EROFS, "Read-only file system")

    async with store.temporary() as temp:
        monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OSError, match="Bad file descriptor"):
        fcntl.fcntl(temp.descriptor, fcntl.F_GETFD)


def test_a_hidden_file_is_put_back_while_empty_folders_are_taken_away(store: FileStore) -> None:
    place = Family(uuid4(), "header", "0" * 64).file(store.data_dir, "image/avif")
    hidden = layout.temporary_folder(store.data_dir) / "removed"
    with beside(lambda: removal.remove_empty(place.parent, place.parent.parent)):
        for _ in range(150):
            hidden.write_bytes(b"mine")
            removal.put_back(hidden, place)
            assert place.read_bytes() == b"mine"
            place.unlink()
    with pytest.raises(FileNotFoundError):
        removal.put_back(hidden, place)
