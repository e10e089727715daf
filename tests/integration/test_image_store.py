"""Pictures whose storing does not come to its end: the client is told, and their files do not stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from hub.db.engine import ENGINE
from hub.domain.images.collector import Collector
from hub.domain.images.errors import FilesTakenError
from hub.domain.images.schemas import Image
from hub.domain.images.service import ImageService, NewImage
from hub.storage.files import FileStore
from hub.storage.images import Encoding, ImageProcesses
from tests.services.hub import Client
from tests.services.picture_files import Store, new_companion, picture

ENCODING = Encoding(media_type="image/avif", quality=70, effort=0)


class HastyCollector(FileStore):
    """Files that are never there any more when somebody looks."""

    async def exists(self, path: Path) -> bool:
        """Take the file away first."""
        await asyncio.to_thread(path.unlink, missing_ok=True)
        return await super().exists(path)


@pytest.fixture
async def service(store: Store, image_processes: ImageProcesses) -> AsyncIterator[ImageService]:
    """Yield pictures of the hub's data folder, and look that nothing stays of them."""
    yield ImageService(FileStore(store.data_dir), image_processes, encoding=ENCODING, quota=None)
    await Collector(store.data_dir).collect(100, grace=0)
    assert not list(store.data_dir.rglob("*.avif"))
    assert await store.wrong() == []


@pytest.fixture
async def new(user: Client) -> NewImage:
    """Return what is known of a picture to be stored."""
    companion_id = UUID(await new_companion(user))
    return NewImage(companion_id=companion_id, user_id=UUID(user.user["id"]), original_bytes=100)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a picture that somebody has sent."""
    path = tmp_path / "source"
    path.write_bytes(picture(1))
    return path


async def test_files_that_go_again_and_again_are_told_as_such(
    service: ImageService, new: NewImage, source: Path
) -> None:
    service.files = HastyCollector(service.files.data_dir)
    async with service.prepared(source, kind="header") as prepared:
        with pytest.raises(FilesTakenError):
            await service.store(prepared, new)


async def test_word_is_left_of_files_whose_row_was_cut_off(
    service: ImageService, new: NewImage, source: Path
) -> None:
    reached = asyncio.Event()

    async def wait(_: Image) -> None:
        reached.set()
        await asyncio.Event().wait()

    async def store() -> None:
        async with service.prepared(source, kind="generated") as prepared:
            await service.store(prepared, new, within=wait)

    storing = asyncio.create_task(store())
    await asyncio.wait_for(reached.wait(), 20)
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing


async def test_word_is_left_of_files_whose_row_met_a_broken_connection(
    service: ImageService, new: NewImage, source: Path
) -> None:
    async def cut(_: Image) -> None:
        async with ENGINE.connection() as connection:
            connection.terminate()
        raise ConnectionResetError

    async with service.prepared(source, kind="generated") as prepared:
        with pytest.raises(ConnectionResetError):
            await service.store(prepared, new, within=cut)


async def test_an_error_is_not_hidden_by_a_database_that_is_away(
    store: Store,
    new: NewImage,
    image_processes: ImageProcesses,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = ImageService(FileStore(store.data_dir), image_processes, encoding=ENCODING, quota=1)

    async def refuse(_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("hub.domain.images.queries.note_removal", refuse)
    async with service.prepared(source, kind="header") as prepared:
        with pytest.raises(Exception, match="They may take 0 MB"):
            await service.store(prepared, new)
