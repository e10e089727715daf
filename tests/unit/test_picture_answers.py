"""A picture whose file goes, or cannot be read, in the moment of the answer."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from hub.core.errors import HubError
from hub.domain.images.delivery import Delivery, Picture
from hub.domain.images.errors import ImageNotFoundError
from hub.domain.images.queries import StoredImage
from hub.domain.images.service import ImageService
from hub.storage import layout
from hub.storage.errors import StorageFailedError
from hub.storage.files import FileStore
from hub.storage.images import Encoding, ImageProcesses
from hub.storage.layout import Family
from hub.web.pictures import answer

ENCODING = Encoding(media_type="image/avif", quality=70, effort=0)


class GoingFiles(FileStore):
    """Files that are there when one looks, and not any more when one reads; or are no files at all."""

    def __init__(self, data_dir: Path, *, becomes_folder: bool) -> None:
        super().__init__(data_dir)
        self._becomes_folder = becomes_folder

    async def exists(self, path: Path) -> bool:
        """Say so of everything."""
        if self._becomes_folder:
            layout.companions_folder(self.data_dir).joinpath(path).mkdir(parents=True)
        return True


@pytest.mark.parametrize(
    ("becomes_folder", "error"), [(False, ImageNotFoundError), (True, StorageFailedError)]
)
async def test_a_file_that_goes_meanwhile_is_no_fault_of_the_database(
    tmp_path: Path, *, becomes_folder: bool, error: type[HubError]
) -> None:
    layout.prepare(tmp_path)
    files = GoingFiles(tmp_path, becomes_folder=becomes_folder)
    images = ImageService(files, ImageProcesses(), encoding=ENCODING, quota=None)
    stored = StoredImage(Family(uuid4(), "header", "0" * 64), "image/avif", "1" * 64)
    picture = Picture(stored, "full", "image/avif")
    with pytest.raises(error):
        await answer(Delivery(images), picture, {}, cache="private")
