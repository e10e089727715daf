"""What people type to search, and what a snippet shows of a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.archive.words import SNIPPET, parse, snippet


def read(text: str) -> list[list[str]]:
    return [
        [("" if term.wanted else "-") + term.text for term in terms] for terms in parse(text).alternatives
    ]


@pytest.mark.parametrize(
    ("text", "alternatives"),
    [
        ("moss fern", [["moss", "fern"]]),
        ('"moss and fern" rain', [["moss and fern", "rain"]]),
        ("moss -fern", [["moss", "-fern"]]),
        ('moss -"wet fern"', [["moss", "-wet fern"]]),
        ("moss or fern OR rain", [["moss"], ["fern"], ["rain"]]),
        ('"moss', [["moss"]]),
        ('wet"old moss"', [["wet", "old moss"]]),
        ("or or", []),
        ('- "" & | ! ( ) * :', []),
        ("🦊", [["🦊"]]),
        ("   ", []),
    ],
)
def test_what_is_typed_is_read_as_people_mean_it(text: str, alternatives: list[list[str]]) -> None:
    assert read(text) == alternatives


@pytest.mark.parametrize("text", ["苔藓", "コケ", "มอส", "ຄວາມ", "កខ", "မြန်မာ", "moss 苔"])
def test_scripts_without_blanks_are_known(text: str) -> None:
    assert parse(text).is_unspaced


@pytest.mark.parametrize("text", ["moss", "мох", "이끼", "طحلب", "-苔 moss", "βρύο"])
def test_scripts_with_blanks_are_searched_by_words(text: str) -> None:
    assert not parse(text).is_unspaced


def shown(content: str, text: str, *, parts: bool = False) -> tuple[str, list[str]]:
    found = snippet(content, parse(text), parts=parts)
    return found.text, [found.text[start:end] for start, end in found.highlights]


def test_a_short_text_is_shown_whole() -> None:
    assert shown("Moss likes\nrain, moss!", "moss") == ("Moss likes rain, moss!", ["Moss", "moss"])


def test_a_long_text_is_cut_around_the_first_hit() -> None:
    text, hits = shown("x " * 500 + "wet moss here" + " y" * 500, '"wet moss" here')
    assert text.startswith("…x x")
    assert text.endswith("y …")
    assert len(text) <= SNIPPET + 2
    assert hits == ["wet moss", "here"]


def test_words_are_whole_words_unless_parts_are_looked_for() -> None:
    assert shown("mossy moss", "moss")[1] == ["moss"]
    assert shown("mossy moss", "moss", parts=True)[1] == ["moss", "moss"]


def test_what_stands_between_the_words_of_a_phrase_does_not_matter() -> None:
    assert shown("wet,  old\nmoss", '"wet old moss"')[1] == ["wet,  old moss"]


def test_what_is_not_wanted_is_not_marked() -> None:
    assert shown("moss and fern", "moss -fern")[1] == ["moss"]


@given(st.text(max_size=600), st.text(min_size=1, max_size=40), st.booleans())
def test_every_text_has_a_snippet_whose_marks_lie_in_it(content: str, text: str, parts: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    found = snippet(content, parse(text), parts=parts)
    assert len(found.text) <= SNIPPET + 2
    assert "\n" not in found.text
    assert all(0 <= start < end <= len(found.text) for start, end in found.highlights)
    if text in content and parse(text).wanted == [text]:
        assert found.highlights or not parts
