"""A file of few messages can hold very many texts: what is stored, and kept in memory for it, has bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.core.errors import FieldError
from hub.domain.archive.reading import Entries, check


def write(path: Path, swipes: int, *, lines: int) -> Path:
    """Write a chat of SillyTavern in which each of the lines has so many texts."""
    line = json.dumps({"mes": "x", "swipes": ["a"] * (swipes - 1), "swipe_id": swipes})
    path.write_text("\n".join([json.dumps({"user_name": "u", "character_name": "c"}), *[line] * lines]))
    return path


def test_a_message_has_so_many_texts(tmp_path: Path) -> None:
    assert check(write(tmp_path / "file", 10_000, lines=1)).messages == 1
    with pytest.raises(FieldError) as told:
        check(write(tmp_path / "file", 10_002, lines=1))
    assert told.value.errors[0].pointer.startswith("/2/swipes")


def test_a_file_has_so_many_texts(tmp_path: Path) -> None:
    assert check(write(tmp_path / "file", 10_000, lines=19)).messages == 19
    with pytest.raises(FieldError, match="200,000"):
        check(write(tmp_path / "file", 10_000, lines=21))


def test_messages_with_many_texts_are_taken_a_few_at_a_time(tmp_path: Path) -> None:
    entries = Entries(write(tmp_path / "file", 600, lines=5))
    taken = []
    while batch := entries.take(1000):
        taken.append(len(batch))
    assert taken == [2, 2, 1]
