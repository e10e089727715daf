"""Cards as SVG: what words choose, what becomes of letters, and that no word is ever markup."""
# ruff: noqa: RUF001 - letters that look alike are what this is about

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.storage.codec.painter.card import card
from hub.storage.codec.painter.chance import Chance
from hub.storage.codec.painter.typesetting import legible, width, wrapped
from hub.storage.codec.painter.words import PLACES, TIMES, mood_of

SHAPES = {"svg", "defs", "linearGradient", "radialGradient", "stop", "g", "path", "rect", "ellipse"}
#: All that an attribute may say: numbers, path commands, colours, paints of the same sheet, transforms.
HARMLESS = re.compile(
    r"[-0-9. MLHVCSQAZh]*|#[0-9a-f]{6}|none|round|p\d+|url\(#p\d+\)"
    r"|((translate|scale|rotate)\([-0-9. ]+\) ?)+"
)
HOSTILE = (
    "</text><image href='http://127.0.0.1:1/x'/>",
    '"/><script>alert(1)</script>&xxe;<!ENTITY xxe SYSTEM "file:///etc/passwd">',
    "]]><!-- \x01\x02\x1b[31m \u202e\u2066 \ud7ff\ufffe",
    "👩‍🚀🔥 مرحبا 你好 こんにちは",
    "e" + "\u0301" * 400,
    "M0 0h9" * 80,
)


def painted(title: str, *captions: str, seed: int = 7, size: tuple[int, int] = (832, 1216)) -> str:
    return card(seed=seed, width=size[0], height=size[1], title=title, captions=captions)


def assert_harmless(svg: str) -> None:
    assert svg.isascii()
    for element in ET.fromstring(svg).iter():
        assert element.tag.removeprefix("{http://www.w3.org/2000/svg}") in SHAPES
        assert not (element.text or "").strip()
        for value in element.attrib.values():
            assert HARMLESS.fullmatch(value), value


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("size", [(832, 1216), (1216, 832), (64, 64), (2048, 64)])
def test_no_word_is_ever_markup(text: str, size: tuple[int, int]) -> None:
    assert_harmless(painted(text, text, text, size=size))


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=120), st.lists(st.text(max_size=60), max_size=6), st.integers(0, 2**32 - 1))
def test_whatever_is_written_there_is_a_card(title: str, captions: list[str], seed: int) -> None:
    assert_harmless(painted(title, *captions, seed=seed))


def test_every_place_at_every_time_can_be_painted() -> None:
    drawn = {painted("Ada", place, time) for place in PLACES for time in TIMES}
    assert len(drawn) == len(PLACES) * len(TIMES)
    for svg in drawn:
        assert_harmless(svg)


@pytest.mark.parametrize(
    ("captions", "place", "time", "cut"),
    [
        (("a red summer dress", "a quiet beach at sunset"), "sea", "dusk", "straps"),
        (("Green HOODIE", "in the forest, by moonlight", "camping"), "forest", "night", "hood"),
        (("suit", "a rooftop over the city", "city lights after midnight"), "city", "night", "collar"),
        (("sweater", "Kitchen, early morning"), "kitchen", "dawn", "high"),
        (("t-shirt", "café on a rainy day", "in the rain"), "cafe", "grey", "round"),
        (("", "on stage", "at noon"), "stage", "night", None),
    ],
)
def test_words_choose_what_is_painted(
    captions: tuple[str, ...], place: str, time: str, cut: str | None
) -> None:
    for seed in range(5):
        mood = mood_of(captions, Chance(seed))
        assert (mood.place, mood.time) == (place, time)
        assert cut in {mood.cut, None}


def test_clothes_have_the_colour_that_is_written_there() -> None:
    red, blue = (mood_of((f"a {name} shirt",), Chance(1)).dye for name in ("crimson", "navy"))
    assert red.red > 2 * red.blue
    assert blue.blue > 2 * blue.red


def test_without_a_known_word_chance_decides() -> None:
    moods = [mood_of(("qwertz",), Chance(seed)) for seed in range(40)]
    assert len({mood.place for mood in moods}) > 3
    assert len({mood.cut for mood in moods}) > 3


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("Zoë Ångström-Łuković, naïve façade ½", "Zoë Ångström-Łuković, naïve façade 1/2"),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("smile 😀 please\n\tnow", "smile please now"),
        ("abc\u202edef\x01", "abcdef"),
        ("Привет, Ёжик", "Привет, Ёжик"),
        ("Αθήνα", "Αθήνα"),
        ("李明", ""),
        ("مرحبا Bob", ""),
        ("★★★", ""),
        ("", ""),
    ],
)
def test_what_can_be_drawn_of_a_text(text: str, drawn: str) -> None:
    assert legible(text) == drawn


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab WIl.é…", max_size=200), st.floats(60, 600), st.integers(1, 4))
def test_lines_never_leave_their_room(text: str, room: float, most: int) -> None:
    plain = legible(text)
    lines = wrapped(plain, room, 20.0, most)
    assert len(lines) <= most
    assert all(width(line, 20.0) <= room + 0.01 for line in lines)
    if not lines or not lines[-1].endswith("…"):
        assert "".join(lines).replace(" ", "") == plain.replace(" ", "")
