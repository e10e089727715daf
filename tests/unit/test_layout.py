"""The data folder: made where it is missing, closed where a clone left it open."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.storage import layout


@pytest.mark.parametrize(("as_found", "afterwards"), [(0o755, 0o700), (0o750, 0o750), (0o700, 0o700)])
def test_a_folder_that_a_clone_left_open_is_closed(tmp_path: Path, as_found: int, afterwards: int) -> None:
    uploads = tmp_path / "data" / "uploads"
    uploads.mkdir(parents=True)
    uploads.chmod(as_found)
    layout.prepare(tmp_path / "data")
    assert uploads.stat().st_mode & 0o777 == afterwards
    assert layout.companions_folder(tmp_path / "data").stat().st_mode & 0o777 == 0o700
