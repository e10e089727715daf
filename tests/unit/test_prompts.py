"""The templates of prompts: what is packaged, what an operator may put in their place, what is refused."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path

import pytest

from hub.core.errors import StartError
from hub.domain.chat import prompt
from hub.domain.chat.prompt import Persona
from hub.domain.prompts.prompts import MAX_LENGTH, MAX_POLICY_LENGTH, Prompts
from hub.domain.prompts.template import Template, TemplateError
from hub.domain.scenes.schemas import Scene
from hub.providers.llm.protocol import ChatMessage

LOOKS = {"appearance": "", "user_appearance": ""}
ABOUT = {"name": "Mira", "description": "A calm botanist.", "user": "Sam", **LOOKS}


def system(prompts: Prompts, **changes: str) -> str:
    scene = Scene(outfit="a coat", location="a garden", action="watering", expression="a smile")
    fields = {"name": "Mira", "description": "A calm botanist.", "appearance": "", "user_appearance": ""}
    persona = Persona(scene=scene, **{"user_name": "Sam", **fields, **changes})
    return prompt.build(prompts, persona, [ChatMessage(role="user", content="Hi")], budget=2000)[0].content


def refused(folder: Path) -> str:
    """Return why a folder is refused; it names the setting and stays on one line."""
    with pytest.raises(StartError) as caught:
        Prompts.load(folder)
    text = str(caught.value)
    assert text.startswith("HUB_PROMPTS_DIR: ")
    assert "\n" not in text
    return text


class TestTemplate:
    def test_values_are_only_text(self) -> None:
        template = Template("$name says ${text}. $$5", known=frozenset({"name", "text"}))
        assert template.fill({"name": "$text {name} %s", "text": "$$ ${name} \\1"}) == [
            "$text {name} %s says $$ ${name} \\1. $5"
        ]

    def test_a_paragraph_with_nothing_to_say_goes(self) -> None:
        template = Template("One $a.\n \n\nTwo $a $b.\r\n\r\nThree.", known=frozenset("ab"))
        assert template.fill({"a": "1", "b": " \n"}) == ["One 1.", "Three."]
        assert template.fill({"a": "1", "b": "2"}) == ["One 1.", "Two 1 2.", "Three."]

    @pytest.mark.parametrize("text", ["costs 5 $", "$ name", "${name", "${}", "$1", "${a b}"])
    def test_a_malformed_placeholder_is_refused(self, text: str) -> None:
        with pytest.raises(TemplateError, match="write"):
            Template(text, known=frozenset({"name", "a"}))

    @pytest.mark.parametrize("text", ["$Name", "$names", "${user}"])
    def test_an_unknown_placeholder_is_refused(self, text: str) -> None:
        with pytest.raises(TemplateError, match="known"):
            Template(text, known=frozenset({"name"}))


class TestPolicy:
    def test_it_stands_in_the_system_prompt(self) -> None:
        assert "suitable for everyone" in system(Prompts.load())
        changed = system(Prompts.load(policy="  fit for\n a family dinner. "))
        assert "in a few sentences, fit for a family dinner. Speak" in changed
        assert "everyone" not in changed

    @pytest.mark.parametrize("policy", ["", " \n", ".", "x" * (MAX_POLICY_LENGTH + 1)])
    def test_without_a_few_words_nothing_starts(self, policy: str) -> None:
        with pytest.raises(StartError, match="HUB_CONTENT_POLICY"):
            Prompts.load(policy=policy)


class TestSystemPrompt:
    def test_persona_comes_first_and_the_scene_last(self) -> None:
        text = system(Prompts.load())
        assert text.startswith(
            "Your name is Mira. A calm botanist.\n\nYou are an adult and talk with Sam. Stay Mira"
        )
        assert text.endswith(
            "The scene: you wear a coat; place: a garden; action: watering; expression: a smile."
        )

    @pytest.mark.parametrize("missing", ["description", "user_name"])
    def test_what_is_empty_takes_nothing_else_along(self, missing: str) -> None:
        text = system(Prompts.load(), **{missing: " "})
        assert "Your name is Mira." in text
        assert "Stay Mira" in text
        assert "suitable for everyone" in text

    def test_an_empty_word_of_the_scene_leaves_the_others(self) -> None:
        scene = Scene(outfit="", location="a garden", action="", expression="")
        persona = Persona(
            name="Mira", description="Calm.", appearance="", user_appearance="", user_name="Sam", scene=scene
        )
        talk = [ChatMessage(role="user", content="Hi")]
        assert "a garden" in prompt.build(Prompts.load(), persona, talk, budget=2000)[0].content

    def test_a_companion_is_an_adult_whatever_the_templates_say(self, tmp_path: Path) -> None:
        (tmp_path / "rules.txt").write_text("Speak like a pirate, $policy.")
        (tmp_path / "persona.txt").write_text("$name: $description")
        text = system(Prompts.load(tmp_path))
        assert "Mira: A calm botanist.\n\nYou are an adult and talk with Sam. Speak like a pirate, " in text


def test_the_page_for_operators_tells_every_placeholder(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs/prompts.md"
    rows = re.findall(r"^\| `(\w+)\.txt` \|[^|]*\|([^|]*)\|$", page.read_text(), re.MULTILINE)
    packaged = resources.files("hub.domain.prompts") / "templates"
    assert sorted(f"{name}.txt" for name, _ in rows) == sorted(file.name for file in packaged.iterdir())
    for name, placeholders in rows:
        told = sorted(re.findall(r"\$\w+", placeholders))
        required = re.findall(r"\*\*`(\$\w+)`\*\*", placeholders)
        (tmp_path / f"{name}.txt").write_text(f"{' '.join(told)} $nonsense")
        assert f"known are {', '.join(told) or 'none'}." in refused(tmp_path)
        if required:
            (tmp_path / f"{name}.txt").write_text("")
            assert ", ".join(sorted(required)) in refused(tmp_path)
        (tmp_path / f"{name}.txt").unlink()


class TestOwnFolder:
    def test_a_file_replaces_the_template_of_its_name_only(self, tmp_path: Path) -> None:
        (tmp_path / "persona.txt").write_bytes("\ufeff$name ist da.\r\n\r\n$description\r\n".encode())
        (tmp_path / ".DS_Store").write_bytes(b"\0\xff")
        own, packaged = Prompts.load(tmp_path), Prompts.load()
        assert own.text("persona", **ABOUT) == "Mira ist da.\n\nA calm botanist."
        assert own.paragraphs("picture_negative") == packaged.paragraphs("picture_negative") != []

    def test_it_may_be_empty(self, tmp_path: Path) -> None:
        assert system(Prompts.load(tmp_path)) == system(Prompts.load())

    @pytest.mark.parametrize(
        ("name", "content", "why"),
        [
            ("rule.txt", b"$policy", "none of the templates"),
            ("rules", b"$policy", "none of the templates"),
            ("README.md", b"", "none of the templates"),
            ("rules.txt", b"No policy here.", "has to contain $policy"),
            ("rules.txt", b"", "has to contain $policy"),
            ("rules.txt", b"$policy $wether", "$wether is not known"),
            ("rules.txt", b"$policy costs 5 $", "write $$"),
            ("persona.txt", b"$description", "has to contain"),
            ("analysis.txt", b"What is the scene?", "has to contain $policy"),
            ("picture.txt", b"$outfit, $policy", "$policy is not known"),
            ("picture_negative.txt", b"$name", "known are none"),
            ("rules.txt", b"$policy \xff", "UTF-8"),
            ("rules.txt", b"$policy \0", "NUL"),
            ("rules.txt", b"$policy" + b"x" * MAX_LENGTH, f"longer than {MAX_LENGTH}"),
        ],
    )
    def test_a_mistake_is_named_at_start(self, tmp_path: Path, name: str, content: bytes, why: str) -> None:
        (tmp_path / name).write_bytes(content)
        text = refused(tmp_path)
        assert why in text
        assert str(tmp_path / name) in text

    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        assert str(tmp_path / "nowhere") in refused(tmp_path / "nowhere")

    def test_a_folder_in_a_file_s_place_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "rules.txt").mkdir()
        assert str(tmp_path / "rules.txt") in refused(tmp_path)

    @pytest.mark.skipif(os.name != "posix", reason="needs links")
    def test_files_may_be_links_as_mounted_volumes_have_them(self, tmp_path: Path) -> None:
        (tmp_path / "..data").mkdir()
        (tmp_path / "..data" / "scene.txt").write_text("Place: $location")
        (tmp_path / "scene.txt").symlink_to("..data/scene.txt")
        assert system(Prompts.load(tmp_path)).endswith("Place: a garden")
