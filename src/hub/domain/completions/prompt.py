"""What the model is told for a client that brings the talk itself: the persona, then what the client says."""

from __future__ import annotations

from hub.domain.chat import prompt
from hub.domain.chat.prompt import Persona
from hub.domain.prompts.budget import shorten, tokens
from hub.domain.prompts.prompts import Prompts
from hub.providers.llm.protocol import ChatMessage

#: The client's own system messages at the beginning get at most this share of the prompt.
CLIENT_SHARE = 0.3


def build(
    prompts: Prompts, persona: Persona, messages: list[ChatMessage], *, budget: int
) -> tuple[ChatMessage, ...]:
    """Build the prompt: one system message, then the newest of the client's messages that fit.

    System messages that a client begins with follow the persona in its message, since many models take a
    single one, and only there; those between others stay where they are.

    Args:
        prompts: the templates.
        persona: who talks with whom.
        messages: what the client sent, oldest first, at least one.
        budget: tokens that the prompt may have.
    """
    begin = next((at for at, each in enumerate(messages) if each.role != "system"), len(messages) - 1)
    own = "\n\n".join(each.content for each in messages[:begin] if each.content.strip())
    own = shorten(own, int(budget * CLIENT_SHARE)) if own else ""
    spent = tokens(own) if own else 0
    system, *talk = prompt.build(prompts, persona, messages[begin:], budget=budget - spent)
    if own:
        system = ChatMessage(role="system", content=f"{system.content}\n\n{own}")
    return (system, *talk)
