"""The scene from a model's answer: what real answers look like, good ones and bad ones."""

from __future__ import annotations

import json
import time
import unicodedata

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.prompts.budget import tokens
from hub.domain.prompts.prompts import Prompts
from hub.domain.scenes import analysis
from hub.domain.scenes.analysis import Findings, applied, news, read
from hub.domain.scenes.loose_json import MAX_DEPTH, Value, objects
from hub.domain.scenes.schemas import Scene, SceneDetails
from hub.providers.llm.protocol import ChatMessage

SCENE = Scene(outfit="a coat", location="a garden", action="watering", expression="a smile")
DETAILS = SceneDetails(lighting="dusk", is_user_present=True, visual_tags=("roses",))

WHOLE = {
    "outfit": "a red dress",
    "location": "the kitchen",
    "action": "stirring a pot of soup",
    "expression": "a wide smile",
    "lighting": "warm lamp light",
    "is_user_present": True,
    "visual_tags": ["steam", "copper pots"],
}
FOUND = Findings(**{**WHOLE, "visual_tags": ("steam", "copper pots")})  # type: ignore[arg-type] # by name
JSON = json.dumps(WHOLE)


class TestRequest:
    def ask(self, *texts: str, budget: int = 3072, user_name: str = "Sam") -> list[str]:
        talk = [
            ChatMessage(role="user" if at % 2 == 0 else "assistant", content=text)
            for at, text in enumerate(texts)
        ]
        asked = analysis.request(
            Prompts.load(), name="Mira", user_name=user_name, scene=SCENE, talk=talk, budget=budget
        )
        assert (asked.temperature, asked.max_tokens) == (0.2, 600)
        assert [message.role for message in asked.messages] == ["system", "user"]
        return [message.content for message in asked.messages]

    def test_it_tells_the_scene_and_the_last_four_messages(self) -> None:
        task, talk = self.ask("one", "two", "three", "four", "five")
        for word in ("Mira", "Sam", "a coat", "a garden", "watering", "a smile", "suitable for everyone"):
            assert word in task
        assert talk == "Mira: two\n\nSam: three\n\nMira: four\n\nSam: five"

    def test_it_asks_for_what_the_form_has(self) -> None:
        task, _ = self.ask("one")
        properties = analysis.SCHEMA.schema["properties"]
        assert isinstance(properties, dict)
        assert all(f'"{name}"' in task for name in properties)
        assert set(Findings.__struct_fields__) == set(properties)

    def test_no_talk_and_no_name_do_no_harm(self) -> None:
        task, talk = self.ask(user_name="")
        assert "the user" in task
        assert talk == ""

    @pytest.mark.parametrize("text", ["word ", "苔藓很软", "🫖", "\ud83d "])
    def test_long_messages_keep_their_end_and_the_budget(self, text: str) -> None:
        asked = self.ask(*(f"the beginning {text * 3000}the end" for _ in range(4)), budget=2000)
        assert sum(tokens(content) for content in asked) <= 2000 - analysis.MAX_TOKENS + 32
        assert asked[1].count("the end") == 4
        assert "the beginning" not in asked[1]


class TestGoodAnswers:
    @pytest.mark.parametrize(
        "text",
        [
            JSON,
            json.dumps(WHOLE, indent=2),
            json.dumps(WHOLE, ensure_ascii=False).replace('"outfit"', '\n"outfit"'),
            f"```json\n{JSON}\n```",
            f"```\n{JSON}```",
            f"Here is the scene as JSON:\n\n{JSON}\n\nLet me know if I can help with anything else {{sic}}!",
            f"Sure {{of course}}: {JSON}",
            f"I use {{ to begin with. {JSON}",
            f'<think>The user says {{"outfit": "a clown suit"}}, hm.</think>\n{JSON}',
            f'The mark of the beginning is gone {{"outfit": "x"}}</think>{JSON}',
            f"<thinking>\nshort\n</thinking>{JSON}",
            f"[{JSON}]",
            json.dumps({"scene": WHOLE}),
            json.dumps({"result": {"scene": [WHOLE]}, "user": {"outfit": "a suit"}}),
            json.dumps(
                {"scene": {k: WHOLE[k] for k in list(WHOLE)[:4]}, "d": {k: WHOLE[k] for k in list(WHOLE)[4:]}}
            ),
            repr(WHOLE),
            JSON[:-1] + ",}",
            JSON.replace("]", ",]"),
            JSON.replace('", "', '",\n// a comment\n"'),
            json.dumps(WHOLE, indent=1).replace(",\n", "\n"),
            "{" + ", ".join(f"{name}: {json.dumps(value)}" for name, value in WHOLE.items()) + "}",
            JSON[:-1],
            JSON.replace('{"outfit"', '{"outfit": "an older one", "outfit"'),
            f'{{"outfit": "a draft", "location": "x"}}\n{JSON}',
            f"{JSON}\nThat was: " + '{"outfit": "?"}',
            "\ufeff" + JSON,
            JSON.replace(" ", "\u00a0"),
        ],
    )
    def test_it_is_read_whole(self, text: str) -> None:
        assert read(text) == FOUND

    def test_other_spellings_of_the_names(self) -> None:
        text = """{"Outfit": "a red dress", "current_location": "the kitchen", "action_summary":
            "stirring a pot of soup", "facialExpression": "a wide smile", "LIGHTING": "warm lamp light",
            "isUserPresent": "Yes", "visualTags": "steam, copper pots, steam"}"""
        assert read(text) == FOUND

    @pytest.mark.parametrize(
        ("text", "outfit"),
        [
            ('{"outfit": "Mira\'s coat"}', "Mira's coat"),
            ("{'outfit': 'Mira's coat', 'location': 'a bar'}", "Mira's coat"),
            ("{outfit: Mira's coat, location: a bar}", "Mira's coat"),
            ('{"outfit": "a "little" black dress", "location": "a bar"}', 'a "little" black dress'),
            ('{"outfit": ["a shirt", "jeans", 3]}', "a shirt, jeans"),
            ('{"outfit": {"top": "a shirt", "bottom": "jeans", "n": null}}', "a shirt, jeans"),
            ('{"outfit": "a\\nred\\tdress\\u2028 with \\u201eroses\\u201c"}', "a red dress with „roses"),
            ('{"outfit": "**a red dress**"}', "a red dress"),
            ('{"outfit": "<b>a red dress</b><lora:dress:1>"}', "a red dress"),
            ('{"outfit": "A red dress."}', "A red dress"),
            ('{"outfit": "ein grüner Wollpullover"}', "ein grüner Wollpullover"),
            ('{"outfit": "赤いドレス"}', "赤いドレス"),
            ('{"outfit": "a dress \\ud83c\\udf39"}', "a dress 🌹"),
            ('{"outfit": "a dress \\ud83c"}', "a dress"),
            ('{"outfit": "a\\u0000 dress\\u202e"}', "a dress"),
            ('{"outfit": "a $name {description} dress"}', "a $name description dress"),
        ],
    )
    def test_values_become_plain_text(self, text: str, outfit: str) -> None:
        assert read(text).outfit == outfit


class TestBadAnswers:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            " \n",
            "I am sorry, but I cannot help with that.",
            "null",
            "[]",
            "{}",
            "[1, 2, 3]",
            '"outfit"',
            "{" * 100_000,
            "[" * 100_000,
            '{"a":' * 100_000,
            '{"outfit":[' * 30_000,
            "{'" * 50_000,
            '{"' + "\\" * 100_000,
            '{"outfit": "' + "x" * 100_000,
            "{" + "/*" * 50_000,
            "<think>" * 15_000,
            "<think>" + JSON,  # thought to the end of its tokens
            '{"outfit": "a red dr',
            '{"outfit": a red dr',
            '{"is_user_present": tru',
            '{"outfit": 3, "location": true, "action": null, "expression": [], "lighting": {}}',
            '{"outfit": "3", "location": "...", "action": "-", "expression": "?!", "lighting": "\\ud800"}',
            '{"is_user_present": "maybe", "outfit": NaN}',
            '{"is_user_present": 7, "outfit": -Infinity}',
            '{"clothing_of_the_user": "a suit"}',
            "\ud83d{",
            "\0" * 1000,
        ],
    )
    def test_it_says_nothing(self, text: str) -> None:
        assert applied(SCENE, DETAILS, read(text)) == (SCENE, DETAILS)

    @pytest.mark.parametrize(
        "word",
        [
            *(
                "",
                "-",
                "n/a",
                "N/A.",
                "unknown",
                "Unknown",
                "none",
                "None.",
                "same",
                "same as before",
                "(same)",
            ),
            *(
                "not specified",
                "Not mentioned",
                "unchanged",
                "no change",
                "unclear",
                "string",
                "…",
                "as usual",
            ),
            *(
                "Not mentioned in the conversation",
                "same as before the talk",
                "No change mentioned.",
                "unknown place",
            ),
            *("not explicitly stated", "Unchanged from earlier", "no specific lighting is described"),
            *("unbekannt", "keine Angabe", "unverändert", "desconocido", "inconnu", "不明"),
        ],
    )
    def test_words_that_say_nothing_keep_the_scene(self, word: str) -> None:
        text = json.dumps({**dict.fromkeys(WHOLE, word), "visual_tags": [word, "rain"]})
        assert applied(SCENE, DETAILS, read(text)) == (
            SCENE,
            msgspec.structs.replace(DETAILS, visual_tags=("rain",)),
        )

    @pytest.mark.parametrize(
        "word", ["an unknown city", "nothing but a towel", "no shoes, a dress", "sameday"]
    )
    def test_words_that_only_begin_so_are_findings(self, word: str) -> None:
        assert read(json.dumps({"location": word})).location == word

    @pytest.mark.parametrize("outfit", ["casual", "Casual.", "casual clothes", "Casual outfit"])
    def test_a_lazy_outfit_keeps_the_outfit(self, outfit: str) -> None:
        scene, _ = applied(SCENE, DETAILS, read(json.dumps({"outfit": outfit, "location": "casual"})))
        assert (scene.outfit, scene.location) == ("a coat", "casual")

    def test_a_hundred_kilobytes_are_cut(self) -> None:
        long = json.dumps(
            {"outfit": "silk " * 4000, "visual_tags": ["a tag " * 20] * 3 + [f"t{n}" for n in range(50)]}
        )
        found = read(long + " " * 100_000)
        assert 190 < len(found.outfit) <= analysis.MAX_LENGTH
        assert found.outfit.endswith("silk")
        assert found.visual_tags is not None
        assert len(found.visual_tags) == analysis.MAX_TAGS
        assert all(len(tag) <= analysis.MAX_TAG_LENGTH for tag in found.visual_tags)

    @pytest.mark.parametrize(
        "piece",
        ['{"', "{'", '{"a":', "{a:[", '"\\', "'  ", "<think>", "<", "/*", "//", ",", "{}", '{"a": b"', "</"],
    )
    def test_no_answer_takes_long(self, piece: str) -> None:
        began = time.process_time()
        read(piece * (200_000 // len(piece)))
        objects(piece * (100_000 // len(piece)))
        assert time.process_time() - began < 2, "a text is gone through once"


class TestApplied:
    def test_what_is_found_takes_the_place_of_what_was(self) -> None:
        assert applied(SCENE, DETAILS, read('{"location": "a boat", "is_user_present": false}')) == (
            msgspec.structs.replace(SCENE, location="a boat"),
            msgspec.structs.replace(DETAILS, is_user_present=False),
        )

    def test_tags_are_those_of_the_moment(self) -> None:
        assert applied(SCENE, DETAILS, read('{"visual_tags": []}'))[1].visual_tags == ()
        assert applied(SCENE, DETAILS, read('{"visual_tags": null}'))[1].visual_tags == ("roses",)

    def test_nothing_found_keeps_everything(self) -> None:
        assert applied(SCENE, DETAILS, Findings()) == (SCENE, DETAILS)


VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*WHOLE, "scene", "x"]) | st.text(), inner)
    ),
    max_leaves=20,
)
ANSWERS = (
    st.text()
    | VALUES.map(json.dumps)
    | VALUES.map(repr)
    | st.lists(st.sampled_from([*"{}[]:,\"'\\\n <>", "outfit", "think>", "true", "\ud800", "a b", "//"])).map(
        "".join
    )
    | st.builds(lambda cut: JSON[:cut], st.integers(0, len(JSON)))
)


def is_plain(text: str, limit: int) -> bool:
    return len(text) <= limit and not any(
        unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} or c in "<>{}`*" for c in text
    )


@settings(deadline=None, max_examples=100)
@given(ANSWERS)
def test_whatever_the_answer_the_scene_is_bounded_plain_text(text: str) -> None:
    scene, details = applied(SCENE, DETAILS, read(text))
    for value in (*msgspec.structs.astuple(scene), details.lighting):
        assert value
        assert is_plain(value, analysis.MAX_LENGTH)
    assert len(details.visual_tags) <= analysis.MAX_TAGS
    assert all(tag and is_plain(tag, analysis.MAX_TAG_LENGTH) for tag in details.visual_tags)
    msgspec.json.encode((scene, details))


def as_floats(value: object) -> Value:
    """Return what JSON holds as the reader gives it: every number a float."""
    if isinstance(value, dict):
        return {name: as_floats(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_floats(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value  # type: ignore[return-value]


JSON_VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_json_is_read_as_json(value: dict[str, object], ascii_only: bool, indent: int | str | None) -> None:  # noqa: FBT001 - given by name
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert objects(text) == [as_floats(json.loads(text))]


def test_nobody_nests_deeper() -> None:
    deep = '{"a":' * (MAX_DEPTH + 5) + "1" + "}" * (MAX_DEPTH + 5)
    assert len(objects(deep)) == 1


def test_what_repeats_the_scene_that_was_told_is_no_finding() -> None:
    findings = read('{"outfit": "A Green Coat", "location": "the roof", "action": "", "lighting": "dusk"}')
    scene = Scene(outfit="a green coat", location="the hall", action="waiting", expression="calm")
    assert news(findings, scene) == Findings(location="the roof", lighting="dusk")
