"""The pure parts of a turn: the text of a reply, the prompt, cursors of lists, pauses, packing of events."""

from __future__ import annotations

import base64
import contextlib
import random
import uuid
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from hub.core.errors import FieldError
from hub.core.pages import TimeCursor, decode_position, encode_position
from hub.domain.chat import prompt
from hub.domain.chat.prompt import Persona
from hub.domain.chat.reply_text import ReplyText
from hub.domain.prompts.budget import MESSAGE_OVERHEAD, tokens
from hub.domain.prompts.prompts import Prompts
from hub.domain.scenes.schemas import Scene
from hub.jobs.contracts import MAX_ATTEMPTS, retry_delay
from hub.live import bus
from hub.live.events import Changed, Delta, Event, JobCancelled, UserSignedOut, decoder
from hub.providers.llm.protocol import ChatMessage

PROMPTS = Prompts.load()

SCRIPTS = {
    "english": "The moss is soft and the lamp is warm. ",
    "german": "Grüße aus dem Gewächshaus, schöne Übergänge. ",
    "russian": "Мох мягкий, лампа тёплая. ",  # noqa: RUF001 - the script is the point
    "chinese": "苔藓很软，灯很暖。",  # noqa: RUF001 - the script is the point
    "japanese": "苔はやわらかく、灯りはあたたかい。",
    "hindi": "काई नरम है और दीपक गरम है। ",
    "arabic": "الطحلب ناعم والمصباح دافئ. ",
    "emoji": "🫖👩‍👩‍👧‍👦🏳️‍🌈 ",
    "controls": "\x00\x01\x1f\u2028\u200b ",
    "surrogates": "\ud83d\udc00 ",
}


class TestReplyText:
    def test_white_space_at_both_ends_is_never_shown(self) -> None:
        text = ReplyText()
        shown = [text.add(piece) for piece in (" \n", " Hello", " ", "\n", "you ", "", "  ", "\t")]
        assert shown == ["", "Hello", "", "", " \nyou", "", "", ""]
        assert str(text) == "Hello \nyou"

    def test_nothing_but_white_space_is_nothing(self) -> None:
        text = ReplyText()
        assert [text.add(piece) for piece in (" ", "\n\n", "\u3000")] == ["", "", ""]
        assert (str(text), text.length) == ("", 0)

    @pytest.mark.parametrize("seed", range(50))
    def test_what_was_shown_is_what_is_stored(self, seed: int) -> None:
        rng = random.Random(seed)
        text, shown, whole = ReplyText(), "", ""
        for _ in range(rng.randrange(40)):
            piece = "".join(rng.choices(" \n\té中🫖ab", k=rng.randrange(5)))
            assert text.length == len(shown)
            shown += text.add(piece)
            whole += piece
            assert str(text) == shown
        assert shown == whole.strip()


def persona(**changes: str) -> Persona:
    scene = Scene(outfit="a coat", location="a garden", action="watering", expression="a smile")
    fields = {
        "name": "Mira",
        "description": "A calm botanist.",
        "appearance": "",
        "user_appearance": "",
        "user_name": "Sam",
    }
    return Persona(scene=scene, **{**fields, **changes})


def talk(*texts: str) -> list[ChatMessage]:
    """Return a talk that ends with the user's message."""
    last = len(texts) - 1
    return [
        ChatMessage(role="user" if (last - at) % 2 == 0 else "assistant", content=text)
        for at, text in enumerate(texts)
    ]


def size(messages: tuple[ChatMessage, ...]) -> int:
    return sum(tokens(message.content) for message in messages)


class TestPrompt:
    def test_a_short_talk_is_told_whole_and_in_order(self) -> None:
        said = talk("Hi", "Hello!", "How are you?")
        built = prompt.build(PROMPTS, persona(), said, budget=2000)
        assert list(built[1:]) == said
        assert built[0].role == "system"
        for word in ("Mira", "botanist", "Sam", "a coat", "a garden", "watering", "a smile"):
            assert word in built[0].content

    def test_appearances_are_told_where_there_are_any(self) -> None:
        built = prompt.build(
            PROMPTS, persona(appearance="red hair", user_appearance="tall"), talk("Hi"), budget=2000
        )
        assert "red hair" in built[0].content
        assert "tall" in built[0].content

    def test_braces_in_what_people_write_are_only_text(self) -> None:
        built = prompt.build(
            PROMPTS, persona(name="{user}", description="{name} {0} %s"), talk("{x}"), budget=2000
        )
        assert "{name} {0} %s" in built[0].content
        assert built[-1].content == "{x}"

    @pytest.mark.parametrize("script", SCRIPTS)
    @pytest.mark.parametrize("budget", [256, 512, 1536, 6000])
    def test_it_keeps_its_budget_in_every_script(self, script: str, budget: int) -> None:
        text = SCRIPTS[script]
        said = talk(*(text * 10 for _ in range(200)))
        built = prompt.build(PROMPTS, persona(description=text * 400), said, budget=budget)
        assert size(built) <= budget + 2 * 64, "but for the least that a system message and a question get"
        assert built[-1].role == "user"
        assert built[-1].content
        assert said[-1].content.startswith(built[-1].content)

    def test_the_newest_messages_stay(self) -> None:
        said = talk(*(f"message {number} " + "word " * 30 for number in range(101)))
        built = prompt.build(PROMPTS, persona(), said, budget=1500)
        assert 1 < len(built) - 1 < 101
        assert list(built[1:]) == said[-(len(built) - 1) :]

    @pytest.mark.parametrize("budget", [1, 100, 300])
    def test_the_last_message_is_in_whatever_the_budget(self, budget: int) -> None:
        built = prompt.build(
            PROMPTS, persona(description="long " * 1000), talk("a", "b", "My question?"), budget=budget
        )
        assert built[-1].content == "My question?"

    def test_a_last_message_that_is_too_long_keeps_its_beginning(self) -> None:
        built = prompt.build(PROMPTS, persona(), talk("word " * 5000), budget=1000)
        assert built[-1].content.startswith("word word")
        assert size(built) <= 1000

    def test_a_long_description_leaves_room_and_the_rules(self) -> None:
        built = prompt.build(
            PROMPTS, persona(description="d" * 8000), talk("Hello", "Hi", "So?"), budget=1000
        )
        assert tokens(built[0].content) <= 600 + MESSAGE_OVERHEAD
        assert "Stay Mira" in built[0].content
        assert built[-1].content == "So?"


class TestCursors:
    @pytest.mark.parametrize(
        "moment",
        [
            datetime(2026, 11, 22, 18, 0, 0, 123456, tzinfo=UTC),
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(2200, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ],
    )
    def test_a_time_cursor_comes_back_as_it_was(self, moment: datetime) -> None:
        cursor = TimeCursor(moment, uuid.UUID(int=7))
        assert TimeCursor.decode(cursor.encode()) == cursor
        assert TimeCursor.decode(cursor.encode()).created_at - moment == timedelta(0)
        assert cursor.encode().replace("-", "").replace("_", "").isalnum(), "safe in an address"

    @pytest.mark.parametrize("position", [0, 1, 999, 2**31 - 1])
    def test_a_position_comes_back_as_it_was(self, position: int) -> None:
        assert decode_position(encode_position(position)) == position

    @pytest.mark.parametrize(
        "text",
        [
            *("", ".", "x", "1", "1.", "1.2", "1.2.3", "-1", "-1.00000000000000000000000000000007"),
            "99999999999999999999.00000000000000000000000000000007",
            "9007199254740992.00000000000000000000000000000007",
            "1e9.00000000000000000000000000000007",
            "nan.00000000000000000000000000000007",
            "2147483648",
            "1" * 5000,
            "1;DROP TABLE messages",
            "\0",
            "é",
        ],
    )
    def test_forged_cursors_are_refused(self, text: str) -> None:
        forged = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        with pytest.raises(FieldError):
            TimeCursor.decode(forged)
        if text != "1":
            with pytest.raises(FieldError):
                decode_position(forged)

    @pytest.mark.parametrize(
        "cursor", ["", "=", "====", "a", "%%%", "null", "\0", "é", "MQ MQ", "A" * 100_000, "🫖"]
    )
    def test_nonsense_is_refused(self, cursor: str) -> None:
        with pytest.raises(FieldError):
            TimeCursor.decode(cursor)
        with pytest.raises(FieldError):
            decode_position(cursor)

    def test_random_bytes_do_no_harm(self) -> None:
        rng = random.Random(1)
        for _ in range(2000):
            cursor = base64.urlsafe_b64encode(rng.randbytes(rng.randrange(40))).decode()
            for decode in (TimeCursor.decode, decode_position):
                with contextlib.suppress(FieldError):
                    decode(cursor)


def test_pauses_double_up_to_ten_seconds() -> None:
    assert [retry_delay(attempt) for attempt in range(1, 7)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert MAX_ATTEMPTS == 3


def events_of(texts: list[str]) -> list[Event]:
    conversation, response = uuid.uuid4(), uuid.uuid4()
    offset, events = 0, list[Event]()
    for text in texts:
        events += [
            Delta(conversation, response, 1, offset, text),
            Changed(conversation, response),
            Changed(conversation),
            JobCancelled(response),
            UserSignedOut(conversation),
        ]
        offset += len(text)
    return events


class TestPacking:
    @pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "surrogates"])
    @pytest.mark.parametrize("length", [0, 1, 1199, 1200, 1201, 5000, 50_000])
    def test_payloads_are_small_enough_and_say_the_same(self, script: str, length: int) -> None:
        text = (SCRIPTS[script] * length)[:length]
        events = events_of([text, text[:7], text])
        payloads = bus._payloads(events)
        assert all(len(payload.encode()) < 8000 for payload in payloads)
        received = [event for payload in payloads for event in decoder.decode(payload)]
        told: dict[int, str] = {}
        for event in received:
            if isinstance(event, Delta):
                told[event.offset] = event.text
        joined = ""
        for offset in sorted(told):
            assert offset == len(joined)
            joined += told[offset]
        assert joined == text + text[:7] + text
        others = [event for event in events if not isinstance(event, Delta)]
        assert [event for event in received if not isinstance(event, Delta)] == others

    def test_the_worst_text_there_is(self) -> None:
        worst = max(map(chr, range(0x2FFF)), key=lambda c: len(msgspec.json.encode(c)))
        payloads = bus._payloads(events_of([worst * 10_000]))
        assert max(len(payload.encode()) for payload in payloads) < 8000

    def test_small_events_share_a_payload(self) -> None:
        assert len(bus._payloads(events_of(["word "] * 10))) <= 2
