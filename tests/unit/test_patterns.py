"""Texts made to keep a pattern busy: each is judged at once, for a process does nothing else meanwhile."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from hub.core.errors import FieldError
from hub.core.etags import Expected
from hub.core.text import NOT_BLANK
from hub.domain.archive.words import parse, snippet
from hub.domain.chat.schemas import SendMessage
from hub.web.etags import expected

#: Seconds that take care of a slow machine; what is caught here takes many times as long.
AT_ONCE = 1.0


@contextmanager
def at_once() -> Iterator[None]:
    begun = time.process_time()
    yield
    assert time.process_time() - begun < AT_ONCE


@pytest.mark.parametrize("text", ["x" * 25_000 + "\0", " " * 25_000 + "\0", " " * 25_000])
def test_a_long_text_that_is_none_is_refused_at_once(text: str) -> None:
    with at_once(), pytest.raises(msgspec.ValidationError):
        msgspec.convert({"content": text}, SendMessage)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("x", True),
        (" \n x \n ", True),
        ("\n\n", False),
        ("", False),
        ("x\0", False),
        ("\0x", False),
        ("x\n", True),
    ],
)
def test_a_text_has_more_than_white_space_and_no_nul(text: str, is_one: bool) -> None:  # noqa: FBT001 - a case
    assert (re.search(NOT_BLANK, text) is not None) == is_one


@pytest.mark.parametrize("parts", [True, False])
@pytest.mark.parametrize(
    "words",
    ['"a ! ! ! ! ! ! zzz"', '"a !! !! !! !! !! zzz"', '"a !a! !! !a! !! zzz"', '"a' + " !" * 90 + ' zzz"'],
)
def test_a_phrase_with_much_that_is_no_word_is_found_at_once(words: str, parts: bool) -> None:  # noqa: FBT001 - a case
    with at_once():
        found = snippet("a " + "!" * 60 + "b" + "a!" * 30 + "b a zzz", parse(words), parts=parts)
    assert found.text


@pytest.mark.parametrize("gaps", [",  " * 14, ",\t \t" * 9, "," * 1000, " " * 1900])
def test_entity_tags_with_wide_gaps_are_read_at_once(gaps: str) -> None:
    with at_once():
        assert expected(f'"a"{gaps}, "b"') == Expected(frozenset({'"a"', '"b"'}))
        with pytest.raises(FieldError):
            expected(f'"a"{gaps}!')
