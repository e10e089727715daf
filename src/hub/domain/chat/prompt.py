"""What the model is told: who the companion is, the scene, and the talk so far, within its context."""

from __future__ import annotations

from msgspec import Struct

from hub.domain.scenes.schemas import Scene
from hub.providers.llm.protocol import ChatMessage

#: Bytes of UTF-8 that are counted as one token; English has about four, so this errs on the safe side.
BYTES_PER_TOKEN = 3
#: Tokens that a chat template adds to each message.
MESSAGE_OVERHEAD = 6
#: The system message gets at most this share of what the context has for the prompt.
SYSTEM_SHARE = 0.6
#: Where older messages are left out, the cut falls on a position that this divides, and stays for a while.
CUT_EVERY = 16

# The name comes first and the persona before the rules: asked for its name ten times each way, the embedded
# model gave the right one nine times instead of four.
_PERSONA = "Your name is {name}. {description}"
_RULES = """\
You are an adult and talk with {user}. Stay {name} in every answer, in a natural, friendly way and in the \
language that {user} uses. Answer what was said last, in a few sentences, suitable for everyone. Speak only \
for yourself."""


class Persona(Struct, frozen=True, kw_only=True):
    """The companion and the person it talks with, as the prompt needs them."""

    name: str
    description: str
    appearance: str
    user_appearance: str
    scene: Scene
    user_name: str


def build(
    persona: Persona, talk: list[ChatMessage], *, budget: int, first: int = 1
) -> tuple[ChatMessage, ...]:
    """Build the prompt: one system message, then the newest messages that fit.

    Args:
        persona: who talks with whom.
        talk: the talk so far, oldest first; the last one is answered and stays whatever the budget.
        budget: tokens that the prompt may have.
        first: position of the talk's first message in its conversation, so that cuts fall where they fell
            before: a server that has read the beginning of a prompt need not read it again.
    """
    system = _system(persona, int(budget * SYSTEM_SHARE))
    left = budget - tokens(system)
    last = _shorten(talk[-1].content, max(left - MESSAGE_OVERHEAD, 64))
    earlier = _newest_that_fit(talk[:-1], left - tokens(last), first)
    answered = ChatMessage(role=talk[-1].role, content=last)
    return (ChatMessage(role="system", content=system), *earlier, answered)


def _newest_that_fit(talk: list[ChatMessage], budget: int, first: int) -> list[ChatMessage]:
    start = len(talk)
    while start > 0 and (cost := tokens(talk[start - 1].content)) <= budget:
        budget -= cost
        start -= 1
    if start > 0:
        to_next_cut = -(first + start) % CUT_EVERY
        start += to_next_cut if start + to_next_cut < len(talk) else 0
    return talk[start:]


def tokens(text: str) -> int:
    """Estimate the tokens of one message, rather too many than too few."""
    return len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN + MESSAGE_OVERHEAD


def _system(persona: Persona, budget: int) -> str:
    """Write the system message; where room is short the description is cut, never the rules."""
    scene = persona.scene
    about = [_PERSONA.format(name=persona.name, description=persona.description)]
    if persona.appearance:
        about.append(f"You look like this: {persona.appearance}")
    if persona.user_appearance:
        about.append(f"{persona.user_name} looks like this: {persona.user_appearance}")
    rules = _RULES.format(name=persona.name, user=persona.user_name)
    place = (
        f"The scene: you wear {scene.outfit}; place: {scene.location}; action: {scene.action};"
        f" expression: {scene.expression}."
    )
    left = budget - tokens(rules) - tokens(place)
    return "\n\n".join([_shorten("\n\n".join(about), max(left, 64)), rules, place])


def _shorten(text: str, budget: int) -> str:
    """Cut a text at a budget of tokens."""
    room = max(budget - MESSAGE_OVERHEAD, 1) * BYTES_PER_TOKEN
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= room:
        return text
    return encoded[:room].decode("utf-8", "ignore")
