"""What the hub asks of a language model, and what it gets back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Literal, Protocol

from msgspec import Struct

from hub.providers.errors import ProviderError


class ChatMessage(Struct, frozen=True, kw_only=True):
    """One message of the prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class ChatRequest(Struct, frozen=True, kw_only=True):
    """One question to the model; ``stop`` ends the answer before any of its texts."""

    messages: tuple[ChatMessage, ...]
    max_tokens: int
    temperature: float
    top_p: float
    stop: tuple[str, ...] = ()


class JsonSchema(Struct, frozen=True, kw_only=True):
    """What an answer in JSON looks like: a JSON Schema, and a name of letters, digits, _ and - for it."""

    name: str
    schema: Mapping[str, object]


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens as the server counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Delta(Struct, frozen=True):
    """A piece of the answer: never empty, free of NUL and of lone surrogates."""

    text: str


class Finish(Struct, frozen=True):
    """The end of a whole answer. ``reason`` is "stop" or "length"; ``usage`` if the server told."""

    reason: str
    usage: Usage | None


class LanguageModelError(ProviderError):
    """The model gave no whole answer; codes begin with ``llm_``."""


class LanguageModel(Protocol):
    """A model that answers, in a stream or in one piece."""

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[Delta | Finish, None]:
        """Ask; yields deltas as they come and one ``Finish``, last, or raises ``LanguageModelError``.

        Use it in ``contextlib.aclosing``: closing or cancelling ends the server's work at once.
        """

    async def answer(self, request: ChatRequest, *, schema: JsonSchema, patience: float) -> str:
        """Ask for an answer in JSON; returns its whole text, or raises ``LanguageModelError``.

        The text is the model's: servers that cannot hold it to ``schema`` are only asked, so the request
        has to describe it in words too, and what comes back may be anything; at ``max_tokens`` it ends in
        the middle. ``patience`` is in seconds, for all of it: waiting for a turn, asking, answering.
        """

    async def check(self) -> None:
        """Return if the model can be asked now, else raise ``LanguageModelError``."""

    async def close(self) -> None:
        """Give back connections and processes."""
