"""The hub's client of a language model's server, with limits that a test can wait for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from hub.providers.http.breaker import Breaker
from hub.providers.http.network import open_pool
from hub.providers.llm import ChatMessage, ChatRequest
from hub.providers.llm.openai_compatible import OpenAICompatible

KEY = "sk-canary-5f1c9e"


@contextlib.asynccontextmanager
async def model_at(
    url: str,
    *,
    silence_seconds: float = 10,
    key: str | None = KEY,
    total_seconds: float = 60,
    max_characters: int = 64_000,
    breaker: Breaker | None = None,
) -> AsyncIterator[OpenAICompatible]:
    """Talk to the server at ``url``."""
    pool = open_pool()
    model = OpenAICompatible(
        base_url=url,
        key=key,
        model="test-model",
        timeout=silence_seconds,
        context_tokens=4096,
        total_seconds=total_seconds,
        max_characters=max_characters,
        pool=pool,
        breaker=breaker,
    )
    try:
        yield model
    finally:
        await model.close()
        await pool.aclose()


def ask(text: str = "How are you?", *, stop: tuple[str, ...] = ()) -> ChatRequest:
    """Make a question."""
    messages = (ChatMessage(role="system", content="Be kind."), ChatMessage(role="user", content=text))
    return ChatRequest(messages=messages, max_tokens=50, temperature=0.7, top_p=0.9, stop=stop)
