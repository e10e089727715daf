"""The data folder: closed to others, its key never empty, folders that cannot be read passed over."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub.core.errors import StartError
from hub.storage import layout, removal, walk
from hub.storage.secret import read_or_make


def test_nobody_else_of_the_machine_may_look_at_who_has_pictures(tmp_path: Path) -> None:
    layout.prepare(tmp_path / "some" / "where")
    assert stat.S_IMODE((tmp_path / "some" / "where" / layout.UPLOADS).stat().st_mode) == 0o700


def test_a_key_is_made_once(tmp_path: Path) -> None:
    key = read_or_make(tmp_path)
    assert len(key) >= 32
    assert read_or_make(tmp_path) == key


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"\xff" * 64])
def test_a_key_that_anybody_could_guess_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret_key").write_bytes(content)
    with pytest.raises(StartError, match="secret_key"):
        read_or_make(tmp_path)


def test_a_folder_that_cannot_be_read_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout.prepare(tmp_path)
    for name in ("closed", "open"):
        (layout.companions_folder(tmp_path) / name).mkdir()
        (layout.companions_folder(tmp_path) / name / "file").touch()

    @contextmanager
    def refusing(data_dir: Path, folder: tuple[str, ...]) -> Iterator[int | None]:
        if folder == ("closed",):
            raise PermissionError(13, "Permission denied")
        with removal.opened(data_dir, folder) as place:
            yield place

    monkeypatch.setattr(walk, "opened", refusing)
    assert [(part.folder, len(part.entries)) for part in walk.walk(tmp_path)] == [(("open",), 1), ((), 0)]
