"""The data folder that a restore fills."""

from __future__ import annotations

from pathlib import Path

from hub.backup.staging import Staging, staging_in
from hub.storage.secret import key_file


def place(data_dir: Path, key: bytes) -> None:
    with staging_in(data_dir) as staging:
        staging.clear()
        staging.begin("secret_key", len(key))(key)
        staging.close()
        staging.place("token")
        staging.finish()


def test_a_key_that_was_there_is_kept(tmp_path: Path) -> None:
    old, new = "o" * 64, "n" * 64
    key_file(tmp_path).write_text(old)
    for _ in range(2):
        place(tmp_path, new.encode())
        assert key_file(tmp_path).read_text() == new
        assert (tmp_path / "secret_key.before-restore").read_text() == old
    assert not Staging(tmp_path).folder.exists()
