"""What a model is told for a client that brings the talk: the persona first, then what the client says."""

from __future__ import annotations

from typing import Literal

from hub.domain.chat.prompt import Persona
from hub.domain.completions import prompt
from hub.domain.prompts.budget import tokens
from hub.domain.prompts.prompts import Prompts
from hub.domain.scenes.schemas import Scene
from hub.providers.llm.protocol import ChatMessage

PERSONA = Persona(
    name="Mira",
    description="A calm botanist.",
    appearance="green eyes",
    user_appearance="",
    user_name="Sam",
    scene=Scene(outfit="a coat", location="a garden", action="watering", expression="a smile"),
)


def said(role: Literal["system", "user", "assistant"], content: str) -> ChatMessage:
    return ChatMessage(role=role, content=content)


def built(*messages: ChatMessage, budget: int = 2000) -> list[ChatMessage]:
    return list(prompt.build(Prompts.load(), PERSONA, list(messages), budget=budget))


def test_the_clients_own_beginning_follows_the_persona_in_one_message() -> None:
    first, *talk = built(
        said("system", "Speak of plants."),
        said("system", " "),
        said("system", "Be brief."),
        said("user", "Hi"),
    )
    assert first.role == "system"
    assert first.content.startswith("Your name is Mira.")
    assert "a garden" in first.content
    assert first.content.endswith("\n\nSpeak of plants.\n\nBe brief.")
    assert talk == [said("user", "Hi")]


def test_later_system_messages_stay_where_they_are() -> None:
    talk = [
        said("user", "Hi"),
        said("system", "It rains."),
        said("assistant", "Oh"),
        said("system", "Go on."),
    ]
    assert built(*talk)[1:] == talk


def test_a_talk_of_system_messages_alone_ends_with_the_last_of_them() -> None:
    first, *talk = built(said("system", "Speak of plants."), said("system", "[Start a new Chat]"))
    assert first.content.endswith("Speak of plants.")
    assert talk == [said("system", "[Start a new Chat]")]


def test_a_long_beginning_leaves_room_for_persona_and_talk() -> None:
    talk = [said("user", f"Message {number} of some length") for number in range(50)]
    first, *kept = built(said("system", "x" * 50_000), *talk, budget=900)
    assert first.content.startswith("Your name is Mira.")
    assert len(first.content) < 900 * 3
    assert 3 < len(kept) < 50
    assert kept == talk[-len(kept) :]
    assert sum(tokens(each.content) for each in (first, *kept)) <= 900
