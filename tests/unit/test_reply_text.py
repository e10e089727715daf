"""The text of a reply while it grows: what is shown piece by piece is what is stored."""

from __future__ import annotations

import random

import pytest

from hub.domain.chat.reply_text import ReplyText, joined

SEAMS = [
    ("Once upon a", "time", "Once upon a time"),
    ("I walk,", "and I sing", "I walk, and I sing"),
    ("She nods.", "Then she", "She nods. Then she"),
    ("*nods*", "Yes", "*nods* Yes"),
    ("He said", "“yes”", "He said “yes”"),
    ("I walk", ", and I sing", "I walk, and I sing"),
    ("I walk", "…", "I walk…"),
    ("I walk", " on", "I walk on"),
    ("I walk ", "on", "I walk on"),
    ("I walk ", "\n on", "I walk on"),
    ("She nods.", "\n\nThen she", "She nods.\n\nThen she"),
    ("well-", "known", "well-known"),
    ("He said: “", "Yes", "He said: “Yes"),
    ("花が", "咲く", "花が咲く"),
    ("You have 3", "cats", "You have 3 cats"),
]


@pytest.mark.parametrize(("prefix", "text", "whole"), SEAMS)
def test_a_seam_reads_as_one_text(prefix: str, text: str, whole: str) -> None:
    assert prefix + joined(prefix, text) == whole


@pytest.mark.parametrize(("prefix", "text", "whole"), SEAMS)
def test_however_it_comes_it_is_the_same_text(prefix: str, text: str, whole: str) -> None:
    rng = random.Random(text)
    for _ in range(20):
        written, shown, rest = ReplyText(prefix), "", text + " \n"
        while rest:
            cut = rng.randrange(1, len(rest) + 1)
            before = written.length
            piece, rest = written.add(rest[:cut]), rest[cut:]
            assert before == len(prefix) + len(shown)
            shown += piece
        assert str(written) == prefix + shown == whole
        assert written.length == len(whole)
        assert not written.is_empty


def test_white_space_alone_is_nothing() -> None:
    for prefix in ("", "Once", "Once "):
        written = ReplyText(prefix)
        assert written.add(" \n") == ""
        assert written.is_empty
        assert str(written) == prefix


def test_a_plain_reply_begins_with_its_first_word() -> None:
    written = ReplyText()
    assert [written.add(piece) for piece in ("\n ", " Once ", "upon", " ")] == ["", "Once", " upon", ""]
    assert str(written) == "Once upon"
