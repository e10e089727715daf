"""What image servers are told: the scene, an adult always, the policy always, and the same again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.painting.prompt import (
    MAX_LENGTH,
    Subject,
    completed,
    completed_negative,
    picture_prompt,
)
from hub.domain.prompts.prompts import Prompts
from hub.domain.scenes.schemas import Scene, SceneDetails

PROMPTS = Prompts.load()
SCENE = Scene(outfit="a coat", location="a garden", action="watering", expression="a smile")


def subject(*, appearance: str = "red hair", scene: Scene = SCENE, **details: object) -> Subject:
    return Subject(
        name="Mira",
        appearance=appearance,
        user_appearance="a tall man",
        scene=scene,
        details=SceneDetails(**details),  # type: ignore[arg-type] # the fields, by name
    )


class TestPicturePrompt:
    def test_it_tells_the_scene_as_tags_of_an_adult(self) -> None:
        told = picture_prompt(PROMPTS, subject(lighting="soft light", visual_tags=("roses", "rain")))
        tags = told.prompt.split(", ")
        assert (tags[0], tags[-1]) == ("adult", "suitable for everyone")
        for tag in ("red hair", "wearing a coat", "watering", "a garden", "soft light", "roses", "rain"):
            assert tag in tags
        assert "a smile" in told.prompt
        assert "tall man" not in told.prompt

    def test_the_user_is_painted_where_it_is_present(self) -> None:
        assert "another adult: a tall man" in picture_prompt(PROMPTS, subject(is_user_present=True)).prompt

    def test_what_is_empty_leaves_no_hole(self) -> None:
        scene = Scene(outfit="", location="", action=" ", expression="")
        told = picture_prompt(PROMPTS, subject(appearance="\n", scene=scene))
        assert told.prompt == "adult, high quality, detailed portrait, suitable for everyone"

    def test_lines_become_one(self) -> None:
        told = picture_prompt(PROMPTS, subject(appearance="red hair,\r\n green eyes.\n"))
        assert "red hair, green eyes, wearing" in told.prompt

    def test_what_is_never_painted_is_said(self) -> None:
        negative = picture_prompt(PROMPTS, subject()).negative_prompt
        assert negative.startswith("child, minor, underage, ")
        assert "blurry" in negative

    def test_own_templates_change_the_words_but_not_what_holds_for_all(self, tmp_path: Path) -> None:
        (tmp_path / "picture.txt").write_text("watercolour of $name\n\n$location\n")
        (tmp_path / "picture_negative.txt").write_text("")
        told = picture_prompt(Prompts.load(tmp_path, policy="for museums"), subject())
        assert told.prompt == "adult, watercolour of Mira, a garden, for museums"
        assert told.negative_prompt == "child, minor, underage"

    def test_everything_long_keeps_a_share_of_each(self) -> None:
        long = Scene(outfit="o " * 4000, location="l " * 4000, action="a " * 4000, expression="e " * 4000)
        tags = tuple("t " * 20 for _ in range(50))
        told = picture_prompt(
            PROMPTS,
            Subject(
                name="n" * 100,
                appearance="h " * 4000,
                user_appearance="u" * 4000,
                scene=long,
                details=SceneDetails(lighting="i " * 200, is_user_present=True, visual_tags=tags),
            ),
        )
        assert len(told.prompt) <= MAX_LENGTH
        for word in ("h h h", "o o o", "l l l", "a a a", "e e e", "i i i", "t t t", "uuu"):
            assert word in told.prompt
        assert told.prompt.endswith(", suitable for everyone")


WORDS = st.text() | st.lists(
    st.sampled_from(
        [
            "adult",
            "adult, ",
            ", ",
            " ",
            ",",
            "suitable for everyone",
            "child, minor, underage",
            "x" * 1990,
            "a fox",
        ]
    )
).map("".join)


class TestCompleted:
    def test_own_words_stay_as_they_are(self) -> None:
        own = "a (red:1.2)  fox,\nin $snow"
        assert completed(PROMPTS, own) == f"adult, {own}, suitable for everyone"
        assert completed_negative(PROMPTS, own) == f"child, minor, underage, {own}"

    @pytest.mark.parametrize(
        "words", ["", " ", "adult", "suitable for everyone", "adult, suitable for everyone"]
    )
    def test_what_holds_for_all_is_said_once(self, words: str) -> None:
        assert completed(PROMPTS, words) == "adult, suitable for everyone"

    @pytest.mark.parametrize("words", ["no adult", "adulthood, a child", "a child, suitable for everyone"])
    def test_words_that_only_look_like_it_do_not_count(self, words: str) -> None:
        told = completed(PROMPTS, words)
        assert told.startswith("adult, ")
        assert told.endswith(", suitable for everyone")

    @settings(deadline=None, max_examples=50)
    @given(WORDS)
    def test_again_is_the_same(self, words: str) -> None:
        once = completed(PROMPTS, words)
        assert completed(PROMPTS, once) == once
        assert once.startswith("adult, ")
        assert once.endswith(", suitable for everyone")
        assert len(once) <= MAX_LENGTH

    @settings(deadline=None, max_examples=50)
    @given(WORDS)
    def test_again_is_the_same_for_what_is_not_to_be_seen(self, words: str) -> None:
        once = completed_negative(PROMPTS, words)
        assert completed_negative(PROMPTS, once) == once
        assert once.startswith("child, minor, underage")
        assert len(once) <= MAX_LENGTH
