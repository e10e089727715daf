"""What the model is told: who the companion is, the scene, and the talk so far, within its context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from hub.domain.prompts.budget import MESSAGE_OVERHEAD, shorten, shorten_start, tokens
from hub.domain.prompts.prompts import Prompts
from hub.domain.scenes.schemas import Scene, told
from hub.providers.llm.protocol import ChatMessage

#: The system message gets at most this share of what the context has for the prompt.
SYSTEM_SHARE = 0.6
#: Where older messages are left out, the cut falls on a position that this divides, and stays for a while.
CUT_EVERY = 16

# Said whatever the templates are; the rules follow in the same paragraph.
_ADULT = "You are an adult and talk with {user}. "
# A companion may have no text of one kind; a paragraph of the templates must not go for that.
_NOBODY = "the user"
_NO_DESCRIPTION = "You are good company."


class Persona(Struct, frozen=True, kw_only=True):
    """The companion and the person it talks with, as the prompt needs them."""

    name: str
    description: str
    appearance: str
    user_appearance: str
    scene: Scene
    user_name: str

    @classmethod
    def of(cls, row: Mapping[str, Any], scene: Scene) -> Persona:
        """Read it from a row with the companion's columns and the user's ``display_name``."""
        return cls(
            name=row["name"],
            description=row["description"],
            appearance=row["appearance"],
            user_appearance=row["user_appearance"],
            user_name=row["display_name"],
            scene=scene,
        )


def build(
    prompts: Prompts,
    persona: Persona,
    talk: list[ChatMessage],
    *,
    budget: int,
    first: int = 1,
    goes_on: bool = False,
) -> tuple[ChatMessage, ...]:
    """Build the prompt: one system message, then the newest messages that fit.

    Args:
        prompts: the templates.
        persona: who talks with whom.
        talk: the talk so far, oldest first; the last one is answered and stays whatever the budget.
        budget: tokens that the prompt may have.
        first: position of the talk's first message in its conversation, so that cuts fall where they fell
            before: a server that has read the beginning of a prompt need not read it again.
        goes_on: the last message is the companion's own, to be continued; its end stays, whatever the budget.
    """
    system = _system(prompts, persona, int(budget * SYSTEM_SHARE))
    request = _go_on(prompts, persona) if goes_on else ()
    left = budget - tokens(system) - sum(tokens(each.content) for each in request)
    room = max(left - MESSAGE_OVERHEAD, 64)
    last = shorten_start(talk[-1].content, room) if goes_on else shorten(talk[-1].content, room)
    earlier = _newest_that_fit(talk[:-1], left - tokens(last), first)
    answered = ChatMessage(role=talk[-1].role, content=last)
    return (ChatMessage(role="system", content=system), *earlier, answered, *request)


def _go_on(prompts: Prompts, persona: Persona) -> tuple[ChatMessage, ...]:
    """Ask for more in words, as the user: not every server goes on by itself from what it said."""
    text = prompts.text("continue", name=persona.name, user=persona.user_name.strip() or _NOBODY)
    return (ChatMessage(role="user", content=text),) if text else ()


def _newest_that_fit(talk: list[ChatMessage], budget: int, first: int) -> list[ChatMessage]:
    start = len(talk)
    while start > 0 and (cost := tokens(talk[start - 1].content)) <= budget:
        budget -= cost
        start -= 1
    if start > 0:
        to_next_cut = -(first + start) % CUT_EVERY
        start += to_next_cut if start + to_next_cut < len(talk) else 0
    return talk[start:]


def _system(prompts: Prompts, persona: Persona, budget: int) -> str:
    """Write the system message; where room is short the description is cut, never the rules.

    The name comes first and the persona before the rules: asked for its name ten times each way, the
    embedded model gave the right one nine times instead of four.
    """
    user = persona.user_name.strip() or _NOBODY
    about = prompts.text(
        "persona",
        name=persona.name,
        description=persona.description if persona.description.strip() else _NO_DESCRIPTION,
        appearance=persona.appearance,
        user=user,
        user_appearance=persona.user_appearance,
    )
    rules = _ADULT.format(user=user) + prompts.text("rules", name=persona.name, user=user)
    place = prompts.text("scene", name=persona.name, user=user, **told(persona.scene))
    left = budget - tokens(rules) - tokens(place)
    return "\n\n".join(part for part in (shorten(about, max(left, 64)), rules, place) if part)
