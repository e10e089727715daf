"""What the model is told: who the companion is, the scene, and the talk so far, within its context."""

from __future__ import annotations

from msgspec import Struct

from hub.domain.companions.schemas import Scene
from hub.providers.llm.protocol import ChatMessage

#: Bytes of UTF-8 that are counted as one token; English has about four, so this errs on the safe side.
BYTES_PER_TOKEN = 3
#: Tokens that a chat template adds to each message.
MESSAGE_OVERHEAD = 6
#: The system message gets at most this share of what the context has for the prompt.
SYSTEM_SHARE = 0.6

_INSTRUCTIONS = """\
You are {name}, an adult, talking with {user}. Stay {name} in every answer and speak as yourself, \
in a natural, friendly way and in the language that {user} uses. Answer what {user} said last, in a few \
sentences. Keep what you say suitable for everyone. Do not write {user}'s part."""


class Persona(Struct, frozen=True, kw_only=True):
    """The companion and the person it talks with, as the prompt needs them."""

    name: str
    description: str
    appearance: str
    user_appearance: str
    scene: Scene
    user_name: str


def build(persona: Persona, talk: list[ChatMessage], *, budget: int) -> tuple[ChatMessage, ...]:
    """Build the prompt: one system message, then the newest messages that fit.

    Args:
        persona: who talks with whom.
        talk: the talk so far, oldest first; the last one is answered and stays whatever the budget.
        budget: tokens that the prompt may have.
    """
    system = _shorten(_system(persona), int(budget * SYSTEM_SHARE))
    left = budget - tokens(system)
    last = _shorten(talk[-1].content, max(left - MESSAGE_OVERHEAD, 64))
    chosen = [ChatMessage(role=talk[-1].role, content=last)]
    left -= tokens(last)
    for message in reversed(talk[:-1]):
        left -= tokens(message.content)
        if left < 0:
            break
        chosen.append(message)
    return (ChatMessage(role="system", content=system), *reversed(chosen))


def tokens(text: str) -> int:
    """Estimate the tokens of one message, rather too many than too few."""
    return len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN + MESSAGE_OVERHEAD


def _system(persona: Persona) -> str:
    scene = persona.scene
    parts = [
        _INSTRUCTIONS.format(name=persona.name, user=persona.user_name),
        f"About {persona.name}: {persona.description}",
    ]
    if persona.appearance:
        parts.append(f"{persona.name}'s appearance: {persona.appearance}")
    if persona.user_appearance:
        parts.append(f"{persona.user_name}'s appearance: {persona.user_appearance}")
    parts.append(
        f"The scene: {persona.name} wears {scene.outfit}; place: {scene.location};"
        f" action: {scene.action}; expression: {scene.expression}."
    )
    return "\n\n".join(parts)


def _shorten(text: str, budget: int) -> str:
    """Cut a text at a budget of tokens."""
    room = max(budget - MESSAGE_OVERHEAD, 1) * BYTES_PER_TOKEN
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= room:
        return text
    return encoded[:room].decode("utf-8", "ignore")
