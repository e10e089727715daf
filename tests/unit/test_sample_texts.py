"""The samples as they are written: the same in each language, adult, within what anybody may create."""

from __future__ import annotations

import re

import msgspec
import pytest

from hub.domain.companions.schemas import CreateCompanion
from hub.domain.samples.contents import LANGUAGES, samples_in
from hub.domain.samples.schemas import Language, Sample
from hub.storage.codec.painter.card import card, portrait
from hub.storage.codec.painter.chance import Chance
from hub.storage.codec.painter.words import mood_of

DRAW = (portrait, card)


def shape(sample: Sample) -> object:
    """Return all of a sample that is not a text in its language."""
    return (
        *(sample.key, sample.companion.name, sample.portrait, sample.picture),
        [(each.role, "**" in each.content, "\n\n" in each.content) for each in sample.conversation.messages],
        {name for name, value in msgspec.to_builtins(sample.companion).items() if value},
        re.findall(r"\d+", sample.companion.description),
    )


def test_languages_have_the_same_samples_in_other_words() -> None:
    first, *others = ([shape(each) for each in samples_in(language)] for language in LANGUAGES)
    assert len(first) == 2
    assert all(each == first for each in others)
    texts = [message.content for language in LANGUAGES for each in samples_in(language)
             for message in each.conversation.messages]  # fmt: skip
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_is_an_adult_whose_talk_anybody_could_have_had(language: Language) -> None:
    for sample in samples_in(language):
        msgspec.convert(msgspec.to_builtins(sample.companion), CreateCompanion)
        for text in (sample.companion.description, sample.companion.appearance):
            (age,) = map(int, re.findall(r"\b\d\d\b", text))
            assert age >= 25
        companion, messages = sample.companion, sample.conversation.messages
        assert messages[0].content == companion.greeting
        assert [each.role for each in messages] == ["assistant", "user", "assistant", "user", "assistant"]
        assert messages[sample.picture.message - 1].role == "assistant"
        assert any("**" in each.content for each in messages)
        texts = [
            *(each.content for each in messages),
            sample.companion.description,
            sample.companion.greeting,
        ]
        assert all(text == text.strip() and "  " not in text for text in texts)


def test_the_painter_knows_the_words() -> None:
    places = set()
    for sample in samples_in("en"):
        for painting in (sample.portrait, sample.picture):
            moods = {mood_of(painting.words, Chance(seed)) for seed in range(20)}
            (mood,) = moods  # nothing is left to chance
            places.add((mood.place, mood.time))
            texts = (sample.companion.name, painting.words)
            svgs = [each(seed=1, width=640, height=800, title=texts[0], captions=texts[1]) for each in DRAW]
            assert len(svgs[0]) < len(svgs[1]), "without words and band"
    assert len(places) == 4
